package automation

import "sync"

// RunState is the state of a run.
type RunState string

// The states of a run.
const (
	RunAwaitingApproval RunState = "awaiting_approval" // the plan needs an approval before anything starts
	RunQueued           RunState = "queued"            // accepted; nothing has started
	RunRunning          RunState = "running"           // at least one attempt was granted, or a wait began
	RunPaused           RunState = "paused"            // starts nothing until it is resumed
	RunSucceeded        RunState = "succeeded"         // every step ended and none failed the run
	RunFailed           RunState = "failed"            // a step failed the run, or its time was up
	RunCancelled        RunState = "cancelled"         // someone asked for it, and nothing runs any more
	RunRejected         RunState = "rejected"          // the approval was refused; nothing ever started
)

// ItemState is the state of an item, and of a step as a whole.
type ItemState string

// The states of an item.
const (
	ItemBlocked      ItemState = "blocked"       // steps that it needs have not ended
	ItemReady        ItemState = "ready"         // may be granted
	ItemParked       ItemState = "parked"        // ready, but a limit's key is exhausted
	ItemLeased       ItemState = "leased"        // granted to a host; not known to have begun
	ItemRunning      ItemState = "running"       // its attempt is at work
	ItemWaitingRetry ItemState = "waiting_retry" // an attempt failed; the next one waits for its backoff
	ItemSucceeded    ItemState = "succeeded"     // ran, and the outcome is good
	ItemFailed       ItemState = "failed"        // ran or could not run, and no attempt is left
	ItemCancelled    ItemState = "cancelled"     // the run was cancelled
	ItemSkipped      ItemState = "skipped"       // its condition was false, or what it needs did not succeed
	ItemUnknown      ItemState = "unknown"       // it can't be known whether it ran: waits for somebody to say
)

// Transition is one legal change of a state.
type Transition[S ~string] struct {
	From, To S
	// Why is the cause, for docs and errors.
	Why string
}

// RunTransitions lists every legal change of a run's state. The database's CHECK
// and the scheduler's machine follow the same rows.
func RunTransitions() []Transition[RunState] {
	return []Transition[RunState]{
		{RunAwaitingApproval, RunQueued, "approved"},
		{RunAwaitingApproval, RunRejected, "refused or expired"},
		{RunAwaitingApproval, RunCancelled, "cancelled before the approval"},
		{RunQueued, RunRunning, "first grant or wait"},
		{RunQueued, RunPaused, "pause asked"},
		{RunQueued, RunSucceeded, "every step was skipped"},
		{RunQueued, RunFailed, "a step could not start, or the run's time was up"},
		{RunQueued, RunCancelled, "cancel asked"},
		{RunRunning, RunPaused, "pause asked"},
		{RunRunning, RunSucceeded, "every step ended"},
		{RunRunning, RunFailed, "a step failed the run"},
		{RunRunning, RunCancelled, "cancel asked, and nothing runs any more"},
		{RunPaused, RunRunning, "resumed after something had started"},
		{RunPaused, RunQueued, "resumed before anything had started"},
		{RunPaused, RunFailed, "the run's time was up, or its last open attempt failed it"},
		{RunPaused, RunSucceeded, "its last open attempt was the last step"},
		{RunPaused, RunCancelled, "cancel asked"},
	}
}

// ItemTransitions lists every legal change of an item's state.
func ItemTransitions() []Transition[ItemState] {
	return []Transition[ItemState]{
		{ItemBlocked, ItemReady, "what it needs has ended and its condition holds"},
		{ItemBlocked, ItemSkipped, "its condition is false, or what it needs did not succeed"},
		{ItemBlocked, ItemFailed, "its condition or fan-out could not be evaluated"},
		{ItemBlocked, ItemCancelled, "the run was cancelled"},
		{ItemBlocked, ItemSucceeded, "its outcome is kept from the run before"},
		{ItemReady, ItemParked, "a limit's key is exhausted"},
		{ItemReady, ItemLeased, "granted"},
		{ItemReady, ItemRunning, "a wait or another act of the scheduler itself began"},
		{ItemReady, ItemSucceeded, "the scheduler carried it out at once"},
		{ItemReady, ItemFailed, "its input could not be evaluated, or its time was up"},
		{ItemReady, ItemSkipped, "its step was stopped"},
		{ItemReady, ItemCancelled, "the run was cancelled"},
		{ItemParked, ItemReady, "the key has room again"},
		{ItemParked, ItemFailed, "its time was up"},
		{ItemParked, ItemSkipped, "its step was stopped"},
		{ItemParked, ItemCancelled, "the run was cancelled"},
		{ItemLeased, ItemRunning, "its attempt began"},
		{ItemLeased, ItemReady, "the host was lost before the attempt began, or handed it back"},
		{ItemLeased, ItemWaitingRetry, "the attempt failed and may be tried again"},
		{ItemLeased, ItemSucceeded, "outcome"},
		{ItemLeased, ItemFailed, "outcome"},
		{ItemLeased, ItemCancelled, "outcome after a cancel"},
		{ItemLeased, ItemUnknown, "the host was lost and the attempt may have acted"},
		{ItemRunning, ItemWaitingRetry, "the attempt failed and may be tried again"},
		{ItemRunning, ItemSucceeded, "outcome"},
		{ItemRunning, ItemFailed, "outcome"},
		{ItemRunning, ItemCancelled, "outcome after a cancel"},
		{ItemRunning, ItemUnknown, "what happened can't be known"},
		{ItemUnknown, ItemReady, "resolved: it did not run"},
		{ItemUnknown, ItemSucceeded, "resolved: it ran"},
		{ItemUnknown, ItemFailed, "resolved: it ran and failed, or was abandoned; or the run ended"},
		{ItemUnknown, ItemCancelled, "the run was cancelled"},
		{ItemWaitingRetry, ItemReady, "the backoff is over"},
		{ItemWaitingRetry, ItemFailed, "its time was up"},
		{ItemWaitingRetry, ItemSkipped, "its step was stopped"},
		{ItemWaitingRetry, ItemCancelled, "the run was cancelled"},
	}
}

// Ended reports whether the state is final.
func (s RunState) Ended() bool {
	return s == RunSucceeded || s == RunFailed || s == RunCancelled || s == RunRejected
}

// Ended reports whether the state is final.
func (s ItemState) Ended() bool {
	switch s {
	case ItemSucceeded, ItemFailed, ItemCancelled, ItemSkipped:
		return true
	case ItemBlocked, ItemReady, ItemParked, ItemLeased, ItemRunning, ItemWaitingRetry, ItemUnknown:
	}
	return false
}

// Open reports whether an attempt of the item is out on a host.
func (s ItemState) Open() bool { return s == ItemLeased || s == ItemRunning }

// CanBecome reports whether the transition table has a row from s to next.
func (s RunState) CanBecome(next RunState) bool { return runTable()[[2]RunState{s, next}] }

// CanBecome reports whether the transition table has a row from s to next.
func (s ItemState) CanBecome(next ItemState) bool { return itemTable()[[2]ItemState{s, next}] }

// runTable and itemTable are the transitions as the machine asks for them, which is
// several times for each attempt.
//
//nolint:gochecknoglobals // immutable values that are made once
var (
	runTable  = sync.OnceValue(func() map[[2]RunState]bool { return pairs(RunTransitions()) })
	itemTable = sync.OnceValue(func() map[[2]ItemState]bool { return pairs(ItemTransitions()) })
)

func pairs[S ~string](table []Transition[S]) map[[2]S]bool {
	out := make(map[[2]S]bool, len(table))
	for _, t := range table {
		out[[2]S{t.From, t.To}] = true
	}
	return out
}

// RunStates lists every state of a run.
func RunStates() []RunState {
	return []RunState{RunAwaitingApproval, RunQueued, RunRunning, RunPaused, RunSucceeded, RunFailed, RunCancelled, RunRejected}
}

// ItemStates lists every state of an item.
func ItemStates() []ItemState {
	return []ItemState{
		ItemBlocked, ItemReady, ItemParked, ItemLeased, ItemRunning, ItemWaitingRetry,
		ItemSucceeded, ItemFailed, ItemCancelled, ItemSkipped, ItemUnknown,
	}
}
