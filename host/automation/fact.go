package automation

import (
	"encoding/json"
	"time"
)

// FactsFormat numbers what facts say and how they are stored. It goes up with each
// change of Fact, or of a kind's meaning: a host leads only where no leader has
// written a later format.
const FactsFormat = 1

// FactKind says what happened.
type FactKind string

// The kinds of facts. Everything else about a run follows from them: the
// machine of the scheduler is the one place that draws the consequences.
const (
	// FactRunAccepted: the run was stored with its plan. The first fact of every run.
	FactRunAccepted FactKind = "run_accepted"
	// FactAttemptGranted: an attempt of an item was given to a host.
	FactAttemptGranted FactKind = "attempt_granted"
	// FactAttemptStarted: the attempt is about to act on its target. Written only
	// for the effects once and guarded, before the first byte leaves.
	FactAttemptStarted FactKind = "attempt_started"
	// FactAttemptEnded: the outcome of an attempt.
	FactAttemptEnded FactKind = "attempt_ended"
	// FactItemEnded: the scheduler itself ended an item that no attempt ran: a wait
	// that is over, an input that could not be evaluated.
	FactItemEnded FactKind = "item_ended"
	// FactWaitStarted: an item that waits without a worker has begun; At + Delay is its end.
	FactWaitStarted FactKind = "wait_started"
	// FactChildStarted: an item of a sub-workflow was given to a run of its own.
	FactChildStarted FactKind = "child_started"
	// FactChildEnded: that run has ended; the outcome is the attempt's.
	FactChildEnded FactKind = "child_ended"
	// FactCancelAsked: somebody asked to cancel the run.
	FactCancelAsked FactKind = "cancel_asked"
	// FactPauseAsked: somebody asked that nothing more of the run starts for now.
	FactPauseAsked FactKind = "pause_asked"
	// FactResumeAsked: somebody asked that a paused run goes on.
	FactResumeAsked FactKind = "resume_asked"
	// FactTimerFired: a deadline of the run, of a step or of an item passed (Reason).
	FactTimerFired FactKind = "timer_fired"
	// FactDecisionGiven: somebody approved or rejected what an item waits for.
	FactDecisionGiven FactKind = "decision_given"
	// FactEventReceived: an event came for the run.
	FactEventReceived FactKind = "event_received"
	// FactItemResolved: somebody said what became of an unknown item.
	FactItemResolved FactKind = "item_resolved"
)

// The deadlines, as Reason of timer_fired. The attempt's own is the worker's, and
// stands in the attempt's outcome.
const (
	TimerRun  = "run_timeout"
	TimerStep = "step_timeout" // of the fact's Step
	TimerItem = "item_timeout" // of the fact's Step and Item
)

// Fact is one thing that happened in a run. Facts are added and never changed.
// Which fields are set depends on Kind.
type Fact struct {
	Kind FactKind  `json:"k"`
	At   time.Time `json:"t"`
	// Tenant and Plan are the run's (run_accepted); By is who submitted it.
	Tenant TenantID `json:"tn,omitempty"`
	Plan   Digest   `json:"p,omitempty"`
	// Begin is what the run begins with beside its plan (run_accepted); nil: nothing.
	Begin *Begin `json:"b,omitempty"`
	// Step and Item are indexes into the plan's steps and the step's fan-out.
	Step int `json:"s,omitempty"`
	Item int `json:"i,omitempty"`
	// Attempt counts from 1.
	Attempt int `json:"n,omitempty"`
	// Host and HostEpoch say who ran the attempt (granted, started, ended).
	Host      HostID `json:"h,omitempty"`
	HostEpoch int64  `json:"e,omitempty"`
	// Input is the attempt's input as it was sent (granted), nil when it is the
	// plan's own constant.
	Input json.RawMessage `json:"in,omitempty"`
	// Child is the run that carries out the item (child_started, child_ended).
	Child RunID `json:"ch,omitempty"`
	// Outcome is set for attempt_ended, item_ended and child_ended.
	Outcome *Outcome `json:"o,omitempty"`
	// Delay is how long a wait lasts (wait_started), in nanoseconds.
	Delay time.Duration `json:"d,omitempty"`
	// Wait is what the item waits for beside its time (wait_started); nil: nothing.
	Wait *Wait `json:"w,omitempty"`
	// Told is what somebody said (decision_given, event_received, item_resolved).
	Told *Told `json:"td,omitempty"`
	// By and Reason say who asked or told and why, or which timer fired
	// (timer_fired: TimerRun, TimerStep or TimerItem).
	By     string `json:"by,omitempty"`
	Reason string `json:"r,omitempty"`
	// CommandHash is what the attempt was about to do (started).
	CommandHash Digest `json:"c,omitempty"`
}

// Outcome is how an attempt ended.
type Outcome struct {
	// State is one of succeeded, failed, cancelled and unknown.
	State ItemState `json:"state"`
	// Output is the action's output, a JSON object; nil without one.
	Output json.RawMessage `json:"output,omitempty"`
	// Error is set unless State is succeeded.
	Error *Error `json:"error,omitempty"`
	// StartedAt and EndedAt are the worker's times of the call.
	StartedAt time.Time `json:"started_at,omitzero"`
	EndedAt   time.Time `json:"ended_at,omitzero"`
	Usage     Usage     `json:"usage,omitzero"`
	// Logs is what the attempt logged. It is stored apart from the fact.
	Logs []LogLine `json:"-"`
}

// Usage is what an attempt used of its limits.
type Usage struct {
	HostCalls   int           `json:"host_calls,omitempty"`
	InputBytes  int           `json:"input_bytes,omitempty"`
	OutputBytes int           `json:"output_bytes,omitempty"`
	LogBytes    int           `json:"log_bytes,omitempty"`
	MemoryBytes int64         `json:"memory_bytes,omitempty"`
	Fuel        int64         `json:"fuel,omitempty"` // about the instructions that the plugin executed
	Wall        time.Duration `json:"wall_ns,omitempty"`
	RemoteBytes int64         `json:"remote_bytes,omitempty"` // requests to host functions and their answers
	// LogTruncated: more was logged than is kept.
	LogTruncated bool `json:"log_truncated,omitempty"`
	// Limit is the limit that ended the attempt, as in docs/sandbox.md; "": none.
	Limit string `json:"limit,omitempty"`
}

// LogLine is a line that an action logged.
type LogLine struct {
	At      time.Time `json:"at"`
	Level   string    `json:"level"` // debug, info, warn or error
	Message string    `json:"message"`
}

// Entry is what one commit added to one run: its facts in the order in which
// they happened, under one sequence number of the shard's log.
type Entry struct {
	Shard int    `json:"shard"`
	Seq   int64  `json:"seq"` // 1, 2, 3 … without gaps in a shard; readers see it in this order
	Run   RunID  `json:"run"`
	Facts []Fact `json:"facts"`
}

// Command is a control request that waits for the leader, which turns it into a
// fact and removes it in the same commit.
type Command struct {
	ID     CommandID
	Tenant TenantID
	Shard  int
	Run    RunID
	Kind   FactKind // cancel_, pause_ or resume_asked, decision_given, event_received or item_resolved
	// Step and Item are the indexes of what it is about (decision_given, item_resolved).
	Step, Item int
	// Told is what is said; nil for a request that has no content.
	Told   *Told
	By     string
	Reason string
	At     time.Time
}
