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
	lead = `UPDATE shards SET leader = @host, leader_until = ` + clock + ` + @ttl,
			leader_epoch = leader_epoch + (leader <> @host OR leader_epoch <> @epoch)
		WHERE shard = @shard AND (leader = '' OR leader = @host OR leader_until <= ` + clock + `) RETURNING leader_epoch`
	resign = `UPDATE shards SET leader = '', leader_until = 0 WHERE shard = ? AND leader = ? AND leader_epoch = ?`
)

// Lead takes or renews the leadership of a shard for ttl.
func (db *DB) Lead(ctx context.Context, shard int, host automation.HostID, epoch int64, ttl time.Duration) (int64, error) {
	if host == "" {
		return 0, automation.Errorf(automation.CodeInternal, "lead shard %d: no host", shard)
	}
	var now int64
	err := db.write(ctx, store.Topics{}, func(ctx context.Context, w *writer) error {
		if err := w.exec(ctx, insertShard, shard); err != nil {
			return err
		}
		err := w.row(ctx, lead, sql.Named("host", string(host)), sql.Named("ttl", ttl.Microseconds()),
			sql.Named("epoch", epoch), sql.Named("shard", shard)).Scan(&now)
		if errors.Is(err, sql.ErrNoRows) {
			return store.Fenced("lead the shard")
		}
		return err
	})
	return now, err
}

// Resign gives the leadership back at once, if host still holds it at epoch.
func (db *DB) Resign(ctx context.Context, shard int, host automation.HostID, epoch int64) error {
	return db.write(ctx, store.Topics{}, func(ctx context.Context, w *writer) error {
		return w.exec(ctx, resign, shard, string(host), epoch)
	})
}

const (
	registerHost = `INSERT INTO hosts (id, name, epoch, version, slots, heartbeat) VALUES (?, ?, 1, ?, ?, ` + clock + `)
		ON CONFLICT (id) DO UPDATE SET name = excluded.name, epoch = epoch + 1, version = excluded.version,
			slots = excluded.slots, heartbeat = excluded.heartbeat
		RETURNING id, name, epoch, version, slots, heartbeat`
	heartbeat = `UPDATE hosts SET heartbeat = ` + clock + ` WHERE id = ? AND epoch = ?`
	reapHost  = `UPDATE hosts SET epoch = epoch + 1 WHERE id = ? AND epoch = ?`
	listHosts = `SELECT id, name, epoch, version, slots, heartbeat FROM hosts ORDER BY id`
)

// RegisterHost adds or renews the host's row and raises its epoch by one.
func (db *DB) RegisterHost(ctx context.Context, h automation.Host) (automation.Host, error) {
	var out automation.Host
	err := db.write(ctx, store.Topics{}, func(ctx context.Context, w *writer) error {
		var err error
		out, err = scanHost(w.row(ctx, registerHost, string(h.ID), h.Name, h.Version, h.Slots))
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
	return db.write(ctx, store.Topics{}, func(ctx context.Context, w *writer) error {
		n, err := w.changed(ctx, query, string(id), epoch)
		if err == nil && n == 0 {
			return store.Fenced(what)
		}
		return err
	})
}

// Hosts returns all hosts, by identifier.
func (db *DB) Hosts(ctx context.Context) ([]automation.Host, error) {
	return list(ctx, db, scanHost, listHosts)
}

func scanHost(row scanner) (automation.Host, error) {
	var h automation.Host
	err := row.Scan(&h.ID, &h.Name, &h.Epoch, &h.Version, &h.Slots, stamp{&h.Heartbeat})
	return h, err
}
