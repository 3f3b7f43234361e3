package automation

import (
	"encoding/json"
	"fmt"
	"time"
)

// Decision is what was decided about an approval.
type Decision string

// The decisions.
const (
	DecisionApprove Decision = "approve"
	DecisionReject  Decision = "reject"
)

// Decisions lists every decision.
func Decisions() []Decision { return []Decision{DecisionApprove, DecisionReject} }

// Resolution says what became of an item that is unknown.
type Resolution string

// The resolutions.
const (
	ResolutionRan       Resolution = "ran"         // it ran, with the outcome that is told
	ResolutionDidNotRun Resolution = "did_not_run" // nothing was done: it may be granted again
	ResolutionAbandon   Resolution = "abandon"     // nobody will find out: it fails
)

// Resolutions lists every resolution.
func Resolutions() []Resolution {
	return []Resolution{ResolutionRan, ResolutionDidNotRun, ResolutionAbandon}
}

// Told is what a person or another system told a run about one of its steps or
// items: the content of a command, and of the fact that the leader makes of it.
type Told struct {
	// Command is the identifier of the command that brought it (facts only).
	Command    CommandID  `json:"id,omitempty"`
	Decision   Decision   `json:"decision,omitempty"`
	Resolution Resolution `json:"resolution,omitempty"`
	// Outcome is what the attempt came to (resolution ran): succeeded or failed.
	Outcome *Outcome `json:"outcome,omitempty"`
	// Event is the event's name; Payload its JSON object, nil for an empty one.
	Event   string          `json:"event,omitempty"`
	Payload json.RawMessage `json:"payload,omitempty"`
}

// WaitFor says what an item waits for that only somebody outside can give.
type WaitFor string

// What items wait for.
const (
	WaitForApproval WaitFor = "approval" // a decision
	WaitForEvent    WaitFor = "event"    // an event of a name
)

// Wait is what an item waits for beside its time.
type Wait struct {
	For     WaitFor `json:"for"`
	Event   string  `json:"event,omitempty"`   // the event's name
	Message string  `json:"message,omitempty"` // what the decider is asked
}

// Answer is who told an item what, why and when.
type Answer struct {
	Decision   Decision   `json:"decision,omitempty"`
	Resolution Resolution `json:"resolution,omitempty"`
	By         string     `json:"by"`
	Reason     string     `json:"reason,omitempty"`
	At         time.Time  `json:"at"`
}

// The bounds of events.
const (
	MaxEventName    = 128      // characters of a name
	MaxEventPayload = 64 << 10 // bytes of a payload
	MaxKeptEvents   = 100      // events of a run that nothing has waited for yet
	MaxKeptBytes    = 1 << 20  // bytes of their payloads
)

// EventNames says in words which names of events there are.
const EventNames = "1 to 128 letters, digits and _ . : - /"

// ValidEventName reports whether an event can have a name.
func ValidEventName(name string) bool {
	for i := range len(name) {
		switch c := name[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case c == '_', c == '.', c == ':', c == '-', c == '/':
		default:
			return false
		}
	}
	return name != "" && len(name) <= MaxEventName
}

// ApprovalState is the state of an approval.
type ApprovalState string

// The states of an approval.
const (
	ApprovalPending   ApprovalState = "pending"   // waits for a decision
	ApprovalApproved  ApprovalState = "approved"  // the run goes on behind it
	ApprovalRejected  ApprovalState = "rejected"  // its item has failed
	ApprovalExpired   ApprovalState = "expired"   // nobody decided in time: its item has failed
	ApprovalCancelled ApprovalState = "cancelled" // its run ended before a decision
)

// ApprovalStates lists every state of an approval.
func ApprovalStates() []ApprovalState {
	return []ApprovalState{ApprovalPending, ApprovalApproved, ApprovalRejected, ApprovalExpired, ApprovalCancelled}
}

// Approval is one request for a decision, as lists show it: an item of a step that
// uses core.approval.
type Approval struct {
	Tenant    TenantID `json:"-"`
	Run       RunID    `json:"run"`
	StepIndex int      `json:"-"`
	Step      string   `json:"step"`
	Item      int      `json:"item"`
	// Workflow and Submitted are the run's: its workflow's name, and who submitted it.
	Workflow  string        `json:"workflow"`
	Submitted string        `json:"submitted_by"`
	State     ApprovalState `json:"state"`
	Message   string        `json:"message"`
	Requested time.Time     `json:"requested_at"`
	Expires   time.Time     `json:"expires_at"`
	// By, Reason and Decided are of a decision.
	By      string    `json:"by,omitempty"`
	Reason  string    `json:"reason,omitempty"`
	Decided time.Time `json:"decided_at,omitzero"`
}

// Key names the approval among all: RUN.STEP.ITEM, with the step's index.
func (a Approval) Key() string {
	return fmt.Sprintf("%s.%d.%d", a.Run, a.StepIndex, a.Item)
}
