package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
)

const (
	lead = `UPDATE shards SET leader = @host, leader_until = ` + clock + ` + @ttl, facts_format = @format,
			leader_epoch = leader_epoch + (leader <> @host OR leader_epoch <> @epoch)
		WHERE shard = @shard AND (leader = '' OR leader = @host OR leader_until <= ` + clock + `) AND facts_format <= @format RETURNING leader_epoch`
	factsFormat = `SELECT facts_format FROM shards WHERE shard = ?`
	resign      = `UPDATE shards SET leader = '', leader_until = 0 WHERE shard = ? AND leader = ? AND leader_epoch = ?`
)

// Lead takes or renews the leadership of a shard for ttl.
func (db *DB) Lead(ctx context.Context, shard int, host automation.HostID, epoch int64, ttl time.Duration) (int64, error) {
	if host == "" {
		return 0, automation.Errorf(automation.CodeInternal, "lead shard %d: no host", shard)
	}
	var now int64
	err := db.write(ctx, nil, func(ctx context.Context, w *writer) error {
		if err := w.exec(ctx, insertShard, shard); err != nil {
			return err
		}
		err := w.row(ctx, lead, sql.Named("host", string(host)), sql.Named("ttl", ttl.Microseconds()),
			sql.Named("epoch", epoch), sql.Named("shard", shard), sql.Named("format", automation.FactsFormat)).Scan(&now)
		if !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		var format int
		if err := w.row(ctx, factsFormat, shard).Scan(&format); err != nil {
			return err
		}
		if format > automation.FactsFormat {
			return store.Outdated(format)
		}
		return store.Fenced("lead the shard")
	})
	return now, err
}

// Resign gives the leadership back at once, if host still holds it at epoch.
func (db *DB) Resign(ctx context.Context, shard int, host automation.HostID, epoch int64) error {
	return db.write(ctx, store.Topics{store.TopicHosts}, func(ctx context.Context, w *writer) error {
		return w.exec(ctx, resign, shard, string(host), epoch)
	})
}

const (
	hostColumns = `id, name, epoch, version, slots, queues, state, at_work, heartbeat, ` + clock + ` - heartbeat,
		EXISTS (SELECT 1 FROM shards s WHERE s.leader = id AND s.leader_until > ` + clock + `)`
	registerHost = `INSERT INTO hosts (id, name, epoch, version, slots, queues, heartbeat) VALUES (?, ?, (SELECT epoch + 1 FROM removed_hosts), ?, ?, ?, ` + clock + `)
		ON CONFLICT (id) DO UPDATE SET name = excluded.name, epoch = epoch + 1, version = excluded.version,
			slots = excluded.slots, queues = excluded.queues, state = 'live', at_work = 0, heartbeat = excluded.heartbeat`
	selectHost    = `SELECT ` + hostColumns + ` FROM hosts WHERE id = ?`
	heartbeat     = `UPDATE hosts SET heartbeat = ` + clock + `, state = ?, at_work = ? WHERE id = ? AND epoch = ?`
	reapHost      = `UPDATE hosts SET epoch = epoch + 1, state = ?, at_work = 0 WHERE id = ? AND epoch = ?`
	listHosts     = `SELECT ` + hostColumns + ` FROM hosts ORDER BY id`
	dropDelivered = `DELETE FROM deliveries WHERE host_id = @host AND epoch < (SELECT epoch FROM hosts WHERE id = @host)`
)

// RegisterHost adds or renews the host's row and raises its epoch by one.
func (db *DB) RegisterHost(ctx context.Context, h automation.Host) (automation.Host, error) {
	queues, err := encoded(store.NotNil(h.Queues))
	if err != nil {
		return automation.Host{}, err
	}
	var out automation.Host
	err = db.write(ctx, store.Topics{store.TopicHosts}, func(ctx context.Context, w *writer) error {
		if err := w.exec(ctx, registerHost, string(h.ID), h.Name, h.Version, h.Slots, queues); err != nil {
			return err
		}
		if err := w.exec(ctx, dropDelivered, sql.Named("host", string(h.ID))); err != nil {
			return err
		}
		var err error
		out, err = scanHost(w.row(ctx, selectHost, string(h.ID)))
		return err
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
	return db.write(ctx, topics, func(ctx context.Context, w *writer) error {
		return w.changeHost(ctx, "heartbeat", heartbeat, string(b.State), b.AtWork, string(id), epoch)
	})
}

// ReapHost raises the epoch of a host whose row still has the given one.
func (db *DB) ReapHost(ctx context.Context, id automation.HostID, epoch int64, state automation.HostState) error {
	return db.write(ctx, store.Topics{store.TopicHosts}, func(ctx context.Context, w *writer) error {
		if err := w.changeHost(ctx, "reap the host", reapHost, string(state), string(id), epoch); err != nil {
			return err
		}
		return w.exec(ctx, dropDelivered, sql.Named("host", string(id)))
	})
}

func (w *writer) changeHost(ctx context.Context, what, query string, args ...any) error {
	n, err := w.changed(ctx, query, args...)
	if err == nil && n == 0 {
		return store.Fenced(what)
	}
	return err
}

// Hosts returns all hosts, by identifier.
func (db *DB) Hosts(ctx context.Context) ([]automation.Host, error) {
	return list(ctx, db, scanHost, listHosts)
}

func scanHost(row scanner) (automation.Host, error) {
	var h automation.Host
	var age int64
	err := row.Scan(&h.ID, &h.Name, &h.Epoch, &h.Version, &h.Slots, document{&h.Queues}, &h.State, &h.AtWork, stamp{&h.Heartbeat}, &age, &h.Leads)
	h.Age = time.Duration(age) * time.Microsecond
	return h, err
}
