package service

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/scheduler/cron"
	"opsconductor.dev/host/store"
)

const (
	// onTime is how late a time may be claimed and still count as on time; a later
	// one was missed, and the catch-up policy has the say.
	onTime = time.Minute
	// maxCatchUp is how many missed times get a run with the policy "all".
	maxCatchUp = 100 // and how many wait with the overlap policy "queue"
	// takeOver is how old a claim is when somebody else finishes it. Two that finish
	// the same claim make one run; it only saves the work.
	takeOver = 15 * time.Second
	// maxRounds bounds one call of FireDue, with fireBatch schedules a round.
	maxRounds = 100
	fireBatch = 100
	// queueLook is how often a time that waits for the last run looks whether it has ended.
	queueLook = time.Second
)

// FireDue submits the runs of all schedules whose time has come, of all tenants,
// and returns when the next time is due (zero: none that is known). Any number of
// hosts may call it at the same time: each time fires once. It is for the
// composition root, and takes no principal: each run is submitted as its
// schedule, in its schedule's tenant, as a submitter.
func (s *Service) FireDue(ctx context.Context) (time.Time, error) {
	again, err := s.finishClaims(ctx)
	if err != nil {
		return time.Time{}, fault(err)
	}
	for range maxRounds {
		list, err := s.store.NextSchedules(ctx, fireBatch)
		if err != nil {
			return time.Time{}, fault(err)
		}
		for _, one := range list {
			if one.Due.After(s.now()) {
				break
			}
			if err := s.fire(ctx, one); err != nil && !isCode(err, automation.CodeConflict) {
				return time.Time{}, fault(fmt.Errorf("fire schedule %s: %w", one.ID, err))
			}
		}
		if len(list) == 0 {
			return again, nil
		}
		if due := list[0].Due; due.After(s.now()) {
			return earlier(due, again), nil
		}
	}
	return s.now(), nil
}

// earlier is the earlier of two times of which the second may be zero.
func earlier(a, b time.Time) time.Time {
	if b.IsZero() || a.Before(b) {
		return a
	}
	return b
}

// finishClaims finishes what others claimed and left, and returns when to look
// again for those that are still young.
func (s *Service) finishClaims(ctx context.Context) (again time.Time, err error) {
	claims, err := s.store.ClaimedFires(ctx, fireBatch)
	if err != nil {
		return again, err
	}
	for _, f := range claims {
		if old := f.Claimed.Add(takeOver); old.After(s.now()) {
			return old, nil
		}
		if err := s.finishFire(ctx, f); err != nil {
			return again, fmt.Errorf("finish a time of schedule %s: %w", f.Schedule, err)
		}
	}
	return again, nil
}

// fire claims a schedule's next time and submits its run. A conflict means that
// somebody else was first.
func (s *Service) fire(ctx context.Context, one automation.Schedule) error {
	now := store.Moment(s.now())
	last, err := s.lastRun(ctx, one)
	if err != nil {
		return err
	}
	if one.Overlap == automation.OverlapQueue && last != nil && !last.State.Ended() {
		return s.store.PutOff(ctx, one, now.Add(queueLook))
	}
	p := scheduler(one.Tenant, one.ID, "schedule:"+one.Name)
	c, run := s.nextClaim(one, last, now)
	seen := map[string]any{"name": one.Name, "at": c.At, "next_at": c.Next}
	if !c.At.Equal(one.Next) {
		seen["missed_from"] = one.Next
	}
	if run {
		if c.Fire, c.Problem, err = s.prepare(ctx, p, one, last, c.At); err != nil {
			return err
		}
	}
	if c.Fire != nil {
		c.Fire.Claimed = now
		seen["run"] = c.Fire.Run
	}
	if c.Problem != nil {
		seen["code"], seen["message"] = c.Problem.Code, c.Problem.Message
	}
	act := s.act(p, opScheduleFire, string(one.ID), "")
	act.Detail = detail(seen)
	if err := s.store.ClaimFire(ctx, c, act); err != nil {
		return err
	}
	if c.Problem != nil {
		s.log.LogAttrs(ctx, slog.LevelWarn, "a schedule's time got no run", slog.String("schedule", one.Name), slog.Time("at", c.At), slog.Any("error", c.Problem))
	}
	if c.Fire == nil {
		return nil
	}
	return s.finishFire(ctx, *c.Fire)
}

// lastRun returns the last run of a schedule; nil when there is none any more.
func (s *Service) lastRun(ctx context.Context, one automation.Schedule) (*automation.Run, error) {
	if one.LastRun == "" {
		return nil, nil
	}
	last, err := s.store.Run(ctx, one.Tenant, one.LastRun)
	if isCode(err, automation.CodeNotFound) {
		return nil, nil
	}
	return &last, err
}

// queued reports whether a schedule's next time has waited for its last run: then
// no host has missed it.
func queued(one automation.Schedule, last *automation.Run) bool {
	return one.Overlap == automation.OverlapQueue && last != nil && !last.Ended.Before(one.Next)
}

// nextClaim is how a schedule moves on at a moment, and whether the time that it
// claims gets a run. last is its last run, which has ended where runs queue; nil: none.
func (s *Service) nextClaim(one automation.Schedule, last *automation.Run, now time.Time) (c store.Claim, run bool) {
	c = store.Claim{Schedule: one, At: one.Next}
	t, err := timingOf(one)
	if err != nil { // it was checked when it was stored: another version's, or somebody's hand in the database
		c.Problem = &automation.Error{
			Code: automation.CodeInvalid, Message: "this host can't read the schedule's times, and it fires no more: " + err.Error(),
			Suggestion: "update the schedule",
		}
		return c, false
	}
	late := now.Add(-onTime - t.jitter)
	if one.Next.After(late) {
		c.Next, c.Due = t.after(one.ID, one.Next)
		return c, true
	}
	n := 1
	if one.CatchUp == automation.CatchUpAll || queued(one, last) {
		n = maxCatchUp
	}
	missed := cron.Latest(t.times, one.Next.Add(-time.Microsecond), late, n)
	if len(missed) == 0 { // the times were changed by hand
		missed = []time.Time{one.Next}
	}
	c.At = missed[0]
	if len(missed) > 1 {
		c.Next, c.Due = missed[1], missed[1]
	} else {
		c.Next, c.Due = t.after(one.ID, late)
	}
	if one.CatchUp == automation.CatchUpSkip && !queued(one, last) {
		c.Problem = &automation.Error{
			Code: automation.CodeTimeout, Message: "no host was there at that time", Suggestion: "set catch_up to one or all to make up for such times",
		}
		return c, false
	}
	return c, true
}

// after returns the first time after another, and when it is due: its jitter is a
// hash of schedule and time, the same on every host, and never reaches the time
// that follows.
func (t timing) after(id automation.ScheduleID, after time.Time) (next, due time.Time) {
	next, ok := t.times.Next(after)
	if !ok {
		return time.Time{}, time.Time{}
	}
	jitter := t.jitter
	if following, ok := t.times.Next(next); ok {
		jitter = min(jitter, following.Sub(next))
	}
	if jitter <= 0 {
		return next, next
	}
	h := fnv.New64a()
	fmt.Fprintf(h, "%s %d", id, next.UnixMicro())
	return next, store.Moment(next.Add(time.Duration(h.Sum64() % uint64(jitter))))
}

// prepare makes what a run of a schedule needs, or says why there is none.
func (s *Service) prepare(ctx context.Context, p automation.Principal, one automation.Schedule, last *automation.Run, at time.Time) (*automation.Fire, *automation.Error, error) {
	if one.Overlap == automation.OverlapSkip && last != nil && !last.State.Ended() {
		return nil, &automation.Error{
			Code: automation.CodeConflict, Message: fmt.Sprintf("the last run, %s, was still open", last.ID),
			Suggestion: "set overlap to queue or cancel, or let the schedule fire less often",
		}, nil
	}
	plan, err := s.plan(ctx, p.Tenant, PlanRequest{Definition: []byte(one.Definition), Inputs: one.Inputs})
	if code := automation.CodeOf(err); err != nil && (code == automation.CodeUnavailable || code == automation.CodeInternal) {
		return nil, nil, err // not the definition's fault: the time stays unclaimed
	}
	if err != nil {
		return nil, planProblem(err), nil
	}
	return &automation.Fire{
		Schedule: one.ID, Tenant: one.Tenant, At: at, Run: automation.NewID[automation.RunID](), PlanHash: plan.Hash,
		Workflow: plan.Plan.Workflow, By: p.Name,
	}, nil, nil
}

// planProblem is what a schedule records of a definition that gives no plan.
func planProblem(err error) *automation.Error {
	out := firstOf(err)
	out.Message = "the definition gives no plan now: " + out.Message
	return out
}

// firstOf is the first of the errors in err's tree, and says how many more there are.
func firstOf(err error) *automation.Error {
	var many automation.Errors
	first := automation.AsError(err)
	if errors.As(err, &many) && len(many) > 0 {
		first = many[0]
	}
	out := *first
	if len(many) > 1 {
		out.Message += fmt.Sprintf(" (and %d more errors)", len(many)-1)
	}
	return &out
}

// finishFire accepts the run of a claimed time and ends the claim. It may be done
// again, by anybody, and makes the same run: it is accepted under a key of
// schedule and time.
func (s *Service) finishFire(ctx context.Context, f automation.Fire) error {
	p := scheduler(f.Tenant, f.Schedule, f.By)
	if err := s.authorise(p, opRunSubmit); err != nil {
		return err
	}
	one, err := s.store.Schedule(ctx, f.Tenant, f.Schedule)
	if err != nil {
		return ignore(err, automation.CodeNotFound) // it was deleted, and its claim with it
	}
	if one.Overlap == automation.OverlapCancel && one.LastRun != "" {
		_, err := s.Cancel(ctx, p, one.LastRun, "the schedule "+one.Name+" fired again", "")
		if err = ignore(err, automation.CodeConflict, automation.CodeNotFound); err != nil { // it has ended, which is fine
			return err
		}
	}
	run := automation.Run{
		ID: f.Run, Tenant: f.Tenant, Workflow: f.Workflow, PlanHash: f.PlanHash, State: automation.RunQueued, By: f.By,
		Begin: &automation.Begin{Scheduled: f.At},
	}
	act := s.act(p, opRunSubmit, string(run.ID), timeKey(f.At))
	run.Created = act.At
	act.Request = digestOf([]byte(f.PlanHash))
	act.Detail = detail(map[string]any{"workflow": run.Workflow, "plan_hash": run.PlanHash, "schedule": f.Schedule, "at": f.At})
	run, _, err = s.store.Accept(ctx, run, act)
	if code := automation.CodeOf(err); err != nil && (code == automation.CodeUnavailable || code == automation.CodeInternal) {
		return err
	}
	if errors.Is(err, store.ErrKeyReused) { // a backfill has given the time its run, by another plan
		if done, listErr := s.store.ScheduleRuns(ctx, f.Tenant, f.Schedule, f.At, f.At.Add(time.Microsecond), 1); listErr == nil && len(done) == 1 {
			return s.store.FinishFire(ctx, f, done[0].Run, nil)
		}
	}
	if err != nil {
		return s.store.FinishFire(ctx, f, "", automation.AsError(err))
	}
	return s.store.FinishFire(ctx, f, cmp.Or(run.ID, f.Run), nil)
}

// timeKey is the idempotency key of the run of a schedule's time.
func timeKey(at time.Time) string { return at.UTC().Format(time.RFC3339Nano) }

func ignore(err error, codes ...automation.Code) error {
	for _, code := range codes {
		if isCode(err, code) {
			return nil
		}
	}
	return err
}

// scheduler is the principal that a schedule submits as: a submitter, with the
// schedule's identifier in the token's place, so that its idempotency keys are
// its own.
func scheduler(tenant automation.TenantID, id automation.ScheduleID, name string) automation.Principal {
	return automation.Principal{Tenant: tenant, Name: name, Role: automation.RoleSubmitter, Token: automation.TokenID(id)}
}
