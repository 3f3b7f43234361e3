package sqlite

import (
	"context"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
)

const (
	selectSchedule = `SELECT id, tenant, name, definition, inputs, cron, every, time_zone, catch_up, overlap, jitter, paused,
		next_at, due_at, last_at, last_run, last_error, created_at, updated_at, version FROM schedules`
	scheduleByID   = selectSchedule + ` WHERE id = ? AND tenant = ?`
	scheduleByName = selectSchedule + ` WHERE name = ? AND tenant = ?`
	listSchedules  = selectSchedule + ` WHERE tenant = ? AND name > ? ORDER BY name LIMIT ?`
	insertSchedule = `INSERT INTO schedules (name, definition, inputs, cron, every, time_zone, catch_up, overlap, jitter, paused,
		next_at, due_at, updated_at, id, tenant, created_at, version) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1)`
	updateSchedule = `UPDATE schedules SET name = ?1, definition = ?2, inputs = ?3, cron = ?4, every = ?5, time_zone = ?6, catch_up = ?7,
		overlap = ?8, jitter = ?9, paused = ?10, next_at = CASE WHEN ?10 THEN NULL ELSE coalesce(?11, next_at) END,
		due_at = CASE WHEN ?10 THEN NULL ELSE coalesce(?12, due_at) END, updated_at = ?13, version = version + 1
		WHERE id = ?14 AND tenant = ?15 AND version = ?16`
	deleteSchedule = `DELETE FROM schedules WHERE id = ? AND tenant = ?`
)

// CreateSchedule stores a schedule in version 1.
func (db *DB) CreateSchedule(ctx context.Context, s automation.Schedule, act automation.Act) (automation.Schedule, bool, error) {
	args := append(scheduleArgs(s), micros(s.Created))
	return create(ctx, db, act, s.Tenant, string(s.ID), scanSchedule, scheduleByID, func(ctx context.Context, w *writer) error {
		return w.exec(ctx, insertSchedule, args...)
	})
}

// UpdateSchedule replaces what people say of a schedule whose Version is still s.Version.
func (db *DB) UpdateSchedule(ctx context.Context, s automation.Schedule, act automation.Act) (automation.Schedule, error) {
	args := append(scheduleArgs(s), s.Version)
	return update(ctx, db, act, s.Tenant, string(s.ID), scanSchedule, scheduleByID, func(ctx context.Context, w *writer) (int64, error) {
		return w.changed(ctx, updateSchedule, args...)
	})
}

// scheduleArgs are the values that insertSchedule and updateSchedule begin with.
func scheduleArgs(s automation.Schedule) []any {
	return []any{
		s.Name, s.Definition, text(s.Inputs), s.Cron, s.Interval, s.TimeZone, string(s.CatchUp), string(s.Overlap), s.Jitter, s.Paused,
		micros(s.Next), micros(s.Due), micros(s.Updated), string(s.ID), string(s.Tenant),
	}
}

// DeleteSchedule removes a schedule.
func (db *DB) DeleteSchedule(ctx context.Context, tenant automation.TenantID, id automation.ScheduleID, act automation.Act) error {
	return remove(ctx, db, act, tenant, string(id), "schedule", deleteSchedule)
}

// Schedule returns the schedule with an identifier.
func (db *DB) Schedule(ctx context.Context, tenant automation.TenantID, id automation.ScheduleID) (automation.Schedule, error) {
	return one(ctx, db, scanSchedule, "schedule", scheduleByID, string(id), string(tenant))
}

// ScheduleByName returns the schedule with a name.
func (db *DB) ScheduleByName(ctx context.Context, tenant automation.TenantID, name string) (automation.Schedule, error) {
	return one(ctx, db, scanSchedule, "schedule", scheduleByName, name, string(tenant))
}

// ListSchedules returns schedules by name.
func (db *DB) ListSchedules(ctx context.Context, tenant automation.TenantID, page automation.Page) ([]automation.Schedule, error) {
	if err := store.CheckPage(page); err != nil {
		return nil, err
	}
	return list(ctx, db, scanSchedule, listSchedules, string(tenant), page.After, page.Limit)
}

func scanSchedule(row scanner) (automation.Schedule, error) {
	var s automation.Schedule
	err := row.Scan(&s.ID, &s.Tenant, &s.Name, &s.Definition, document{&s.Inputs}, &s.Cron, &s.Interval, &s.TimeZone, &s.CatchUp, &s.Overlap,
		&s.Jitter, &s.Paused, stamp{&s.Next}, stamp{&s.Due}, stamp{&s.Last}, &s.LastRun, document{&s.LastError},
		stamp{&s.Created}, stamp{&s.Updated}, &s.Version)
	return s, err
}
