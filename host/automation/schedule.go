package automation

import (
	"encoding/json"
	"time"
)

// ScheduleID names a schedule.
type ScheduleID string

// CatchUp says what becomes of times that no host was there for.
type CatchUp string

// The catch-up policies.
const (
	CatchUpSkip CatchUp = "skip" // they pass without a run
	CatchUpOne  CatchUp = "one"  // one run stands for all of them
	CatchUpAll  CatchUp = "all"  // each gets its run, the newest 100 at most
)

// CatchUps lists the catch-up policies.
func CatchUps() []CatchUp { return []CatchUp{CatchUpSkip, CatchUpOne, CatchUpAll} }

// Overlap says what happens at a time when the schedule's last run is still open.
type Overlap string

// The overlap policies.
const (
	OverlapSkip   Overlap = "skip"   // no new run
	OverlapQueue  Overlap = "queue"  // the time waits for its end: runs go one after the other
	OverlapAllow  Overlap = "allow"  // a new run all the same
	OverlapCancel Overlap = "cancel" // a cancel is asked of the last run, and a new run submitted
)

// Overlaps lists the overlap policies.
func Overlaps() []Overlap { return []Overlap{OverlapSkip, OverlapQueue, OverlapAllow, OverlapCancel} }

// Schedule submits runs of a definition at the times of a cron expression or an
// interval: exactly one of Cron and Interval is set.
type Schedule struct {
	ID         ScheduleID      `json:"id"`
	Tenant     TenantID        `json:"tenant"`
	Name       string          `json:"name"`       // unique in the tenant
	Definition string          `json:"definition"` // of the workflow: YAML or JSON, as it was given
	Inputs     json.RawMessage `json:"inputs,omitempty"`
	Cron       string          `json:"cron,omitempty"`     // five fields, or six with seconds first
	Interval   string          `json:"interval,omitempty"` // like 15m, counted from Created
	TimeZone   string          `json:"time_zone"`          // IANA name
	CatchUp    CatchUp         `json:"catch_up"`
	Overlap    Overlap         `json:"overlap"`
	// Jitter is how much later than its time a run is submitted at the most, like
	// 30s; "": none.
	Jitter string `json:"jitter,omitempty"`
	Paused bool   `json:"paused"`
	// Next is the next time to fire, Due the same with its jitter; zero: none, as
	// while it is paused.
	Next time.Time `json:"next_at,omitzero"`
	Due  time.Time `json:"due_at,omitzero"`
	// Last is the last time that fired, LastRun the last run that was submitted,
	// LastError why the last time got no run.
	Last      time.Time `json:"last_at,omitzero"`
	LastRun   RunID     `json:"last_run_id,omitempty"`
	LastError *Error    `json:"last_error,omitempty"`
	Created   time.Time `json:"created_at"`
	Updated   time.Time `json:"updated_at"`
	// Version counts the changes that people make, from 1: the ETag. Firing does
	// not raise it.
	Version int64 `json:"version"`
}

// Fire is a time of a schedule that was claimed and whose run is to be accepted.
// All that the run is made of is in it, so that whoever takes it up makes the same.
type Fire struct {
	Schedule ScheduleID
	Tenant   TenantID
	At       time.Time // the time of the schedule, without jitter
	Run      RunID     // the run's identifier, if it is not accepted yet
	PlanHash Digest
	Workflow string
	By       string    // the principal's name
	Claimed  time.Time // when, by the claimer's clock
}

// ScheduleRun is the run of a time of a schedule.
type ScheduleRun struct {
	At  time.Time
	Run RunID
}
