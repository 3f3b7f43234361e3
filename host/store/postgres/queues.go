package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"opsconductor.dev/host/automation"
)

const (
	deleteLoads = `DELETE FROM queue_loads WHERE shard = $1`
	insertLoads = `INSERT INTO queue_loads (shard, queue, waiting) SELECT $1, * FROM unnest($2::text[], $3::bigint[])`
	selectLoads = `SELECT queue, sum(waiting)::bigint FROM queue_loads GROUP BY queue ORDER BY queue`
)

// PutQueueLoads replaces what waits in the queues of a shard, in one round trip.
func (db *DB) PutQueueLoads(ctx context.Context, shard int, host automation.HostID, epoch int64, loads []automation.QueueLoad) error {
	var queues []string
	var waiting []int64
	for _, l := range loads {
		if l.Waiting > 0 {
			queues, waiting = append(queues, l.Queue), append(waiting, int64(l.Waiting))
		}
	}
	return db.write(ctx, nil, func(ctx context.Context) error {
		p := &pgx.Batch{}
		p.Queue(takeNumbers, shard, 0, string(host), epoch)
		p.Queue(deleteLoads, shard)
		p.Queue(insertLoads, shard, queues, waiting)
		return db.pool.SendBatch(ctx, p).Close()
	})
}

// QueueLoads returns what waits in each queue, over all shards.
func (db *DB) QueueLoads(ctx context.Context) ([]automation.QueueLoad, error) {
	return list(ctx, db, scanLoad, selectLoads)
}

func scanLoad(row pgx.Row) (automation.QueueLoad, error) {
	var l automation.QueueLoad
	return l, row.Scan(&l.Queue, &l.Waiting)
}
