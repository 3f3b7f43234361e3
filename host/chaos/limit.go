package chaos

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// edge is a change of how much is under way; of those at one time the ends count first.
type edge struct {
	at    time.Time
	by    int
	run   *Run
	where string
}

// limits sweeps over what was under way, by the facts and by the ledger.
func (c *checker) limits() {
	if c.h.Moved {
		return // times of facts mean nothing then; the ledger's don't either: a place is given back by a fact
	}
	edges := map[string][]edge{}
	allowed := map[string]int{}
	add := func(name string, limit int, r *Run, where string, from, to time.Time) {
		allowed[name] = limit
		edges[name] = append(edges[name], edge{from, 1, r, where}, edge{to, -1, r, where})
	}
	for i := range c.h.Runs {
		c.heldIn(&c.h.Runs[i], add)
	}
	for _, name := range slices.Sorted(maps.Keys(edges)) {
		c.sweep(name, allowed[name], edges[name])
	}
}

// heldIn adds what a run has held of each limit: by the facts every attempt from its
// grant until it gave its places back; by the ledger the items that must not run
// twice, whose place nobody else can have while the command runs.
func (c *checker) heldIn(r *Run, add func(name string, limit int, r *Run, where string, from, to time.Time)) {
	targets := map[place]string{}
	for i := range r.Items {
		targets[place{c.steps[r.Items[i].Step], r.Items[i].Index}] = r.Items[i].Target
	}
	seen := map[place]bool{}
	for _, a := range attempts(r) {
		if a.step >= len(c.h.Steps) {
			continue
		}
		step := &c.h.Steps[a.step]
		where := step.ID + "/" + targets[place{a.step, a.item}]
		let := a.let
		if let.IsZero() {
			let = a.granted // still open: another rule says so
		}
		if step.Key != "" {
			add("key "+step.Key+" by the facts", c.h.Limits[step.Key], r, where, a.granted, let)
		}
		if step.Parallel > 0 {
			add("max_parallel of "+step.ID+" in "+r.ID+" by the facts", step.Parallel, r, where, a.granted, let)
		}
		if !step.Once || seen[place{a.step, a.item}] {
			continue
		}
		seen[place{a.step, a.item}] = true
		for _, start := range c.starts[key{r.ID, step.ID, targets[place{a.step, a.item}]}] {
			end := start.At
			for _, l := range c.ends[key{r.ID, step.ID, start.Item}] {
				if l.Nonce == start.Nonce {
					end = l.At
				}
			}
			if step.Key != "" {
				add("key "+step.Key+" by the ledger", c.h.Limits[step.Key], r, where, start.At, end)
			}
			if step.Parallel > 0 {
				add("max_parallel of "+step.ID+" in "+r.ID+" by the ledger", step.Parallel, r, where, start.At, end)
			}
		}
	}
}

func (c *checker) sweep(name string, limit int, edges []edge) {
	slices.SortStableFunc(edges, func(a, b edge) int { return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.by, b.by)) })
	under := 0
	for _, e := range edges {
		under += e.by
		if e.by > 0 && under > limit {
			c.bad("limit", e.run, "%s: %d under way with %s, and %d are allowed", name, under, e.where, limit)
			return // one is enough of each
		}
	}
}
