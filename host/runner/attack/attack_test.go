package attack_test

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"opsconductor.dev/host/runner/engine"
)

// mostGrowth is by how much a host may grow under an attack. The reference engine
// moves a memory when it grows, so that there are two of it, and has two of each.
const (
	mostGrowth   = 50 << 20
	extismGrowth = 200 << 20

	whole = "OPSCONDUCTOR_ATTACK" // all: every attack, not a sample
)

// corpus is every attack.
func corpus() []attack {
	all := slices.Concat(loops(), chains(), memories(), tables(), recursions(), bombs(), wasiCalls(), foreign(),
		lies(), numbers(), exchanges(), quotas(), manifests())
	slices.SortFunc(all, func(a, b attack) int { return cmp.Or(cmp.Compare(a.family, b.family), cmp.Compare(a.name, b.name)) })
	return all
}

func TestTheCorpusIsLarge(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	files := map[string]string{}
	for _, a := range corpus() {
		name := a.family + "/" + a.name
		if seen[name] {
			t.Errorf("%s is there twice", name)
		}
		seen[name] = true
		if a.tune == nil && a.input == nil && !a.direct {
			wasm := string(a.bytes())
			if files[wasm] != "" {
				t.Errorf("%s is the same file as %s", name, files[wasm])
			}
			files[wasm] = name
		}
	}
	if len(seen) < 200 {
		t.Errorf("%d attacks, want 200", len(seen))
	}
}

// TestAttacks is `make attack`; without its variable it takes a sample.
func TestAttacks(t *testing.T) {
	all := os.Getenv(whole) == "all"
	for _, kind := range engine.Names() {
		t.Run(kind, func(t *testing.T) {
			h := newHost(t, kind, defaults())
			n := newNeighbour(t, h)
			ctx, cancel := context.WithCancel(t.Context())
			var wg sync.WaitGroup
			wg.Go(func() { n.live(ctx, t) })
			quiet := quietTime(ctx, t, n)
			rows, passed := carryOut(t, h, all)
			busy, wrong := n.take()
			cancel()
			wg.Wait()
			if len(wrong) > 0 {
				t.Errorf("%d calls of the neighbour failed, the first: %s", len(wrong), wrong[0])
			}
			report(t, rows)
			q, b := percentile(quiet, 99), percentile(busy, 99)
			t.Logf("engine %s: passed %d of %d; a neighbour's p99 %s quiet (%d calls), %s under attack (%d calls), %.1f times",
				kind, passed, len(rows), q, len(quiet), b, len(busy), float64(b)/float64(q))
			if b > 30*q+50*time.Millisecond { // two cores with other work
				t.Errorf("a neighbour's p99 went from %s to %s", q, b)
			}
			if err := h.close(); err != nil {
				t.Errorf("something still runs: %v", err)
			}
		})
	}
}

// quietTime lets the neighbour alone for a second.
func quietTime(ctx context.Context, t *testing.T, n *neighbour) []time.Duration {
	t.Helper()
	n.take()
	select {
	case <-time.After(time.Second):
	case <-ctx.Done():
	}
	walls, _ := n.take()
	return walls
}

type row struct {
	attack attack
	ending ending
	faults []string
}

// carryOut does one attack after the other, so that each has its own growth.
func carryOut(t *testing.T, h *host, all bool) (rows []row, passed int) {
	t.Helper()
	for i, a := range corpus() {
		if a.without && h.kind == engine.NameExtism || !all && i%10 != 0 {
			continue
		}
		r := row{attack: a}
		wasm := a.bytes()
		for try := range 4 { // a machine with other work may be late: once more, with twice the budget
			r.ending = one(t, h, a, wasm, budget<<try)
			if r.faults = r.judge(h.kind); len(r.faults) == 0 {
				break
			}
		}
		if len(r.faults) == 0 {
			passed++
		}
		for _, f := range r.faults {
			t.Errorf("%s/%s: %s", a.family, a.name, f)
		}
		rows = append(rows, r)
	}
	return rows, passed
}

// one carries out an attack on the host, or on one of its own where it has
// settings of its own.
func one(t *testing.T, h *host, a attack, wasm []byte, budget time.Duration) (e ending) {
	t.Helper()
	if a.tune != nil {
		s := defaults()
		a.tune(&s)
		h = newHost(t, h.kind, s)
		defer func() {
			if err := h.close(); err != nil {
				t.Errorf("%s/%s: something still runs: %v", a.family, a.name, err)
			}
		}()
	}
	g := growth(func() { e = h.assault(t, a, wasm, budget) })
	e.growth = g
	return e
}

func (r row) judge(kind string) []string {
	var faults []string
	e := r.ending
	if want := r.attack.on(kind); e.code != want {
		faults = append(faults, fmt.Sprintf("ended with %q at %s (%v), want %q", e.code, e.stage, e.err, want))
	}
	if e.call > 2*e.budget {
		faults = append(faults, fmt.Sprintf("the call took %s, more than twice its budget of %s", e.call, e.budget))
	}
	if e.upload > 2*compileBudget {
		faults = append(faults, fmt.Sprintf("the upload took %s, more than twice its budget of %s", e.upload, compileBudget))
	}
	most := int64(mostGrowth)
	if kind == engine.NameExtism {
		most = extismGrowth
	}
	if e.growth > most {
		faults = append(faults, fmt.Sprintf("the host grew by %d MB", e.growth>>20))
	}
	if r.attack.check != nil && e.code == contained && len(faults) == 0 {
		if err := r.attack.check(e.outcome); err != nil {
			faults = append(faults, err.Error())
		}
	}
	return faults
}

// report prints the table.
func report(t *testing.T, rows []row) {
	t.Helper()
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "\nattack\tends with\tat\tupload ms\tcall ms\tgrowth MB\t")
	for _, r := range rows {
		note := ""
		if len(r.faults) > 0 {
			note = "FAILED"
		} else if r.ending.budget > budget {
			note = fmt.Sprintf("with a budget of %s", r.ending.budget)
		}
		fmt.Fprintf(w, "%s/%s\t%s\t%s\t%.1f\t%.1f\t%.1f\t%s\n", r.attack.family, r.attack.name, r.ending.code, r.ending.stage,
			ms(r.ending.upload), ms(r.ending.call), float64(r.ending.growth)/(1<<20), note)
	}
	if err := w.Flush(); err != nil {
		t.Error(err)
	}
	t.Log(b.String())
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
