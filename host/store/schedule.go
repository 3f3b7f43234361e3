package store

import (
	"context"
	"time"

	"opsconductor.dev/host/automation"
)

// Schedules is the stored schedules.
type Schedules interface {
	// CreateSchedule stores a schedule in version 1; conflict when the name is
	// taken. For a repeated act.Key it returns the schedule of that time and false.
	CreateSchedule(ctx context.Context, s automation.Schedule, act automation.Act) (automation.Schedule, bool, error)
	// UpdateSchedule replaces what people say of a schedule whose Version is still
	// s.Version and raises it. ID, Tenant, Created and all that firing records stay.
	// Next and Due are taken over; with Next zero they stay as they are, and a
	// paused schedule has none.
	UpdateSchedule(ctx context.Context, s automation.Schedule, act automation.Act) (automation.Schedule, error)
	// DeleteSchedule removes a schedule, and its claimed time with it.
	DeleteSchedule(ctx context.Context, tenant automation.TenantID, id automation.ScheduleID, act automation.Act) error
	Schedule(ctx context.Context, tenant automation.TenantID, id automation.ScheduleID) (automation.Schedule, error)
	// ScheduleByName returns the schedule with a name; not_found without one.
	ScheduleByName(ctx context.Context, tenant automation.TenantID, name string) (automation.Schedule, error)
	// ListSchedules returns schedules by name (Page.After is a name).
	ListSchedules(ctx context.Context, tenant automation.TenantID, page automation.Page) ([]automation.Schedule, error)
}

// Fires is the times of schedules, of all tenants. A time is claimed in the
// commit that moves its schedule on to the next one, so that exactly one claimer
// gets it; the claim stays until FinishFire, so that somebody else can finish it
// after a crash, and a schedule has one claimed time at most.
type Fires interface {
	// NextSchedules returns the schedules that have a next time and no claimed one,
	// the earliest Due first, at most limit.
	NextSchedules(ctx context.Context, limit int) ([]automation.Schedule, error)
	// ClaimFire moves a schedule on, with the act. Conflict when the schedule is not
	// as the claim has it: somebody else was first.
	ClaimFire(ctx context.Context, c Claim, act automation.Act) error
	// PutOff sets when a schedule is due to be looked at again, its next time staying
	// as it is. One that is not as s has it (version, Next, Due) is passed over.
	PutOff(ctx context.Context, s automation.Schedule, due time.Time) error
	// ClaimedFires returns the times that are claimed and not finished, the oldest
	// claim first, at most limit.
	ClaimedFires(ctx context.Context, limit int) ([]automation.Fire, error)
	// FinishFire records what a claimed time led to (a run, which becomes the time's
	// too, or an error) and ends the claim. A claim that is not there any more is passed over.
	FinishFire(ctx context.Context, f automation.Fire, run automation.RunID, problem *automation.Error) error
	// PutScheduleRuns records the runs of times of a schedule, in one commit; a time
	// that has one gets the new one. not_found when the tenant has no such schedule.
	PutScheduleRuns(ctx context.Context, tenant automation.TenantID, id automation.ScheduleID, runs []automation.ScheduleRun) error
	// ScheduleRuns returns the times of a schedule that got a run, from one time to
	// before another, the earliest first, at most limit.
	ScheduleRuns(ctx context.Context, tenant automation.TenantID, id automation.ScheduleID, from, to time.Time, limit int) ([]automation.ScheduleRun, error)
}

// Claim moves a schedule from one time to the next.
type Claim struct {
	// Schedule as it was read: its ID, Tenant, Version and Next have to be the same still.
	Schedule automation.Schedule
	// At is the time that is claimed: the schedule's Last.
	At time.Time
	// Next and Due are the schedule's next time; zero: none.
	Next, Due time.Time
	// Fire is what is to be accepted; nil: the time gets no run, for Problem's
	// reason, which is recorded as the schedule's LastError (nil: none).
	Fire    *automation.Fire
	Problem *automation.Error
}
