package service

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
	"opsconductor.dev/host/workflow"
)

// PlanRequest asks for a plan.
type PlanRequest struct {
	// Definition of the workflow: YAML or JSON.
	Definition []byte
	// Workflow is a stored one instead of a Definition: NAME@VERSION, or NAME for the
	// newest active version.
	Workflow string
	// Inputs is a JSON object; nil: no inputs.
	Inputs json.RawMessage
}

// PlanResult is a plan that was stored under its hash.
type PlanResult struct {
	Hash automation.Digest
	Plan *workflow.Plan
}

// SubmitRequest asks for a run, of a stored plan (PlanHash), or of a definition or
// a stored workflow (as in a PlanRequest) that is planned at once, with Inputs. One
// of the three is set.
type SubmitRequest struct {
	PlanHash   automation.Digest
	Definition []byte
	Workflow   string
	Inputs     json.RawMessage
	// Key is the Idempotency-Key; "": none. The same key with the same request
	// gives the run of the first time.
	Key string
}

// Submit accepts a run: when it returns without an error the run is durable, and
// the scheduler will carry it out. created is false when the key was used before
// for the same request: run is then the run of that time. A plan whose plugins
// are no longer active is a conflict that names them.
func (s *Service) Submit(ctx context.Context, p automation.Principal, r SubmitRequest) (run automation.Run, created bool, err error) {
	if err := s.authorise(p, opRunSubmit); err != nil {
		return automation.Run{}, false, err
	}
	if err := refused(checkKey(r.Key), checkSubmit(r)); err != nil {
		return automation.Run{}, false, err
	}
	run = automation.Run{ID: automation.NewID[automation.RunID](), Tenant: p.Tenant, State: automation.RunQueued, By: p.Name}
	act := s.act(p, opRunSubmit, string(run.ID), r.Key)
	run.Created = act.At
	act.Request = digestOf([]byte(r.PlanHash), r.Definition, r.Inputs)
	if r.Workflow != "" {
		act.Request = digestOf([]byte("workflow"), []byte(r.Workflow), r.Inputs)
	}
	plan, err := s.planToSubmit(ctx, p.Tenant, r)
	if err != nil {
		if earlier, found := s.submitted(ctx, run, act); found {
			return earlier, false, nil
		}
		return automation.Run{}, false, err
	}
	run.Workflow, run.PlanHash = plan.Plan.Workflow, plan.Hash
	act.Detail = detail(map[string]any{"workflow": run.Workflow, "plan_hash": run.PlanHash})
	run, created, err = s.store.Accept(ctx, run, act)
	return run, created, fault(err)
}

// submitted returns the run that the same request was accepted as before, under
// the same key: a repetition gets its run also when the plugins or the assets have
// changed meanwhile, so that it could not be planned now. It asks by accepting a
// run of a plan that no store can have: of such a run the store takes nothing but
// its key, and that only when it is known.
func (s *Service) submitted(ctx context.Context, run automation.Run, act automation.Act) (automation.Run, bool) {
	if act.Key == "" {
		return automation.Run{}, false
	}
	run.PlanHash = noPlan
	earlier, created, err := s.store.Accept(ctx, run, act)
	return earlier, err == nil && !created
}

// noPlan has the form of a plan's hash and is the hash of none.
const noPlan automation.Digest = "0000000000000000000000000000000000000000000000000000000000000000"

func checkSubmit(r SubmitRequest) *automation.Error {
	of := 0
	for _, given := range []bool{r.PlanHash != "", len(r.Definition) > 0, r.Workflow != ""} {
		if given {
			of++
		}
	}
	if of != 1 {
		return &automation.Error{
			Code: automation.CodeBadRequest, Message: "a run is of a plan, of a definition or of a stored workflow: exactly one of them",
			Suggestion: "send the plan's hash, or the definition or the workflow's NAME@VERSION with its inputs",
		}
	}
	if r.PlanHash != "" && len(r.Inputs) > 0 {
		return &automation.Error{
			Code: automation.CodeBadRequest, Pointer: "/inputs", Message: "a plan has its inputs already",
			Suggestion: "leave them out, or plan again with other inputs",
		}
	}
	return nil
}

// Run returns one run.
func (s *Service) Run(ctx context.Context, p automation.Principal, id automation.RunID) (automation.Run, error) {
	if err := s.authorise(p, opRunRead); err != nil {
		return automation.Run{}, err
	}
	return s.findRun(ctx, p.Tenant, id)
}

func (s *Service) findRun(ctx context.Context, tenant automation.TenantID, id automation.RunID) (automation.Run, error) {
	if _, err := automation.ParseID[automation.RunID](string(id)); err != nil {
		return automation.Run{}, fault(err)
	}
	run, err := s.store.Run(ctx, tenant, id)
	return run, fault(err)
}

// RunQuery says which runs to list.
type RunQuery = store.RunQuery

// ListRuns returns the runs that q asks for, the newest first (Page.After is an
// identifier), without their outputs.
func (s *Service) ListRuns(ctx context.Context, p automation.Principal, q RunQuery, page automation.Page) ([]automation.Run, error) {
	if err := s.authorise(p, opRunRead); err != nil {
		return nil, err
	}
	if err := refused(checkPage(&page), checkRunState(q.State)); err != nil {
		return nil, err
	}
	if q.Parent != "" {
		if _, err := s.findRun(ctx, p.Tenant, q.Parent); err != nil {
			return nil, err
		}
	}
	out, err := s.store.ListRuns(ctx, p.Tenant, q, page)
	return out, fault(err)
}

func checkRunState(state automation.RunState) *automation.Error {
	if state == "" {
		return nil
	}
	names := make([]string, 0, len(automation.RunStates()))
	for _, known := range automation.RunStates() {
		if state == known {
			return nil
		}
		names = append(names, string(known))
	}
	return &automation.Error{
		Code: automation.CodeBadRequest, Pointer: "/state", Message: "not a state of runs", Allowed: strings.Join(names, ", "),
	}
}

// Cancel asks the scheduler to end a run: nothing more is started, and what runs
// is stopped. It returns the run as it is at that moment, which may still be
// running. Asking again changes nothing. A run that has ended is a conflict that
// says how.
func (s *Service) Cancel(ctx context.Context, p automation.Principal, id automation.RunID, reason, key string) (automation.Run, error) {
	if err := s.authorise(p, opRunCancel); err != nil {
		return automation.Run{}, err
	}
	if err := refused(checkKey(key), checkReason(reason)); err != nil {
		return automation.Run{}, err
	}
	run, err := s.findRun(ctx, p.Tenant, id)
	if err != nil {
		return automation.Run{}, err
	}
	asked, err := s.cancelAsked(ctx, run)
	if err != nil {
		return automation.Run{}, err
	}
	if run.State.Ended() && !(asked && run.State == automation.RunCancelled) {
		return automation.Run{}, &automation.Error{
			Code: automation.CodeConflict, Message: fmt.Sprintf("the run has ended already: %s", run.State),
			Suggestion: "there is nothing left to cancel",
		}
	}
	if asked {
		return run, nil
	}
	return s.command(ctx, p, opRunCancel, automation.Command{Shard: run.Shard, Run: id, Kind: automation.FactCancelAsked, Reason: reason}, key)
}

// cancelAsked reports whether a cancel of the run waits for the leader or is in
// its log.
func (s *Service) cancelAsked(ctx context.Context, run automation.Run) (bool, error) {
	waiting, err := s.store.Commands(ctx, run.Shard, maxPage)
	if err != nil {
		return false, fault(err)
	}
	for _, c := range waiting {
		if c.Run == run.ID && c.Kind == automation.FactCancelAsked {
			return true, nil
		}
	}
	asked := false
	err = s.look(ctx, run, func(v *view) { asked = v.cancelAsked })
	return asked, err
}

func checkReason(reason string) *automation.Error {
	control := strings.ContainsFunc(reason, func(c rune) bool { return c < ' ' && c != '\n' && c != '\t' || c == 0x7f })
	if len(reason) <= maxText && utf8.ValidString(reason) && !control {
		return nil
	}
	return &automation.Error{
		Code: automation.CodeBadRequest, Pointer: "/reason", Message: "the reason is not well formed",
		Allowed: fmt.Sprintf("UTF-8 text of at most %d bytes without control characters", maxText),
	}
}
