package automation

import (
	"cmp"
	"encoding/json"
	"time"
)

// Run is one execution of a plan, as lists show it.
type Run struct {
	ID       RunID    `json:"id"`
	Tenant   TenantID `json:"tenant"`
	Shard    int      `json:"shard"`
	Workflow string   `json:"workflow"`
	PlanHash Digest   `json:"plan_hash"`
	State    RunState `json:"state"`
	Error    *Error   `json:"error,omitempty"` // why it failed or was cancelled
	By       string   `json:"by"`              // the token's name that submitted it
	// RerunOf is the run that this one runs again, in part or whole; "": none.
	RerunOf RunID     `json:"rerun_of,omitempty"`
	Created time.Time `json:"created_at"`
	Started time.Time `json:"started_at,omitzero"`
	Ended   time.Time `json:"ended_at,omitzero"`
	// Parent is the item that the run carries out, for the run of a sub-workflow.
	Parent *Parent `json:"parent,omitempty"`
	// Outputs is the workflow's, a JSON object, once the run has succeeded; nil in lists.
	Outputs json.RawMessage `json:"outputs,omitempty"`
	// Begin is what it begins with beside its plan: for its acceptance alone, where it
	// goes into its first fact; not set when the record is read.
	Begin *Begin `json:"-"`
	// Seq is the log's sequence number of the run's last entry that this record
	// reflects; events after it are news.
	Seq int64 `json:"seq"`
}

// RunUpdate is what a commit of the leader changes in the record of a run.
type RunUpdate struct {
	Run     RunID
	State   RunState
	Error   *Error
	Started time.Time // zero: not started
	Ended   time.Time // zero: not ended
	// Outputs of a run that succeeded; nil: none.
	Outputs json.RawMessage
}

// Effect says what may be done when it is not known whether an attempt ran
// (DESIGN.md section 6).
type Effect string

// The effects.
const (
	EffectPure       Effect = "pure"       // only reads: may run again
	EffectIdempotent Effect = "idempotent" // running it twice is running it once
	EffectOnce       Effect = "once"       // must not run twice
	EffectGuarded    Effect = "guarded"    // made safe by the host's journal on the target
)

// Target is an asset within a plan: what a plan pins of it.
type Target struct {
	ID         AssetID        `json:"id"`
	Name       string         `json:"name"`
	Address    string         `json:"address"`
	Port       int            `json:"port,omitempty"`
	Protocol   Protocol       `json:"protocol"`
	OS         string         `json:"os,omitempty"`
	Tags       []string       `json:"tags,omitempty"`
	Credential CredentialID   `json:"credential,omitempty"`
	Queue      string         `json:"queue,omitempty"` // task queue; "": the default one
	Vars       map[string]any `json:"vars,omitempty"`
}

// AttemptKey names an attempt.
type AttemptKey struct {
	Run     RunID
	Step    int
	Item    int
	Attempt int
}

// Compare orders attempts by run, step, item and number.
func (k AttemptKey) Compare(o AttemptKey) int {
	return cmp.Or(cmp.Compare(k.Run, o.Run), cmp.Compare(k.Step, o.Step), cmp.Compare(k.Item, o.Item), cmp.Compare(k.Attempt, o.Attempt))
}

// Attempt is a leased attempt: all that a worker and its executor need.
type Attempt struct {
	AttemptKey
	Tenant   TenantID
	Workflow string
	StepID   string
	Plugin   string // plugin name
	Action   string
	Digest   Digest // of the plugin's artifact
	Effect   Effect
	// Input is the step's `with`, evaluated: a JSON object.
	Input json.RawMessage
	// Target is the item's target, nil for a step without one.
	Target  *Target
	Timeout time.Duration
	// Host and HostEpoch are the lease that the attempt is under.
	Host      HostID
	HostEpoch int64
	// Begun is what an earlier attempt of a guarded item may have begun; nil: none did.
	Begun *Begun
	// Round counts how often somebody said that the item had not run: what is begun
	// from then on is another act.
	Round int
}

// Begun is an act of which nobody has heard what became of it.
type Begun struct {
	At      time.Time // when its intent was committed
	Command Digest    // what it was
}
