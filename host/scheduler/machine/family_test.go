package machine_test

import (
	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/scheduler/machine"
)

// family is what the walk knows of runs and their children.
type family struct {
	parents map[automation.RunID]*automation.Parent
	heard   map[automation.RunID]int // how often a child's end was recorded in its parent
}

// adopt takes in the runs that a commit accepts.
func (w *world) adopt(d *machine.Decisions) {
	for _, run := range d.Accepted {
		p := run.Parent
		parent := w.progs[p.Run]
		switch {
		case parent == nil || w.progs[run.ID] != nil:
			w.t.Fatalf("run %s is accepted: its parent is known %v, itself %v", run.ID, parent != nil, w.progs[run.ID] != nil)
		case w.paused[p.Run]:
			w.t.Fatalf("run %s starts while its parent is paused", run.ID)
		}
		for i := range parent.plan.Steps {
			if parent.plan.Steps[i].ID == p.Step {
				w.progs[run.ID] = parent.children[i]
			}
		}
		w.parents[run.ID] = p
		w.open = append(w.open, run.ID)
		w.count["child started"]++
		if p.Attempt > 1 {
			w.count["child retried"]++
		}
	}
	w.hear(d)
}

// hear notes what the facts of a commit say of runs and their children.
func (w *world) hear(d *machine.Decisions) {
	began := map[automation.RunID]bool{}
	for _, run := range d.Accepted {
		began[run.ID] = true
	}
	for _, e := range d.Entries {
		if began[e.Run] != (e.Facts[0].Kind == automation.FactRunAccepted) {
			w.t.Fatalf("run %s is accepted here: %v; its first fact is %s", e.Run, began[e.Run], e.Facts[0].Kind)
		}
		for _, f := range e.Facts {
			switch f.Kind {
			case automation.FactChildEnded:
				w.heard[f.Child]++
				if began[f.Child] {
					w.count["child ended in the turn it began"]++
				}
				if err := w.m.Handle(e.Run, f); automation.CodeOf(err) != automation.CodeConflict {
					w.t.Fatalf("the end of run %s was taken twice: %v", f.Child, err)
				}
			case automation.FactPauseAsked, automation.FactResumeAsked:
				w.paused[e.Run] = f.Kind == automation.FactPauseAsked
				if w.parents[e.Run] != nil && f.By == "run "+string(w.parents[e.Run].Run) {
					w.count["child paused"]++
				}
			case automation.FactCancelAsked:
				if w.parents[e.Run] != nil && f.By == "run "+string(w.parents[e.Run].Run) {
					w.count["child cancelled with its parent"]++
				}
			default:
			}
		}
	}
}

// checkFamily checks, after a commit, what must hold between runs and their children.
func (w *world) checkFamily(d *machine.Decisions) {
	for id, p := range w.parents {
		state, over := w.ended[id]
		if over {
			if w.heard[id] != 1 {
				w.t.Fatalf("run %s has ended, and its parent was told %d times", id, w.heard[id])
			}
			delete(w.parents, id)
			w.count["child "+string(state)]++
			continue
		}
		if w.heard[id] != 0 {
			w.t.Fatalf("run %s has not ended, and its parent was told so", id)
		}
		if end, over := w.ended[p.Run]; over {
			w.t.Fatalf("run %s is %s, and its child %s goes on", p.Run, end, id)
		}
		if w.m.Stopping(p.Run) && !w.m.Stopping(id) {
			w.t.Fatalf("run %s is being stopped, and its child %s is not", p.Run, id)
		}
	}
	for _, e := range d.Entries {
		for _, f := range e.Facts {
			if f.Kind != automation.FactPauseAsked || w.ended[e.Run] != "" {
				continue
			}
			for id, p := range w.parents {
				if p.Run == e.Run && !w.paused[id] && !w.m.Stopping(id) {
					w.t.Fatalf("run %s is paused, and its child %s is not", e.Run, id)
				}
			}
		}
	}
}
