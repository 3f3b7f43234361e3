package service

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/registry/schema"
	"opsconductor.dev/host/workflow"
)

// ItemRef names an item of a run.
type ItemRef struct {
	Run  automation.RunID
	Step string
	Item int
}

// DecideRequest decides an approval.
type DecideRequest struct {
	ItemRef
	Decision automation.Decision
	Reason   string
	Key      string
}

// ResolveRequest says what became of an unknown item.
type ResolveRequest struct {
	ItemRef
	Resolution automation.Resolution
	// Outcome of an item that ran; nil for the other resolutions.
	Outcome *ResolvedOutcome
	Reason  string
	Key     string
}

// ResolvedOutcome is what an item that ran came to.
type ResolvedOutcome struct {
	State automation.ItemState `json:"state"` // succeeded or failed
	// Output of one that succeeded: a JSON object; nil: it has none.
	Output json.RawMessage `json:"output,omitempty"`
	// Message of one that failed.
	Message string `json:"message,omitempty"`
}

// Decide approves or rejects what an item of a run asks for, and returns the item
// as it is then; taken is false when the scheduler has not come to it yet. The
// same decision again changes nothing; the other one, and one after the time to
// decide, is a conflict that says so. Who submitted the run may not decide.
func (s *Service) Decide(ctx context.Context, p automation.Principal, r DecideRequest) (item Item, taken bool, err error) {
	if err := s.authorise(p, opApprovalDecide); err != nil {
		return Item{}, false, err
	}
	if err := refused(checkKey(r.Key), checkReason(r.Reason), checkOneOf("/decision", "decision", r.Decision, automation.Decisions())); err != nil {
		return Item{}, false, err
	}
	run, err := s.findRun(ctx, p.Tenant, r.Run)
	if err != nil {
		return Item{}, false, err
	}
	if run.By == p.Name && !s.own {
		return Item{}, false, &automation.Error{
			Code: automation.CodeForbidden, Message: "who submitted the run may not decide its approvals: " + p.Name + " did",
			Allowed: "another admin's token", Suggestion: "ask somebody else who has one",
		}
	}
	c := automation.Command{Kind: automation.FactDecisionGiven, Reason: r.Reason, Told: &automation.Told{Decision: r.Decision}}
	return s.answer(ctx, p, opApprovalDecide, run, r.ItemRef, c, r.Key)
}

// Resolve says what became of an item that is unknown, and returns the item as it
// is then; taken is false when the scheduler has not come to it yet. The same
// resolution again changes nothing; any other is a conflict that says who resolved
// it. An admin may, and who submitted the run.
func (s *Service) Resolve(ctx context.Context, p automation.Principal, r ResolveRequest) (item Item, taken bool, err error) {
	if err := s.authorise(p, opItemResolve); err != nil {
		return Item{}, false, err
	}
	if err := refused(checkKey(r.Key), checkReason(r.Reason), checkResolution(r)); err != nil {
		return Item{}, false, err
	}
	run, err := s.findRun(ctx, p.Tenant, r.Run)
	if err != nil {
		return Item{}, false, err
	}
	if p.Role != automation.RoleAdmin && run.By != p.Name {
		return Item{}, false, &automation.Error{
			Code: automation.CodeForbidden, Message: "only an admin, or who submitted the run, may say what became of its items",
			Allowed: "role admin, or the token named " + run.By,
		}
	}
	c := automation.Command{Kind: automation.FactItemResolved, Reason: r.Reason, Told: &automation.Told{Resolution: r.Resolution}}
	if r.Outcome != nil {
		if err := s.checkOutput(ctx, run, r); err != nil {
			return Item{}, false, err
		}
		c.Told.Outcome = outcomeOf(p, r)
	}
	return s.answer(ctx, p, opItemResolve, run, r.ItemRef, c, r.Key)
}

// outcomeOf is the outcome of an item that ran, as somebody says.
func outcomeOf(p automation.Principal, r ResolveRequest) *automation.Outcome {
	o := &automation.Outcome{State: r.Outcome.State, Output: r.Outcome.Output}
	if o.State == automation.ItemFailed {
		o.Error = &automation.Error{Code: automation.CodePluginFailed, Phase: automation.PhaseAfter, Message: r.Outcome.Message}
		if o.Error.Message == "" {
			o.Error.Message = "it ran and failed, says " + p.Name
		}
	}
	return o
}

func checkOneOf[S ~string](pointer, noun string, got S, known []S) *automation.Error {
	names := make([]string, len(known))
	for i, k := range known {
		if got == k {
			return nil
		}
		names[i] = string(k)
	}
	return &automation.Error{
		Code: automation.CodeBadRequest, Pointer: pointer, Message: "that is no " + noun, Allowed: strings.Join(names, ", "),
	}
}

// checkResolution checks that a resolution has what it needs and nothing else.
func checkResolution(r ResolveRequest) *automation.Error {
	if e := checkOneOf("/resolution", "resolution", r.Resolution, automation.Resolutions()); e != nil {
		return e
	}
	if ran := r.Resolution == automation.ResolutionRan; ran != (r.Outcome != nil) {
		e := &automation.Error{Code: automation.CodeBadRequest, Pointer: "/outcome", Message: "an item that ran has an outcome, and no other has"}
		if ran {
			e.Suggestion = `say how it ended: {"state":"succeeded"} or {"state":"failed","message":"…"}`
		}
		return e
	}
	o := r.Outcome
	switch {
	case o == nil:
		return nil
	case o.State == automation.ItemSucceeded && o.Message == "":
		if len(o.Output) == 0 {
			return nil
		}
		return checkObject(o.Output, "/outcome/output")
	case o.State == automation.ItemFailed && len(o.Output) == 0:
		if e := checkReason(o.Message); e != nil {
			e.Pointer, e.Message = "/outcome/message", "the message is not well formed"
			return e
		}
		return nil
	}
	return &automation.Error{
		Code: automation.CodeBadRequest, Pointer: "/outcome", Message: "that is no outcome of an item that ran",
		Allowed: "state succeeded with an output, or failed with a message",
	}
}

// checkOutput holds an output that somebody gives against the action's schema.
func (s *Service) checkOutput(ctx context.Context, run automation.Run, r ResolveRequest) error {
	if len(r.Outcome.Output) == 0 {
		return nil
	}
	program, err := s.program(ctx, run.Tenant, run.PlanHash)
	if err != nil {
		return err
	}
	i, _, unknown := stepRange(program.Plan(), r.Step)
	if unknown != nil || r.Step == "" {
		return nil // answer says so
	}
	ps := &program.Plan().Steps[i]
	pl, err := s.store.Plugin(ctx, run.Tenant, ps.Digest)
	if err != nil {
		return fault(err)
	}
	for _, a := range pl.Manifest.Actions {
		if a.Name != ps.Action {
			continue
		}
		form, err := schema.Compile(a.Output)
		if err != nil {
			return fault(err)
		}
		return fault(form.ValidateJSON(r.Outcome.Output, "/outcome/output").OrNil())
	}
	return nil
}

// answer tells a run something about one of its items.
func (s *Service) answer(ctx context.Context, p automation.Principal, op operation, run automation.Run, ref ItemRef, c automation.Command, key string,
) (Item, bool, error) {
	var now Item
	var missing *automation.Error
	read := func(v *view) {
		if c.Step, missing = placeOf(v.plan, ref); missing == nil {
			now, missing = v.one(c.Step, ref.Item)
		}
	}
	if err := s.look(ctx, run, read); err != nil {
		return Item{}, false, err
	}
	if missing != nil {
		return Item{}, false, missing
	}
	if key == "" && now.heard(c.Told) {
		return now, true, nil
	}
	c.Run, c.Shard, c.Item = run.ID, run.Shard, ref.Item
	got, err := s.tell(ctx, p, op, run, c, key)
	if look := s.look(ctx, run, read); look != nil {
		return Item{}, false, look
	}
	if isCode(err, automation.CodeConflict) && now.heard(c.Told) { // somebody else has said the same
		return now, true, nil
	}
	return now, got.taken, err
}

// heard reports whether the item has been told the same already.
func (i *Item) heard(t *automation.Told) bool {
	a, o := i.Answer, t.Outcome
	switch {
	case a == nil || a.Decision != t.Decision || a.Resolution != t.Resolution:
		return false
	case o == nil:
		return true
	case o.Error != nil:
		return i.Error != nil && i.State == o.State && i.Error.Message == o.Error.Message
	}
	return i.State == o.State && sameJSON(i.Output, o.Output)
}

func sameJSON(a, b json.RawMessage) bool {
	var x, y bytes.Buffer
	return len(a) == len(b) && len(a) == 0 || json.Compact(&x, a) == nil && json.Compact(&y, b) == nil && bytes.Equal(x.Bytes(), y.Bytes())
}

// placeOf finds a step by its id.
func placeOf(plan *workflow.Plan, ref ItemRef) (int, *automation.Error) {
	first, last, unknown := stepRange(plan, ref.Step)
	if unknown != nil || first != last || plan.Steps[first].ID != ref.Step {
		names := make([]string, len(plan.Steps))
		for i := range plan.Steps {
			names[i] = plan.Steps[i].ID
		}
		return 0, &automation.Error{Code: automation.CodeNotFound, Message: "the run has no such step", Allowed: strings.Join(names, ", ")}
	}
	return first, nil
}

// one returns an item.
func (v *view) one(step, index int) (Item, *automation.Error) {
	list := v.fold.Items(step, max(index, 0), 1)
	if index < 0 || len(list) == 0 {
		return Item{}, &automation.Error{
			Code: automation.CodeNotFound, Message: "the step has no item " + strconv.Itoa(index),
			Suggestion: "list the step's items to see their indexes",
		}
	}
	return v.item(list[0], sync.OnceValue(v.fold.Steps)), nil
}

// toldDetail is what the audit log has of a command that says something: not an
// event's payload or an outcome's output, which can be large.
func toldDetail(c automation.Command) json.RawMessage {
	said := map[string]any{"reason": c.Reason}
	switch {
	case c.Told.Event != "":
		said = map[string]any{"event": c.Told.Event, "payload_bytes": len(c.Told.Payload)}
	case c.Told.Decision != "":
		said["decision"] = c.Told.Decision
	case c.Told.Resolution != "":
		said["resolution"] = c.Told.Resolution
		if c.Told.Outcome != nil {
			said["outcome"] = c.Told.Outcome.State
		}
	}
	if c.Told.Event == "" {
		said["item"] = fmt.Sprintf("%d/%d", c.Step, c.Item)
	}
	return detail(said)
}

// ListApprovals returns the decisions that runs have asked for, those of the
// newest run first (Page.After is an approval's Key), of one state or, with state
// "", of all.
func (s *Service) ListApprovals(ctx context.Context, p automation.Principal, state automation.ApprovalState, page automation.Page) ([]automation.Approval, error) {
	if err := s.authorise(p, opApprovalRead); err != nil {
		return nil, err
	}
	var wrong *automation.Error
	if state != "" {
		wrong = checkOneOf("/state", "state of approvals", state, automation.ApprovalStates())
	}
	if err := refused(checkPage(&page), wrong); err != nil {
		return nil, err
	}
	out, err := s.store.ListApprovals(ctx, p.Tenant, state, page)
	return out, fault(err)
}
