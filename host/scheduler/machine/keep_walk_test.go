package machine_test

import (
	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/scheduler/machine"
)

// pastRun is a run that ended, for the walk to run again.
type pastRun struct {
	prog *program
	kept [2][]automation.KeptItem // by target; by whole step
}

// pastRun folds an ended run's entries.
func (w *world) pastRun(id automation.RunID) pastRun {
	p := w.progs[id]
	fold := machine.NewFold(p, automation.Run{ID: id, Tenant: "default"})
	for _, e := range w.log {
		if e.Run != id {
			continue
		}
		if _, err := fold.Apply(e); err != nil {
			w.t.Fatalf("fold the ended run %s: %v", id, err)
		}
	}
	out := pastRun{prog: p, kept: [2][]automation.KeptItem{fold.Kept(false), fold.Kept(true)}}
	if len(w.past) > 20 {
		w.past = w.past[1:]
	}
	w.sound(fold, out.kept)
	return out
}

// sound checks what is kept: items that succeeded; by whole steps not more than by target.
func (w *world) sound(fold *machine.Fold, kept [2][]automation.KeptItem) {
	byTarget := map[[2]int]bool{}
	for _, k := range kept[0] {
		byTarget[[2]int{k.Step, k.Item}] = true
		if v := fold.Items(k.Step, k.Item, 1); v[0].State != automation.ItemSucceeded {
			w.t.Fatalf("step %d, item %d is kept, and %s", k.Step, k.Item, v[0].State)
		}
	}
	for _, k := range kept[1] {
		if !byTarget[[2]int{k.Step, k.Item}] {
			w.t.Fatalf("step %d, item %d is kept by whole steps and not by target", k.Step, k.Item)
		}
	}
}

// rerun takes one of the ended runs to run again: its expressions give what they gave.
func (w *world) rerun() (*program, *automation.Begin) {
	past := w.past[w.r.IntN(len(w.past))]
	w.count["rerun"]++
	return past.prog, &automation.Begin{Kept: past.kept[w.r.IntN(2)]}
}
