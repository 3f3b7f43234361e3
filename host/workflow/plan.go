package workflow

import (
	"encoding/json"
	"math"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/registry/schema"
)

// Plan is a workflow resolved against the catalog and the inventory: exact
// targets, plugin digests, effects and inputs. It is immutable, and its
// canonical JSON's SHA-256 names it.
type Plan struct {
	Schema   string              `json:"schema"` // "opsconductor/plan/v1"
	Workflow string              `json:"workflow"`
	Inputs   json.RawMessage     `json:"inputs"` // a JSON object, defaults filled in
	Targets  []automation.Target `json:"targets"`
	// Timeout bounds the whole run from its acceptance; 0: the deployment's limit.
	Timeout time.Duration `json:"timeout_ns,omitempty"`
	// StopIfFailed: a step starts no more of its items once that many have failed;
	// the zero value: it goes on.
	StopIfFailed Amount `json:"stop_if_failed,omitzero"`
	// Expressions is set when a step has any.
	Expressions *PlanExpressions `json:"expressions,omitempty"`
	// Steps are in topological order: a step needs only steps before it.
	Steps []PlanStep `json:"steps"`
	// Outputs of the run, by name.
	Outputs []PlanOutput `json:"outputs,omitempty"`
	// Template: the plan is of a sub-workflow. Its inputs are known at run time only
	// (Declared says which there are, Inputs is empty), and with ItemTarget so is its
	// one target: that of the item which the run carries out. Nothing else may run it.
	Template   bool        `json:"template,omitempty"`
	ItemTarget bool        `json:"item_target,omitempty"`
	Declared   []PlanInput `json:"declared,omitempty"`
	// Templates are the plans of the sub-workflows that the steps name by Digest, and
	// theirs. Build sets it; it is no part of the plan's JSON, which pins their hashes.
	Templates map[automation.Digest]*Plan `json:"-"`
}

// PlanExpressions is what the expressions of a plan were checked against: the
// plan is evaluated by the types and the bounds that it was accepted with.
type PlanExpressions struct {
	Inputs *schema.Type `json:"inputs"`
	// Cost bounds an expression, in CEL's units; Iterations and Targets the elements
	// that an expression in for_each may give.
	Cost       uint64 `json:"cost"`
	Iterations int    `json:"iterations"`
	Targets    int    `json:"targets"`
}

// PlanStep is a step within a plan.
type PlanStep struct {
	ID            string            `json:"id"`
	Name          string            `json:"name,omitempty"`
	Plugin        string            `json:"plugin"`
	Version       string            `json:"version"`
	Action        string            `json:"action"`
	Digest        automation.Digest `json:"digest"` // of the artifact; of a sub-workflow, its template's hash
	Effect        automation.Effect `json:"effect"`
	HostFunctions []string          `json:"host_functions,omitempty"`
	// Scheduler: the scheduler carries it out itself (core.wait, a sub-workflow).
	Scheduler bool `json:"scheduler,omitempty"`
	// Needs are indexes of earlier steps, ascending.
	Needs []int `json:"needs,omitempty"`
	// Policy says which of the needs must have succeeded; "": all of them.
	Policy NeedsPolicy `json:"needs_policy,omitempty"`
	// OnFailure says what the step's failure does to its run; "": the run fails,
	// and what does not need the step goes on.
	OnFailure OnFailure `json:"on_failure,omitempty"`
	// Compensates are steps, among Needs, of which one must have failed for this one
	// to run; then Policy is not looked at.
	Compensates []int `json:"compensates,omitempty"`
	// Queue is the task queue; "": the target's, or the default one. Priority is from
	// MinPriority to MaxPriority.
	Queue    string `json:"queue,omitempty"`
	Priority int    `json:"priority,omitempty"`
	// ConcurrencyKey: items with the same one, of all runs of the tenant, don't run at
	// the same time, unless a limit allows it; "": none. KeyDynamic: it holds
	// expressions, and is evaluated for each item.
	ConcurrencyKey string `json:"concurrency_key,omitempty"`
	KeyDynamic     bool   `json:"concurrency_key_dynamic,omitempty"`
	// If is a CEL expression; "": always.
	If string `json:"if,omitempty"`
	// With is the step's inputs, filled in as far as the workflow's inputs go.
	// Dynamic are the JSON Pointers, within With, of the texts that still hold
	// expressions: those texts and no others are evaluated. Constant: there are none.
	With     json.RawMessage `json:"with"`
	Dynamic  []string        `json:"dynamic,omitempty"`
	Constant bool            `json:"constant,omitempty"`
	// Outputs is the type of the step's outputs, where an expression may read them.
	Outputs *schema.Type `json:"outputs,omitempty"`
	ForEach *PlanForEach `json:"for_each,omitempty"`
	Retry   Retry        `json:"retry"`
	// Timeout of an attempt.
	Timeout time.Duration `json:"timeout_ns"`
	// ItemTimeout of all attempts of an item and the waits between them, from its
	// first grant on; StepTimeout of the step, from its opening on. 0: none.
	ItemTimeout time.Duration `json:"item_timeout_ns,omitempty"`
	StepTimeout time.Duration `json:"step_timeout_ns,omitempty"`
}

// PlanForEach is a step's fan-out.
type PlanForEach struct {
	// Targets: over the plan's targets. Else over List, or over what Expression gives.
	Targets    bool              `json:"targets,omitempty"`
	List       []json.RawMessage `json:"list,omitempty"`
	Expression string            `json:"expression,omitempty"`
	// Assets: the expression's elements are assets or items that have one, which
	// becomes the item's target.
	Assets bool `json:"assets,omitempty"`
	// MaxParallel items run at the same time; 0: no limit of the step's own.
	MaxParallel int `json:"max_parallel,omitempty"`
	// Batches are the sizes of the waves in which items start, the last one again
	// and again; nil: all at once. A wave starts when the one before has ended well.
	Batches []Amount `json:"batches,omitempty"`
}

// Amount is a number of items, or a share of them: one of the two is set.
type Amount struct {
	Count   int     `json:"count,omitempty"`
	Percent float64 `json:"percent,omitempty"` // above 0, at most 100
}

// Of returns the amount as a number of n items, rounded up; at least 1.
func (a Amount) Of(n int) int {
	if a.Count > 0 {
		return a.Count
	}
	return max(1, int(math.Ceil(float64(n)*a.Percent/100)))
}

// PlanOutput is an output of the run: text that may hold expressions.
type PlanOutput struct {
	Name  string       `json:"name"`
	Value string       `json:"value"`
	Type  *schema.Type `json:"type,omitempty"`
}

// PlanInput is an input that a template declares. Default and Enum (an array) are
// JSON; nil: none.
type PlanInput struct {
	Name     string          `json:"name"`
	Type     string          `json:"type"` // as in the definition
	Required bool            `json:"required,omitempty"`
	Default  json.RawMessage `json:"default,omitempty"`
	Enum     json.RawMessage `json:"enum,omitempty"`
}

// SubWorkflow reports whether the step's items are carried out by runs of the
// template that Digest names.
func (s *PlanStep) SubWorkflow() bool { return s.Plugin == automation.WorkflowPlugin }

// NeedsPolicy says which of a step's needs must have succeeded for it to run.
type NeedsPolicy string

// The policies. A step that failed with on_failure continue counts as succeeded.
const (
	NeedsAll    NeedsPolicy = "all"
	NeedsAny    NeedsPolicy = "any"
	NeedsAlways NeedsPolicy = "always" // none: it runs whatever became of them
)

// OnFailure says what a step's failure does to its run.
type OnFailure string

// What a failure can do.
const (
	FailureContinue OnFailure = "continue" // it does not fail the run, and what needs the step goes on
	FailureStop     OnFailure = "stop"     // nothing more of the run starts
)

// Retry says how often and when an attempt is repeated.
type Retry struct {
	MaxAttempts int `json:"max_attempts"` // 1: no retry
	// If is a CEL expression that decides whether an error is tried again; "": the
	// error's own retryable does.
	If      string        `json:"if,omitempty"`
	Initial time.Duration `json:"initial_ns,omitempty"`
	Factor  float64       `json:"factor,omitempty"`
	Max     time.Duration `json:"max_ns,omitempty"`
	// Jitter is "full" (between nothing and the backoff) or "none".
	Jitter string `json:"jitter,omitempty"`
}

// Element is what an item stands for: its place in the fan-out, and the target
// or the list element. A step without for_each has one, at index 0, with neither.
type Element struct {
	Index  int
	Target *automation.Target
	Value  json.RawMessage
}

// RunInfo is what expressions can read of the run.
type RunInfo struct {
	ID       automation.RunID
	Workflow string
	By       string
	Created  time.Time
	// Scheduled is the time of the schedule that it runs for; zero: none.
	Scheduled time.Time
}

// StepResult is what expressions can read of a step that has ended.
type StepResult struct {
	Status automation.ItemState // succeeded, failed, cancelled, skipped or unknown
	Items  []ItemResult         // by index
}

// ItemResult is what expressions can read of an item.
type ItemResult struct {
	Element  Element
	Status   automation.ItemState
	Attempts int
	Outputs  json.RawMessage // a JSON object; nil without
	Error    *automation.Error
}
