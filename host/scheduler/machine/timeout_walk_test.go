package machine_test

import (
	"time"

	"opsconductor.dev/host/automation"
)

type stepKey struct {
	run  automation.RunID
	step int
}

type itemKey struct {
	stepKey
	item int
}

// deadlines is the walk's own book of times, drawn from the facts alone.
type deadlines struct {
	over  map[stepKey]bool // steps whose time was up
	ends  map[itemKey]time.Time
	fired map[itemKey]bool
}

func newDeadlines() deadlines {
	return deadlines{over: map[stepKey]bool{}, ends: map[itemKey]time.Time{}, fired: map[itemKey]bool{}}
}

// noteTimes reads when items began and which deadlines passed: each at most once.
func (w *world) noteTimes(entries []automation.Entry) {
	for _, e := range entries {
		for _, f := range e.Facts {
			step := stepKey{e.Run, f.Step}
			item := itemKey{step, f.Item}
			plan := w.progs[e.Run].plan
			switch {
			case (f.Kind == automation.FactAttemptGranted || f.Kind == automation.FactChildStarted) && f.Attempt == 1, f.Kind == automation.FactWaitStarted:
				if d := plan.Steps[f.Step].ItemTimeout; d > 0 {
					w.clock.ends[item] = f.At.Add(d)
				}
			case f.Kind == automation.FactTimerFired:
				w.count[f.Reason]++
				if f.Reason == automation.TimerStep {
					if w.clock.over[step] {
						w.t.Fatalf("the time of step %v was up twice", step)
					}
					w.clock.over[step] = true
				}
				if f.Reason == automation.TimerItem {
					if w.clock.fired[item] || f.At.Before(w.clock.ends[item]) {
						w.t.Fatalf("the time of item %v was up at %v; it ends at %v (up before: %v)", item, f.At, w.clock.ends[item], w.clock.fired[item])
					}
					w.clock.fired[item] = true
				}
			}
		}
	}
}

// checkTimes: what is at work after its item's or its step's time was told to stop.
func (w *world) checkTimes() {
	for _, a := range w.out {
		step := stepKey{a.Run, a.Step}
		end, bound := w.clock.ends[itemKey{step, a.Item}]
		if (bound && !w.now.Before(end) || w.clock.over[step]) && !w.told[a.AttemptKey] {
			w.t.Fatalf("%v is at work after its time, and was not told to stop", a.AttemptKey)
		}
	}
}
