package sqlite

import (
	"context"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
)

const (
	putScheduleRun = `INSERT INTO schedule_times (schedule_id, at, tenant, run_id) SELECT id, ?1, tenant, ?2 FROM schedules WHERE id = ?3 AND tenant = ?4
		ON CONFLICT (schedule_id, at) DO UPDATE SET run_id = excluded.run_id`
	selectScheduleRuns = `SELECT at, run_id FROM schedule_times WHERE schedule_id = ? AND tenant = ? AND at >= ? AND at < ? ORDER BY at LIMIT ?`
)

// PutScheduleRuns records the runs of times of a schedule.
func (db *DB) PutScheduleRuns(ctx context.Context, tenant automation.TenantID, id automation.ScheduleID, runs []automation.ScheduleRun) error {
	return db.write(ctx, nil, func(ctx context.Context, w *writer) error {
		for _, r := range runs {
			n, err := w.changed(ctx, putScheduleRun, micros(r.At), string(r.Run), string(id), string(tenant))
			if err != nil {
				return err
			}
			if n == 0 {
				return store.NotFound("schedule")
			}
		}
		return nil
	})
}

// ScheduleRuns returns the times of a schedule that got a run.
func (db *DB) ScheduleRuns(ctx context.Context, tenant automation.TenantID, id automation.ScheduleID, from, to time.Time, limit int) ([]automation.ScheduleRun, error) {
	if err := store.CheckLimit(limit); err != nil {
		return nil, err
	}
	return list(ctx, db, scanScheduleRun, selectScheduleRuns, string(id), string(tenant), micros(from), micros(to), limit)
}

func scanScheduleRun(row scanner) (automation.ScheduleRun, error) {
	var r automation.ScheduleRun
	err := row.Scan(stamp{&r.At}, &r.Run)
	return r, err
}
