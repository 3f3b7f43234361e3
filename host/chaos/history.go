package chaos

import (
	"slices"
	"time"

	"opsconductor.dev/host/automation"
)

// History is what the hosts say of the runs that they accepted.
type History struct {
	Steps []Step // of the plan that all the runs have, in its order
	Runs  []Run
	// Limits are how many attempts of a concurrency key may be under way.
	Limits map[string]int
	// Faults are the times in which something was broken.
	Faults []Span
	// Grace is how long after a fault an outcome may still be unknown because of it.
	Grace time.Duration
	// Moved: a clock was moved, so times of facts can't be held against the ledger's.
	Moved bool
}

// Step is a step of the plan.
type Step struct {
	ID    string
	Once  bool     // its effect is once or guarded
	Needs []string // steps that have to end first
	// Parallel is max_parallel; 0: as many as there are.
	Parallel int
	// Key is the concurrency key of its items; "": none.
	Key string
}

// Span is a time from its first moment to its last.
type Span struct{ From, To time.Time }

// Run is an accepted run.
type Run struct {
	ID    string
	State automation.RunState // "": nobody knows of it
	Items []Item
	// Events are the changes of state that the API told, in its order.
	Events []Event
	// Entries are the facts that the store has.
	Entries []automation.Entry
}

// Event is a change of a run's state (Step is "") or of an item's.
type Event struct {
	Step     string
	Item     int
	State    automation.ItemState
	RunState automation.RunState
}

// Item is an item as the API shows it after its end.
type Item struct {
	Step   string
	Index  int
	Target string
	State  automation.ItemState
	// Nonce is what its command printed; "": its output has none.
	Nonce string
	// Told: a person said how it ended.
	Told bool
	// Before: its error says that the target can't have acted.
	Before bool
}

// Violation is a rule that was broken.
type Violation struct {
	Rule   string
	Run    string
	Detail string
}

// String returns the violation in one line.
func (v Violation) String() string { return v.Rule + ": run " + v.Run + ": " + v.Detail }

// Unknown returns how many outcomes were unknown at some time.
func (h *History) Unknown() int {
	n := 0
	for i := range h.Runs {
		for _, a := range attempts(&h.Runs[i]) {
			if a.unknown {
				n++
			}
		}
	}
	return n
}

// Items returns how many items the runs have.
func (h *History) Items() int {
	n := 0
	for i := range h.Runs {
		n += len(h.Runs[i].Items)
	}
	return n
}

// Ended returns how many runs have ended.
func (h *History) Ended() int {
	n := 0
	for i := range h.Runs {
		if h.Runs[i].State.Ended() {
			n++
		}
	}
	return n
}

// Granted returns when the first attempt after a time was granted; false when
// none was.
func (h *History) Granted(after time.Time) (time.Time, bool) {
	var first time.Time
	for i := range h.Runs {
		for _, a := range attempts(&h.Runs[i]) {
			if a.granted.After(after) && (first.IsZero() || a.granted.Before(first)) {
				first = a.granted
			}
		}
	}
	return first, !first.IsZero()
}

// Silence returns the longest time within a span in which nothing was granted.
func (h *History) Silence(in Span) time.Duration {
	at := []time.Time{in.From, in.To}
	for i := range h.Runs {
		for _, a := range attempts(&h.Runs[i]) {
			if a.granted.After(in.From) && a.granted.Before(in.To) {
				at = append(at, a.granted)
			}
		}
	}
	slices.SortFunc(at, time.Time.Compare)
	var longest time.Duration
	for i := range at[1:] {
		longest = max(longest, at[i+1].Sub(at[i]))
	}
	return longest
}
