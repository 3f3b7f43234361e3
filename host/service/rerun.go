package service

import (
	"context"
	"fmt"

	"opsconductor.dev/host/automation"
)

// RerunScope says what of a run is run again.
type RerunScope string

// The scopes of a rerun.
const (
	RerunTargets RerunScope = "failed_targets" // what did not succeed, target by target
	RerunSteps   RerunScope = "failed_steps"   // steps that did not succeed, with all their items
	RerunAll     RerunScope = "all"            // everything
)

// maxKept bounds the outputs that a rerun takes over, in bytes.
const maxKept = 64 << 20

// RerunRequest asks for a rerun.
type RerunRequest struct {
	Scope RerunScope // "": RerunTargets
	Key   string     // the Idempotency-Key; "": none
}

// Rerun submits a run of the same plan as a run that has ended, which takes over
// the outcomes of what is not run again: what succeeded, unless something that it
// needs is run again. created is false when the key was used before for the same
// request. A run that goes on still, one of which nothing failed (save with
// RerunAll), and one whose plan has plugins that are not active any more are
// conflicts.
func (s *Service) Rerun(ctx context.Context, p automation.Principal, id automation.RunID, r RerunRequest) (run automation.Run, created bool, err error) {
	if err := s.authorise(p, opRunRerun); err != nil {
		return automation.Run{}, false, err
	}
	if r.Scope == "" {
		r.Scope = RerunTargets
	}
	if err := refused(checkKey(r.Key), checkRerun(r.Scope)); err != nil {
		return automation.Run{}, false, err
	}
	before, err := s.findRun(ctx, p.Tenant, id)
	if err != nil {
		return automation.Run{}, false, err
	}
	if err := mayRerun(before, r.Scope); err != nil {
		return automation.Run{}, false, err
	}
	begin, err := s.begin(ctx, before, r.Scope)
	if err != nil {
		return automation.Run{}, false, err
	}
	run = automation.Run{
		ID: automation.NewID[automation.RunID](), Tenant: p.Tenant, State: automation.RunQueued, By: p.Name,
		Workflow: before.Workflow, PlanHash: before.PlanHash, RerunOf: before.ID, Begin: begin,
	}
	act := s.act(p, opRunRerun, string(run.ID), r.Key)
	run.Created, act.Request = act.At, digestOf([]byte(before.ID), []byte(r.Scope))
	act.Detail = detail(map[string]any{"workflow": run.Workflow, "plan_hash": run.PlanHash, "rerun_of": before.ID, "scope": r.Scope, "kept_items": kept(begin)})
	if _, err := s.planToSubmit(ctx, p.Tenant, SubmitRequest{PlanHash: run.PlanHash}); err != nil {
		if earlier, found := s.submitted(ctx, run, act); found {
			return earlier, false, nil
		}
		return automation.Run{}, false, err
	}
	run, created, err = s.store.Accept(ctx, run, act)
	return run, created, fault(err)
}

func kept(b *automation.Begin) int {
	if b == nil {
		return 0
	}
	return len(b.Kept)
}

func checkRerun(scope RerunScope) *automation.Error {
	switch scope {
	case RerunTargets, RerunSteps, RerunAll:
		return nil
	}
	return &automation.Error{
		Code: automation.CodeBadRequest, Pointer: "/scope", Message: "there is no such scope of a rerun",
		Allowed: fmt.Sprintf("%s, %s, %s", RerunTargets, RerunSteps, RerunAll),
	}
}

func mayRerun(before automation.Run, scope RerunScope) error {
	switch {
	case before.Parent != nil:
		return &automation.Error{
			Code: automation.CodeConflict, Message: "the run carried out an item of run " + string(before.Parent.Run), Suggestion: "rerun that one",
		}
	case !before.State.Ended():
		return &automation.Error{
			Code: automation.CodeConflict, Message: fmt.Sprintf("the run has not ended: it is %s", before.State),
			Suggestion: "wait for its end, or cancel it first",
		}
	case before.State == automation.RunSucceeded && scope != RerunAll:
		return &automation.Error{
			Code: automation.CodeConflict, Message: "the run succeeded: nothing of it failed", Suggestion: "to run everything again ask for the scope " + string(RerunAll),
		}
	}
	return nil
}

// begin gathers what a rerun takes over: outcomes, and the time of the schedule
// that the run was for.
func (s *Service) begin(ctx context.Context, before automation.Run, scope RerunScope) (*automation.Begin, error) {
	b := &automation.Begin{}
	err := s.look(ctx, before, func(v *view) {
		b.Scheduled = v.fold.Scheduled()
		if scope != RerunAll {
			b.Kept = v.fold.Kept(scope == RerunSteps)
		}
	})
	if err != nil {
		return nil, err
	}
	size := 0
	for i := range b.Kept {
		size += len(b.Kept[i].Outcome.Output)
	}
	if size > maxKept {
		return nil, &automation.Error{
			Code: automation.CodeLimit, Message: "the outputs that the rerun would take over are too large", Allowed: fmt.Sprintf("%d MiB", maxKept>>20),
			Suggestion: "ask for the scope " + string(RerunAll),
		}
	}
	if len(b.Kept) == 0 && b.Scheduled.IsZero() {
		return nil, nil
	}
	return b, nil
}
