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
	lead        = `UPDATE shards SET leader = $2, leader_until = clock_timestamp() + $4::interval,
			leader_epoch = leader_epoch + CASE WHEN leader = $2 AND leader_epoch = $3 THEN 0 ELSE 1 END
		WHERE shard = $1 AND (leader = '' OR leader = $2 OR leader_until <= clock_timestamp()) RETURNING leader_epoch`
	resign = `UPDATE shards SET leader = '', leader_until = '-infinity' WHERE shard = $1 AND leader = $2 AND leader_epoch = $3`
)

// Lead takes or renews the leadership of a shard for ttl.
func (db *DB) Lead(ctx context.Context, shard int, host automation.HostID, epoch int64, ttl time.Duration) (int64, error) {
	if host == "" {
		return 0, automation.Errorf(automation.CodeInternal, "lead shard %d: no host", shard)
	}
	var now int64
	err := db.write(ctx, store.Topics{}, func(ctx context.Context) error {
		p := &pgx.Batch{}
		p.Queue(insertShard, shard)
		p.Queue(lead, shard, string(host), epoch, ttl).QueryRow(func(row pgx.Row) error { return row.Scan(&now) })
		err := db.pool.SendBatch(ctx, p).Close()
		if errors.Is(err, pgx.ErrNoRows) {
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
	_, err := db.statement(ctx, resign, shard, string(host), epoch)
	return err
}

const (
	registerHost = `INSERT INTO hosts (id, name, epoch, version, slots, heartbeat) VALUES ($1, $2, 1, $3, $4, clock_timestamp())
		ON CONFLICT (id) DO UPDATE SET name = excluded.name, epoch = hosts.epoch + 1, version = excluded.version,
			slots = excluded.slots, heartbeat = excluded.heartbeat
		RETURNING id, name, epoch, version, slots, heartbeat`
	heartbeat = `UPDATE hosts SET heartbeat = clock_timestamp() WHERE id = $1 AND epoch = $2`
	reapHost  = `UPDATE hosts SET epoch = epoch + 1 WHERE id = $1 AND epoch = $2`
	listHosts = `SELECT id, name, epoch, version, slots, heartbeat FROM hosts ORDER BY id`
)

// RegisterHost adds or renews the host's row and raises its epoch by one.
func (db *DB) RegisterHost(ctx context.Context, h automation.Host) (automation.Host, error) {
	var out automation.Host
	err := db.write(ctx, store.Topics{}, func(ctx context.Context) error {
		var err error
		out, err = scanHost(db.pool.QueryRow(ctx, registerHost, string(h.ID), h.Name, h.Version, h.Slots))
		return err
	})
	if err != nil {
		return automation.Host{}, err
	}
	return out, nil
}

// Heartbeat renews the host's row; ErrFenced when its epoch is over.
func (db *DB) Heartbeat(ctx context.Context, id automation.HostID, epoch int64) error {
	return db.changeHost(ctx, heartbeat, "heartbeat", id, epoch)
}

// ReapHost raises the epoch of a host whose row still has the given one.
func (db *DB) ReapHost(ctx context.Context, id automation.HostID, epoch int64) error {
	return db.changeHost(ctx, reapHost, "reap the host", id, epoch)
}

func (db *DB) changeHost(ctx context.Context, query, what string, id automation.HostID, epoch int64) error {
	n, err := db.statement(ctx, query, string(id), epoch)
	if err == nil && n == 0 {
		return store.Fenced(what)
	}
	return err
}

// Hosts returns all hosts, by identifier.
func (db *DB) Hosts(ctx context.Context) ([]automation.Host, error) {
	return list(ctx, db, scanHost, listHosts)
}

func scanHost(row pgx.Row) (automation.Host, error) {
	var h automation.Host
	err := row.Scan(&h.ID, &h.Name, &h.Epoch, &h.Version, &h.Slots, stamp{&h.Heartbeat})
	return h, err
}
