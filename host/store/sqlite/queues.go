package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
)

const (
	deleteLoads = `DELETE FROM queue_loads WHERE shard = ?`
	insertLoad  = `INSERT INTO queue_loads (shard, queue, waiting)`
	selectLoads = `SELECT queue, sum(waiting) FROM queue_loads GROUP BY queue ORDER BY queue`
)

// PutQueueLoads replaces what waits in the queues of a shard.
func (db *DB) PutQueueLoads(ctx context.Context, shard int, host automation.HostID, epoch int64, loads []automation.QueueLoad) error {
	var args []any
	for _, l := range loads {
		if l.Waiting > 0 {
			args = append(args, shard, l.Queue, l.Waiting)
		}
	}
	return db.write(ctx, nil, func(ctx context.Context, w *writer) error {
		var last int64
		err := w.row(ctx, takeNumbersAsLeader, 0, shard, string(host), epoch).Scan(&last)
		if errors.Is(err, sql.ErrNoRows) {
			return store.Fenced("say what waits in the queues")
		}
		if err != nil {
			return err
		}
		if err := w.exec(ctx, deleteLoads, shard); err != nil {
			return err
		}
		return w.insert(ctx, insertLoad, "", 3, args)
	})
}

// QueueLoads returns what waits in each queue, over all shards.
func (db *DB) QueueLoads(ctx context.Context) ([]automation.QueueLoad, error) {
	return list(ctx, db, scanLoad, selectLoads)
}

func scanLoad(row scanner) (automation.QueueLoad, error) {
	var l automation.QueueLoad
	return l, row.Scan(&l.Queue, &l.Waiting)
}
