package service

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/scheduler/machine"
	"opsconductor.dev/host/workflow"
)

// ItemQuery asks for items of a run.
type ItemQuery struct {
	Step  string // "": of all steps
	After string // Next of the page before; "": from the start
	Limit int    // 1 to 1000; 0: 100
}

// ItemPage is a page of items, in the order of steps and indexes.
type ItemPage struct {
	Items []Item
	Next  string // opaque; "" on the last page
	// Seq is the log's number that the page reflects: events behind AfterEntry(Seq)
	// are news to it.
	Seq int64
}

// Item is one element of a step's fan-out, as it is now.
type Item struct {
	Step    string               `json:"step"`
	Index   int                  `json:"index"`
	Target  string               `json:"target,omitempty"` // the target's name
	Value   json.RawMessage      `json:"value,omitempty"`  // the list element
	State   automation.ItemState `json:"state"`
	Attempt int                  `json:"attempt"` // the latest attempt; 0: none yet
	// Kept: the outcome is the run's that this one runs again; nothing was done now.
	Kept    bool              `json:"kept,omitempty"`
	Host    automation.HostID `json:"host,omitempty"`
	Granted time.Time         `json:"granted_at,omitzero"`
	Started time.Time         `json:"started_at,omitzero"`
	Ended   time.Time         `json:"ended_at,omitzero"`
	// DurationMS is how long the latest attempt ran, in milliseconds; 0 before its end.
	DurationMS float64         `json:"duration_ms"`
	Output     json.RawMessage `json:"output,omitempty"`
	// Child is the run that carries out the item, of a step that uses a workflow.
	Child automation.RunID `json:"child_run_id,omitempty"`
	// Due is when the next attempt may begin, or a wait ends.
	Due   time.Time         `json:"due_at,omitzero"`
	Error *automation.Error `json:"error,omitempty"`
	// WaitsFor is what somebody has to give for the item to go on.
	WaitsFor *automation.Wait `json:"waits_for,omitempty"`
	// Answer is who told the item what: a decision, or what became of it.
	Answer *automation.Answer `json:"answer,omitempty"`
	// Reason says why the item is not running or has not run.
	Reason string `json:"reason,omitempty"`
}

// Step is a step of a run, as a whole.
type Step struct {
	ID     string                       `json:"id"`
	Uses   string                       `json:"uses"` // plugin.action@version
	State  automation.ItemState         `json:"state"`
	FanOut bool                         `json:"fan_out"` // it has for_each; without it has one item
	Items  int                          `json:"items"`   // 0 before the fan-out is known
	Counts map[automation.ItemState]int `json:"counts"`
	Needs  []string                     `json:"needs,omitempty"`
}

// Steps returns the steps of a run in the plan's order, and the log's number that
// they reflect.
func (s *Service) Steps(ctx context.Context, p automation.Principal, id automation.RunID) ([]Step, int64, error) {
	if err := s.authorise(p, opRunRead); err != nil {
		return nil, 0, err
	}
	run, err := s.findRun(ctx, p.Tenant, id)
	if err != nil {
		return nil, 0, err
	}
	var out []Step
	var seq int64
	err = s.look(ctx, run, func(v *view) {
		seq = v.seq
		for i, view := range v.fold.Steps() {
			out = append(out, stepOf(v.plan, i, view))
		}
	})
	return out, seq, err
}

func stepOf(plan *workflow.Plan, i int, v machine.StepView) Step {
	ps := plan.Steps[i]
	step := Step{ID: ps.ID, Uses: ps.Plugin + "." + ps.Action + "@" + ps.Version, State: v.State, FanOut: ps.ForEach != nil, Items: v.Items, Counts: v.Counts}
	for _, n := range ps.Needs {
		step.Needs = append(step.Needs, plan.Steps[n].ID)
	}
	return step
}

// Items returns items of a run as they are now.
func (s *Service) Items(ctx context.Context, p automation.Principal, id automation.RunID, q ItemQuery) (ItemPage, error) {
	if err := s.authorise(p, opRunRead); err != nil {
		return ItemPage{}, err
	}
	page := automation.Page{Limit: q.Limit}
	from, bad := parsePlace(q.After)
	if err := refused(checkPage(&page), bad); err != nil {
		return ItemPage{}, err
	}
	run, err := s.findRun(ctx, p.Tenant, id)
	if err != nil {
		return ItemPage{}, err
	}
	var out ItemPage
	var unknown *automation.Error
	err = s.look(ctx, run, func(v *view) {
		first, last, e := stepRange(v.plan, q.Step)
		if e != nil {
			unknown = e
			return
		}
		out = v.page(first, last, from, page.Limit)
	})
	if err == nil {
		err = refused(unknown)
	}
	return out, err
}

// place is where a page of items begins.
type place struct{ step, index int }

// page collects items of the steps first to last from a place on.
func (v *view) page(first, last int, from place, limit int) ItemPage {
	out := ItemPage{Items: []Item{}, Seq: v.seq}
	states := sync.OnceValue(v.fold.Steps) // counts every item of the run: once a page at most
	for step := max(first, from.step); step <= last; step++ {
		index := 0
		if step == from.step {
			index = from.index
		}
		// One more than fits says whether there is a next page, and where it begins.
		for _, it := range v.fold.Items(step, index, limit-len(out.Items)+1) {
			if len(out.Items) == limit {
				out.Next = placeText(place{step, it.Index})
				return out
			}
			out.Items = append(out.Items, v.item(it, states))
		}
	}
	return out
}

func (v *view) item(it machine.ItemView, states func() []machine.StepView) Item {
	out := Item{
		Step: it.StepID, Index: it.Index, Value: it.Element.Value, State: it.State, Attempt: it.Attempt, Kept: it.Kept, Host: it.Host,
		Granted: it.Granted, Started: it.Started, Ended: it.Ended, Due: it.Due, Child: it.Child, Reason: v.reason(it, states),
	}
	out.WaitsFor, out.Answer = it.Wait, it.Answer
	if it.Element.Target != nil {
		out.Target = it.Element.Target.Name
	}
	if o := it.Outcome; o != nil {
		out.Output, out.Error = o.Output, o.Error
		if !o.StartedAt.IsZero() && o.EndedAt.After(o.StartedAt) {
			out.DurationMS = float64(o.EndedAt.Sub(o.StartedAt).Microseconds()) / 1000
		}
	}
	return out
}

// reason says in words why an item is in a state that is not plain progress.
func (v *view) reason(it machine.ItemView, states func() []machine.StepView) string {
	switch it.State {
	case automation.ItemBlocked:
		return "waits for " + v.open(it.Step, states())
	case automation.ItemReady, automation.ItemParked:
		return "waits for a worker, or for room under a limit"
	case automation.ItemWaitingRetry:
		return fmt.Sprintf("attempt %d failed; the next one waits for its backoff", it.Attempt)
	case automation.ItemSkipped:
		return "its condition was false, or what it needs did not succeed"
	case automation.ItemUnknown:
		return "it cannot be known whether it ran: it waits for somebody to say"
	case automation.ItemCancelled:
		return "the run was cancelled"
	case automation.ItemRunning:
		return waitReason(it.Wait)
	case automation.ItemLeased, automation.ItemSucceeded, automation.ItemFailed:
	}
	return ""
}

func waitReason(w *automation.Wait) string {
	switch {
	case w == nil:
		return ""
	case w.For == automation.WaitForApproval:
		return "waits for an approval: " + w.Message
	}
	return "waits for the event " + w.Event
}

// open names the steps that a step needs and that have not ended.
func (v *view) open(step int, states []machine.StepView) string {
	var names []string
	for _, n := range v.plan.Steps[step].Needs {
		if !states[n].State.Ended() {
			names = append(names, v.plan.Steps[n].ID)
		}
	}
	if len(names) == 0 {
		return "the scheduler"
	}
	return strings.Join(names, ", ")
}

// stepRange returns the first and last index of the steps that a query is about.
func stepRange(plan *workflow.Plan, id string) (first, last int, e *automation.Error) {
	if id == "" {
		return 0, len(plan.Steps) - 1, nil
	}
	names := make([]string, 0, len(plan.Steps))
	for i := range plan.Steps {
		if plan.Steps[i].ID == id {
			return i, i, nil
		}
		names = append(names, plan.Steps[i].ID)
	}
	return 0, 0, &automation.Error{
		Code: automation.CodeUnknownName, Pointer: "/step", Message: "the run has no such step", Allowed: strings.Join(names, ", "),
	}
}

func placeText(p place) string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%d.%d", p.step, p.index))
}

func parsePlace(text string) (place, *automation.Error) {
	if text == "" {
		return place{}, nil
	}
	b, err := base64.RawURLEncoding.DecodeString(text)
	step, index, both := strings.Cut(string(b), ".")
	s, errStep := strconv.ParseUint(step, 10, 31)
	i, errIndex := strconv.ParseUint(index, 10, 31)
	p := place{int(s), int(i)} //nolint:gosec // 31 bits
	if err != nil || !both || errStep != nil || errIndex != nil || placeText(p) != text {
		return place{}, &automation.Error{
			Code: automation.CodeBadRequest, Pointer: "/cursor", Message: "the cursor is not one of this list",
			Suggestion: "send the next cursor of the page before, or none to begin",
		}
	}
	return p, nil
}
