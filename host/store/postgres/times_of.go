package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
)

const (
	putScheduleRun = `INSERT INTO schedule_times (schedule_id, at, tenant, run_id) SELECT id, $1, tenant, $2 FROM schedules WHERE id = $3 AND tenant = $4
		ON CONFLICT (schedule_id, at) DO UPDATE SET run_id = excluded.run_id`
	selectScheduleRuns = `SELECT at, run_id FROM schedule_times WHERE schedule_id = $1 AND tenant = $2 AND at >= $3 AND at < $4 ORDER BY at LIMIT $5`
)

// PutScheduleRuns records the runs of times of a schedule.
func (db *DB) PutScheduleRuns(ctx context.Context, tenant automation.TenantID, id automation.ScheduleID, runs []automation.ScheduleRun) error {
	return db.write(ctx, nil, func(ctx context.Context) error {
		tx, err := db.pool.Begin(ctx)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback(ctx) }()
		for _, r := range runs {
			n, err := changed(ctx, tx, putScheduleRun, moment(r.At), string(r.Run), string(id), string(tenant))
			if err != nil {
				return err
			}
			if n == 0 {
				return store.NotFound("schedule")
			}
		}
		return tx.Commit(ctx)
	})
}

// ScheduleRuns returns the times of a schedule that got a run.
func (db *DB) ScheduleRuns(ctx context.Context, tenant automation.TenantID, id automation.ScheduleID, from, to time.Time, limit int) ([]automation.ScheduleRun, error) {
	if err := store.CheckLimit(limit); err != nil {
		return nil, err
	}
	return list(ctx, db, scanScheduleRun, selectScheduleRuns, string(id), string(tenant), moment(from), moment(to), limit)
}

func scanScheduleRun(row pgx.Row) (automation.ScheduleRun, error) {
	var r automation.ScheduleRun
	err := row.Scan(stamp{&r.At}, &r.Run)
	return r, err
}
