package chaos

import (
	"time"

	"opsconductor.dev/host/automation"
)

// attempt is one attempt as the stored facts tell it.
type attempt struct {
	step, item, number int
	host               automation.HostID
	epoch              int64
	granted, intent    time.Time
	ended              time.Time
	intents, ends      int
	unknown            bool
	// let is when the attempt gave its places back; zero: not yet.
	let time.Time
}

type place struct{ step, item int }

// attempts folds a run's facts into its attempts, in the order of their grants. It
// believes nothing: what does not fit stands in the counts.
func attempts(r *Run) []*attempt {
	var out []*attempt
	latest := map[place]*attempt{}
	for i := range r.Entries {
		for j := range r.Entries[i].Facts {
			f := &r.Entries[i].Facts[j]
			at := place{f.Step, f.Item}
			if f.Kind == automation.FactAttemptGranted {
				a := &attempt{step: f.Step, item: f.Item, number: f.Attempt, host: f.Host, epoch: f.HostEpoch, granted: f.At}
				latest[at] = a
				out = append(out, a)
				continue
			}
			if a := latest[at]; a != nil {
				a.fold(f)
			}
		}
	}
	return out
}

func (a *attempt) fold(f *automation.Fact) {
	switch f.Kind {
	case automation.FactAttemptStarted:
		a.intents++
		a.intent = f.At
	case automation.FactAttemptEnded:
		a.ends++
		a.ended = f.At
		a.unknown = f.Outcome.State == automation.ItemUnknown || codeOf(f.Outcome) == automation.CodeHostLost && a.intents > 0
		if !a.unknown {
			a.let = f.At
		}
	case automation.FactItemResolved, automation.FactItemEnded:
		if a.let.IsZero() {
			a.let = f.At
		}
	}
}

func codeOf(o *automation.Outcome) automation.Code {
	if o == nil || o.Error == nil {
		return ""
	}
	return o.Error.Code
}

// over reports whether a fact says that the leader has ended an attempt because
// its host's epoch was over. No worker had it: it has no time of a call.
func over(f *automation.Fact) bool {
	return f.Kind == automation.FactAttemptEnded && codeOf(f.Outcome) == automation.CodeHostLost && f.Outcome.StartedAt.IsZero()
}
