package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
)

const (
	insertShard = `INSERT INTO shards (shard) VALUES ($1) ON CONFLICT DO NOTHING`
	lead        = `UPDATE shards SET leader = $2, leader_until = clock_timestamp() + $4::interval, facts_format = $5,
			leader_epoch = leader_epoch + CASE WHEN leader = $2 AND leader_epoch = $3 THEN 0 ELSE 1 END
		WHERE shard = $1 AND (leader = '' OR leader = $2 OR leader_until <= clock_timestamp()) AND facts_format <= $5 RETURNING leader_epoch`
	factsFormat = `SELECT facts_format FROM shards WHERE shard = $1`
	resign      = `UPDATE shards SET leader = '', leader_until = '-infinity' WHERE shard = $1 AND leader = $2 AND leader_epoch = $3`
)

// Lead takes or renews the leadership of a shard for ttl.
func (db *DB) Lead(ctx context.Context, shard int, host automation.HostID, epoch int64, ttl time.Duration) (int64, error) {
	if host == "" {
		return 0, automation.Errorf(automation.CodeInternal, "lead shard %d: no host", shard)
	}
	var now int64
	var format int
	err := db.write(ctx, nil, func(ctx context.Context) error {
		p := &pgx.Batch{}
		p.Queue(insertShard, shard)
		p.Queue(factsFormat, shard).QueryRow(func(row pgx.Row) error { return row.Scan(&format) })
		p.Queue(lead, shard, string(host), epoch, ttl, automation.FactsFormat).QueryRow(func(row pgx.Row) error { return row.Scan(&now) })
		err := db.pool.SendBatch(ctx, p).Close()
		switch {
		case errors.Is(err, pgx.ErrNoRows) && format > automation.FactsFormat:
			return store.Outdated(format)
		case errors.Is(err, pgx.ErrNoRows):
			return store.Fenced("lead the shard")
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	return now, nil
}

// Resign gives the leadership back at once, if host still holds it at epoch.
func (db *DB) Resign(ctx context.Context, shard int, host automation.HostID, epoch int64) error {
	return db.write(ctx, store.Topics{store.TopicHosts}, func(ctx context.Context) error {
		_, err := db.pool.Exec(ctx, resign, shard, string(host), epoch)
		return err
	})
}

const (
	hostColumns = `id, name, epoch, version, slots, queues, state, at_work, heartbeat,
		(extract(epoch FROM clock_timestamp() - heartbeat) * 1000000)::bigint,
		EXISTS (SELECT 1 FROM shards s WHERE s.leader = id AND s.leader_until > clock_timestamp())`
	registerHost = `INSERT INTO hosts (id, name, epoch, version, slots, queues, heartbeat) VALUES ($1, $2, (SELECT epoch + 1 FROM removed_hosts), $3, $4, $5, clock_timestamp())
		ON CONFLICT (id) DO UPDATE SET name = excluded.name, epoch = hosts.epoch + 1, version = excluded.version,
			slots = excluded.slots, queues = excluded.queues, state = 'live', at_work = 0, heartbeat = excluded.heartbeat
		RETURNING ` + hostColumns
	heartbeat     = `UPDATE hosts SET heartbeat = clock_timestamp(), state = $3, at_work = $4 WHERE id = $1 AND epoch = $2`
	reapHost      = `UPDATE hosts SET epoch = epoch + 1, state = $3, at_work = 0 WHERE id = $1 AND epoch = $2`
	listHosts     = `SELECT ` + hostColumns + ` FROM hosts ORDER BY id`
	dropDelivered = `DELETE FROM deliveries WHERE host_id = $1 AND epoch < (SELECT epoch FROM hosts WHERE id = $1)`
)

// RegisterHost adds or renews the host's row and raises its epoch by one.
func (db *DB) RegisterHost(ctx context.Context, h automation.Host) (automation.Host, error) {
	queues, err := encoded(store.NotNil(h.Queues))
	if err != nil {
		return automation.Host{}, err
	}
	var out automation.Host
	err = db.write(ctx, store.Topics{store.TopicHosts}, func(ctx context.Context) error {
		p := &pgx.Batch{}
		p.Queue(registerHost, string(h.ID), h.Name, h.Version, h.Slots, queues).QueryRow(func(row pgx.Row) error {
			var err error
			out, err = scanHost(row)
			return err
		})
		p.Queue(dropDelivered, string(h.ID))
		return db.pool.SendBatch(ctx, p).Close()
	})
	if err != nil {
		return automation.Host{}, err
	}
	return out, nil
}

// Heartbeat renews the host's row; ErrFenced when its epoch is over.
func (db *DB) Heartbeat(ctx context.Context, id automation.HostID, epoch int64, b automation.Beat) error {
	var topics store.Topics
	if b.State != automation.HostLive {
		topics = store.Topics{store.TopicHosts}
	}
	return db.changeHost(ctx, topics, "heartbeat", heartbeat, string(id), epoch, string(b.State), b.AtWork)
}

// ReapHost raises the epoch of a host whose row still has the given one.
func (db *DB) ReapHost(ctx context.Context, id automation.HostID, epoch int64, state automation.HostState) error {
	err := db.changeHost(ctx, store.Topics{store.TopicHosts}, "reap the host", reapHost, string(id), epoch, string(state))
	if err != nil {
		return err
	}
	_, err = db.statement(ctx, dropDelivered, string(id))
	return err
}

func (db *DB) changeHost(ctx context.Context, topics store.Topics, what, query string, args ...any) error {
	return db.write(ctx, topics, func(ctx context.Context) error {
		tag, err := db.pool.Exec(ctx, query, args...)
		if err == nil && tag.RowsAffected() == 0 {
			return store.Fenced(what)
		}
		return err
	})
}

// Hosts returns all hosts, by identifier.
func (db *DB) Hosts(ctx context.Context) ([]automation.Host, error) {
	return list(ctx, db, scanHost, listHosts)
}

func scanHost(row pgx.Row) (automation.Host, error) {
	var h automation.Host
	var age int64
	err := row.Scan(&h.ID, &h.Name, &h.Epoch, &h.Version, &h.Slots, &h.Queues, &h.State, &h.AtWork, stamp{&h.Heartbeat}, &age, &h.Leads)
	h.Age = time.Duration(age) * time.Microsecond
	return h, err
}
