package client

import (
	"context"
	"encoding/json"
	"net/url"
	"strconv"
	"time"
	"unicode/utf8"

	"opsconductor.dev/host/automation"
)

// PlanRequest asks for a plan. Definition is YAML or JSON; the lines and columns
// of errors are those of its text.
type PlanRequest struct {
	Definition []byte
	Workflow   string          // a stored one, NAME@VERSION, instead of a Definition
	Inputs     json.RawMessage // a JSON object; nil: the inputs' defaults
}

// SubmitRequest asks for a run: of a stored plan, a definition or a stored workflow. Key is the
// Idempotency-Key; "": one is made for the call.
type SubmitRequest struct {
	PlanHash   Digest
	Definition []byte
	Workflow   string
	Inputs     json.RawMessage
	Key        string
}

type submission struct {
	PlanHash   Digest          `json:"plan_hash,omitempty"`
	Definition string          `json:"definition,omitempty"`
	Workflow   string          `json:"workflow,omitempty"`
	Inputs     json.RawMessage `json:"inputs,omitempty"`
}

// check makes sure that what is sent is what the caller has: JSON can't carry
// text that is not UTF-8, or inputs that are not JSON.
func check(definition []byte, inputs json.RawMessage) error {
	if !utf8.Valid(definition) {
		return &automation.Error{Code: automation.CodeSyntax, Message: "the definition is not UTF-8", Suggestion: "save the file as UTF-8"}
	}
	if len(inputs) > 0 && !json.Valid(inputs) {
		return &automation.Error{Code: automation.CodeSyntax, Message: "the inputs are not JSON", Allowed: "a JSON object"}
	}
	return nil
}

// Plan resolves a definition to a plan, which the server stores. Nothing runs.
func (c *Client) Plan(ctx context.Context, r PlanRequest) (PlanResult, error) {
	if err := check(r.Definition, r.Inputs); err != nil {
		return PlanResult{}, err
	}
	req := request{method: "POST", path: []string{"v1", "plans"}, again: true}
	var out PlanResult
	err := c.send(ctx, req.json(submission{Definition: string(r.Definition), Workflow: r.Workflow, Inputs: r.Inputs}), &out)
	return out, err
}

// StoredPlan returns the plan with a hash.
func (c *Client) StoredPlan(ctx context.Context, hash Digest) (PlanResult, error) {
	var out PlanResult
	err := c.send(ctx, get("v1", "plans", segment(string(hash))), &out)
	return out, err
}

// Submit submits a run. When it returns without an error the run is durable.
func (c *Client) Submit(ctx context.Context, r SubmitRequest) (Run, error) {
	if err := check(r.Definition, r.Inputs); err != nil {
		return Run{}, err
	}
	body := submission{PlanHash: r.PlanHash, Definition: string(r.Definition), Workflow: r.Workflow, Inputs: r.Inputs}
	var out Run
	err := c.send(ctx, post(r.Key, "v1", "runs").json(body), &out)
	return out, err
}

// Run returns a run.
func (c *Client) Run(ctx context.Context, id RunID) (Run, error) {
	var out Run
	err := c.send(ctx, get("v1", "runs", segment(string(id))), &out)
	return out, err
}

// Runs lists the runs that somebody submitted, the newest first, of one state or
// ("") of all; not those of sub-workflows.
func (c *Client) Runs(ctx context.Context, state RunState, page Page) (List[Run], error) {
	r := get("v1", "runs").page(page).with("state", string(state))
	var out List[Run]
	err := c.send(ctx, r, &out)
	return out, err
}

// Children lists the runs of sub-workflows that a run started, the newest first.
func (c *Client) Children(ctx context.Context, id RunID, page Page) (List[Run], error) {
	r := get("v1", "runs").page(page).with("parent", string(id))
	var out List[Run]
	err := c.send(ctx, r, &out)
	return out, err
}

// AllRuns is Runs with those of sub-workflows.
func (c *Client) AllRuns(ctx context.Context, state RunState, page Page) (List[Run], error) {
	r := get("v1", "runs").page(page).with("state", string(state)).with("nested", "true")
	var out List[Run]
	err := c.send(ctx, r, &out)
	return out, err
}

// Wait returns the run as soon as it has ended, or as it is after timeout (at
// most a minute): look at its state.
func (c *Client) Wait(ctx context.Context, id RunID, timeout time.Duration) (Run, error) {
	timeout = min(max(timeout, 0), time.Minute)
	var out Run
	err := c.send(ctx, get("v1", "runs", segment(string(id)), "wait").with("timeout", timeout.String()), &out)
	return out, err
}

// WaitEnd returns the run when it has ended. When ctx is done before that the
// error has code timeout (its deadline) or cancelled, and the run is as it was seen last.
func (c *Client) WaitEnd(ctx context.Context, id RunID) (Run, error) {
	var last Run
	for {
		timeout := 30 * time.Second
		if deadline, ok := ctx.Deadline(); ok {
			timeout = min(timeout, max(time.Until(deadline)-500*time.Millisecond, 0))
		}
		run, err := c.Wait(ctx, id, timeout)
		if err != nil {
			return last, err
		}
		if last = run; run.State.Ended() {
			return run, nil
		}
		if timeout == 0 { // the deadline is near: don't ask in a tight loop
			if err := sleep(ctx, 100*time.Millisecond); err != nil {
				return last, gone(ctx)
			}
		}
	}
}

// Rerun submits a run of the plan of a run that has ended: of failed_targets ("" is
// that too), failed_steps or all. With a key the same request gives the same run.
func (c *Client) Rerun(ctx context.Context, id RunID, scope, key string) (Run, error) {
	body := struct {
		Scope string `json:"scope,omitempty"`
	}{scope}
	var out Run
	err := c.send(ctx, post(key, "v1", "runs", segment(string(id)), "rerun").json(body), &out)
	return out, err
}

// Cancel asks to cancel a run, and returns it as it is at that moment.
func (c *Client) Cancel(ctx context.Context, id RunID, reason string) (Run, error) {
	return c.ask(ctx, id, "cancel", reason)
}

// Pause asks that nothing more of a run starts for now, and returns it as it is
// at that moment.
func (c *Client) Pause(ctx context.Context, id RunID, reason string) (Run, error) {
	return c.ask(ctx, id, "pause", reason)
}

// Resume asks a paused run to go on, and returns it as it is at that moment.
func (c *Client) Resume(ctx context.Context, id RunID, reason string) (Run, error) {
	return c.ask(ctx, id, "resume", reason)
}

func (c *Client) ask(ctx context.Context, id RunID, what, reason string) (Run, error) {
	body := struct {
		Reason string `json:"reason,omitempty"`
	}{reason}
	var out Run
	err := c.send(ctx, post("", "v1", "runs", segment(string(id)), what).json(body), &out)
	return out, err
}

// Steps returns a run's steps.
func (c *Client) Steps(ctx context.Context, id RunID) (Steps, error) {
	var out Steps
	err := c.send(ctx, get("v1", "runs", segment(string(id)), "steps"), &out)
	return out, err
}

// Failures groups the items of a run that failed by the cause.
func (c *Client) Failures(ctx context.Context, id RunID) (Failures, error) {
	var out Failures
	err := c.send(ctx, get("v1", "runs", segment(string(id)), "failures"), &out)
	return out, err
}

// Items lists a run's items, of one step or ("") of all.
func (c *Client) Items(ctx context.Context, id RunID, step string, page Page) (Items, error) {
	var out Items
	err := c.send(ctx, get("v1", "runs", segment(string(id)), "items").page(page).with("step", step), &out)
	return out, err
}

// Logs lists what a run's attempts logged, of one step or ("") of all.
func (c *Client) Logs(ctx context.Context, id RunID, step string, page Page) (List[AttemptLog], error) {
	var out List[AttemptLog]
	err := c.send(ctx, get("v1", "runs", segment(string(id)), "logs").page(page).with("step", step), &out)
	return out, err
}

// with adds a query parameter that has a value.
func (r request) with(name, value string) request {
	if value == "" {
		return r
	}
	if r.query == nil {
		r.query = url.Values{}
	}
	r.query.Set(name, value)
	return r
}

// page adds a page's parameters.
func (r request) page(p Page) request {
	if p.Limit != 0 {
		r = r.with("limit", strconv.Itoa(p.Limit))
	}
	return r.with("cursor", p.Cursor)
}

// segment writes a name as one segment of a path. An empty one becomes a dash, so
// that it names nothing instead of the list above it.
func segment(name string) string {
	switch name {
	case "":
		return "-"
	case ".", "..":
		return "%2E" + name[1:]
	}
	return url.PathEscape(name)
}
