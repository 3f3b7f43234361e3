package service

import (
	"context"
	"errors"
	"fmt"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/scheduler/cron"
	"opsconductor.dev/host/store"
)

const (
	// maxBackfill is how many times one call makes up for at the most.
	maxBackfill = 1000
	// maxCounted is how far the times of a span that is too long are counted.
	maxCounted = 100_000
	// backfillBatch is how many runs are accepted between two records of them.
	backfillBatch = 100
)

// BackfillRequest asks for the runs of a schedule's times from From (included) to
// To (not included).
type BackfillRequest struct {
	From, To time.Time
	// Max is how many times the caller reckons with at the most, 1 to 1000; 0: 1000.
	Max int
	// DryRun tells the times, and submits nothing.
	DryRun bool
	// Again submits also for times that have a run; it needs Key.
	Again bool
	// Key is the Idempotency-Key of Again: the same key submits once. Without Again
	// it means nothing, since a time has one run.
	Key string
}

// BackfillOutcome says what a backfill did about a time.
type BackfillOutcome string

// The outcomes.
const (
	BackfillSubmitted BackfillOutcome = "submitted" // it got a run
	BackfillFired     BackfillOutcome = "fired"     // it had one
	BackfillDue       BackfillOutcome = "due"       // a dry run: it would get one
)

// BackfillTime is one time of a backfill. Run is empty for a time that is due,
// and for one that fired before runs were recorded by their times.
type BackfillTime struct {
	At      time.Time
	Run     automation.RunID
	Outcome BackfillOutcome
}

// Backfill submits the runs of a schedule's times in a span that is over. Each
// time gets one run, whoever asks and how often: a call that broke off is simply
// repeated. The runs are accepted in the order of their times, whatever the
// schedule's overlap policy says, and are of one plan: the definition as things
// are now. Times that a schedule is still to fire itself are left out; a paused
// schedule has none. Everything wrong with the request is found at once, and
// then nothing is submitted.
func (s *Service) Backfill(ctx context.Context, p automation.Principal, ref string, r BackfillRequest) ([]BackfillTime, error) {
	if err := s.authorise(p, opScheduleBackfill); err != nil {
		return nil, err
	}
	if r.Max == 0 {
		r.Max = maxBackfill
	}
	if err := refused(append(checkSpan(r, s.now()), checkAgain(r), checkKey(r.Key))...); err != nil {
		return nil, err
	}
	one, err := s.findSchedule(ctx, p.Tenant, ref)
	if err != nil {
		return nil, err
	}
	out, err := s.timesToFill(ctx, one, r)
	if err != nil || r.DryRun {
		return out, fault(err)
	}
	return s.fill(ctx, p, one, r, out)
}

func checkSpan(r BackfillRequest, now time.Time) []*automation.Error {
	var out []*automation.Error
	add := func(code automation.Code, pointer, message, allowed string) {
		out = append(out, &automation.Error{Code: code, Pointer: pointer, Message: message, Allowed: allowed})
	}
	if r.From.IsZero() {
		add(automation.CodeMissing, "/from", "a backfill needs the time that it begins with", "a time, like 2026-03-01T00:00:00Z")
	}
	switch {
	case r.To.IsZero():
		add(automation.CodeMissing, "/to", "a backfill needs the time that it ends before", "a time, like 2026-03-01T00:00:00Z")
	case !r.To.After(r.From):
		add(automation.CodeInvalid, "/to", "the span ends before it begins", "a time after from")
	case r.To.After(now):
		add(automation.CodeInvalid, "/to", "the span ends in the future", "a time up to now: the schedule fires later ones itself")
	}
	if r.Max < 1 || r.Max > maxBackfill {
		add(automation.CodeInvalid, "/max", "the number of times is out of range", fmt.Sprintf("1 to %d", maxBackfill))
	}
	return out
}

func checkAgain(r BackfillRequest) *automation.Error {
	if !r.Again || r.Key != "" || r.DryRun {
		return nil
	}
	return &automation.Error{
		Code: automation.CodeMissing, Pointer: "/again", Message: "runs for times that have one need an Idempotency-Key, so that a repeated request makes no further ones",
		Suggestion: "send the header Idempotency-Key with a random UUID",
	}
}

// timesToFill lists the times of a span, with the runs that they have.
func (s *Service) timesToFill(ctx context.Context, one automation.Schedule, r BackfillRequest) ([]BackfillTime, error) {
	end := r.To
	if !one.Next.IsZero() && one.Next.Before(end) {
		end = one.Next
	}
	times, err := timesFrom(one, r.From)
	if err != nil {
		return nil, err
	}
	var out []BackfillTime
	n := 0
	for at, ok := times.Next(r.From.Add(-time.Microsecond)); ok && at.Before(end) && n <= maxCounted; at, ok = times.Next(at) {
		if n++; n <= r.Max {
			out = append(out, BackfillTime{At: at, Outcome: BackfillDue})
		}
	}
	if n > r.Max {
		return nil, tooManyTimes(n, r.Max)
	}
	if n == 0 {
		return nil, nil
	}
	had, err := s.store.ScheduleRuns(ctx, one.Tenant, one.ID, r.From, end, n)
	if err != nil {
		return nil, err
	}
	runs := make(map[int64]automation.RunID, len(had))
	for _, h := range had {
		runs[h.At.UnixMicro()] = h.Run
	}
	for i := range out {
		if run := runs[out[i].At.UnixMicro()]; run != "" && !r.Again {
			out[i].Run, out[i].Outcome = run, BackfillFired
		}
	}
	return out, nil
}

// timesFrom is the times of a schedule, also those from before an interval's
// schedule was made: its distances reach back.
func timesFrom(one automation.Schedule, from time.Time) (cron.Times, error) {
	t, err := timingOf(one)
	if err != nil {
		return nil, err
	}
	every, ok := t.times.(cron.Interval)
	if ok && !from.After(every.From) {
		back := every.From.Sub(from)/every.Every + 2
		every.From = every.From.Add(-back * every.Every)
		return every, nil
	}
	return t.times, nil
}

func tooManyTimes(n, most int) error {
	count := fmt.Sprint(n)
	if n > maxCounted {
		count = fmt.Sprintf("more than %d", maxCounted)
	}
	return &automation.Error{
		Code: automation.CodeLimit, Pointer: "/to", Message: fmt.Sprintf("the span has %s times of the schedule", count),
		Allowed: fmt.Sprintf("at most %d", most), Suggestion: "backfill a shorter span, and the rest by further requests",
	}
}

// fill submits the runs of those times that are due.
func (s *Service) fill(ctx context.Context, p automation.Principal, one automation.Schedule, r BackfillRequest, times []BackfillTime) ([]BackfillTime, error) {
	plan, err := s.plan(ctx, p.Tenant, PlanRequest{Definition: []byte(one.Definition), Inputs: one.Inputs})
	if err != nil {
		return nil, err
	}
	var made []automation.ScheduleRun
	for i := range times {
		t := &times[i]
		if t.Outcome == BackfillDue {
			if err := s.fillTime(ctx, p, one, r, plan, t); err != nil {
				return nil, fault(errors.Join(err, s.store.PutScheduleRuns(ctx, one.Tenant, one.ID, made)))
			}
			if t.Run != "" {
				made = append(made, automation.ScheduleRun{At: t.At, Run: t.Run})
			}
		}
		if len(made) == backfillBatch || i == len(times)-1 {
			if err := s.store.PutScheduleRuns(ctx, one.Tenant, one.ID, made); err != nil {
				return nil, fault(err)
			}
			made = made[:0]
		}
	}
	return times, nil
}

// fillTime submits the run of one time, under the key that the schedule's own
// firing of that time has.
func (s *Service) fillTime(
	ctx context.Context, p automation.Principal, one automation.Schedule, r BackfillRequest, plan PlanResult, t *BackfillTime,
) error {
	by := scheduler(one.Tenant, one.ID, "schedule:"+one.Name)
	run := automation.Run{
		ID: automation.NewID[automation.RunID](), Tenant: one.Tenant, Workflow: plan.Plan.Workflow, PlanHash: plan.Hash,
		State: automation.RunQueued, By: by.Name, Begin: &automation.Begin{Scheduled: t.At},
	}
	key := timeKey(t.At)
	if r.Again {
		key += " " + string(p.Token) + " " + r.Key
	}
	act := s.act(by, opRunSubmit, string(run.ID), key)
	run.Created = act.At
	act.Request = digestOf([]byte(run.PlanHash))
	act.Detail = detail(map[string]any{"workflow": run.Workflow, "plan_hash": run.PlanHash, "schedule": one.ID, "at": t.At, "backfill_by": p.Name})
	run, created, err := s.store.Accept(ctx, run, act)
	if errors.Is(err, store.ErrKeyReused) { // it fired by another plan, before times were recorded
		t.Outcome = BackfillFired
		return nil
	}
	if err != nil {
		return err
	}
	t.Run, t.Outcome = run.ID, BackfillSubmitted
	if !created {
		t.Outcome = BackfillFired
	}
	return nil
}
