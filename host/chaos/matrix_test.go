package chaos_test

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"opsconductor.dev/host/chaos"
)

// fault is a row of the matrix: something that goes wrong, and how it is made to.
type fault struct {
	name  string // as the scoreboard has it
	store string // sqlite or postgres
	short bool   // one round of it is part of CI
	plan  plan
	// prepare is called before a deployment is made; it may skip the row.
	prepare func(t *testing.T, p *plan)
	// strike breaks something, and mends it before it returns. It returns when the
	// recovery began that is measured: the moment of a kill, else that of the mending.
	strike func(d *deployment, round int) time.Time
	// moved: a clock is moved.
	moved bool
	// That the fault was one: felt has to be in a host's log, and for as long as silent
	// nothing was granted while it lasted.
	felt   string
	silent time.Duration
}

// row is what a fault's rounds gave.
type row struct {
	fault, store                          string
	rounds, accepted, ended, items        int
	lost, twice, overshoot, unknown, more int
	recoveries                            []time.Duration
	violations                            []chaos.Violation
}

// TestMatrix runs every fault against real processes: OPSCONDUCTOR_CHAOS=short is
// what CI runs, OPSCONDUCTOR_CHAOS=all the whole; ROUNDS is how often each fault strikes.
func TestMatrix(t *testing.T) {
	mode := os.Getenv("OPSCONDUCTOR_CHAOS")
	if mode != "short" && mode != "all" {
		t.Skip("make chaos runs it")
	}
	rounds, err := strconv.Atoi(cmp.Or(os.Getenv("ROUNDS"), "1"))
	if err != nil || rounds < 1 {
		t.Fatalf("ROUNDS is %q; want a number from 1", os.Getenv("ROUNDS"))
	}
	var mu sync.Mutex
	var rows []row
	var guarded []guardedRow
	t.Run("faults", func(t *testing.T) {
		for _, store := range []string{"sqlite", "postgres"} {
			t.Run("guarded/"+store, func(t *testing.T) {
				t.Parallel()
				r := proveGuarded(t, store, rounds, mode == "short")
				mu.Lock()
				defer mu.Unlock()
				guarded = append(guarded, r)
			})
		}
		for i, f := range faults() {
			if mode == "short" && !f.short {
				continue
			}
			t.Run(strings.ReplaceAll(f.name, " ", "-")+"/"+f.store, func(t *testing.T) {
				t.Parallel()
				r := f.run(t, rounds)
				mu.Lock()
				defer mu.Unlock()
				r.more = i
				rows = append(rows, r)
			})
		}
	})
	if len(rows)+len(guarded) == 0 {
		t.Fatal("no fault has that name; FAULTS=/kill--9/postgres is one")
	}
	slices.SortFunc(rows, func(a, b row) int { return cmp.Compare(a.more, b.more) })
	fmt.Fprint(os.Stdout, table(rows), guardedTable(guarded))
}

// run strikes as often as there are rounds, each under a load of its own, and holds
// what the hosts say against the ledgers when all of it is over.
func (f *fault) run(t *testing.T, rounds int) row {
	t.Helper()
	p := f.plan
	p.postgres = f.store == "postgres"
	if f.prepare != nil {
		f.prepare(t, &p)
	}
	d := deploy(t, p)
	l := &load{d: d, definition: d.definition(220)}
	h := chaos.History{Steps: steps(), Limits: map[string]int{"crowd": crowd}, Grace: 15 * time.Second, Moved: f.moved}
	var from []time.Time
	for n := range rounds {
		ctx, stop := context.WithCancel(t.Context())
		var submitting sync.WaitGroup
		submitting.Go(func() { l.submit(ctx, fmt.Sprintf("round-%d", n), 800*time.Millisecond) })
		pause(2500 * time.Millisecond)
		began := time.Now()
		from = append(from, f.strike(d, n))
		h.Faults = append(h.Faults, chaos.Span{From: began, To: time.Now()})
		pause(3 * time.Second)
		stop()
		submitting.Wait()
		l.settle()
	}
	h.Runs = l.told()
	d.stop()
	facts := d.entries(l.accepted)
	for i := range h.Runs {
		h.Runs[i].Entries = facts[h.Runs[i].ID]
	}
	f.wasFelt(t, d, &h)
	return f.judge(t, d, &h, from)
}

// wasFelt fails a row whose fault did nothing.
func (f *fault) wasFelt(t *testing.T, d *deployment, h *chaos.History) {
	t.Helper()
	if f.felt != "" && !d.said(f.felt) {
		t.Errorf("no host has felt the fault: no log has %q", f.felt)
	}
	for i, span := range h.Faults {
		if got := h.Silence(span); f.silent > 0 && got < f.silent {
			t.Errorf("round %d: nothing was granted for %s at most; the fault was to last for %s", i, got, f.silent)
		}
	}
}

// said reports whether any host's log has a pattern.
func (d *deployment) said(pattern string) bool {
	d.t.Helper()
	wanted := regexp.MustCompile(pattern)
	return slices.ContainsFunc(d.hosts, func(h *host) bool {
		b, err := os.ReadFile(h.log())
		if err != nil {
			d.t.Error(err)
		}
		return wanted.Match(b)
	})
}

// judge checks the history and says what came of it.
func (f *fault) judge(t *testing.T, d *deployment, h *chaos.History, from []time.Time) row {
	t.Helper()
	ledger := d.ledger()
	r := row{
		fault: f.name, store: f.store, rounds: len(from), accepted: len(h.Runs), ended: h.Ended(), items: h.Items(), unknown: h.Unknown(),
		violations: chaos.Check(h, ledger),
	}
	for i, at := range from {
		granted, ok := h.Granted(at)
		if !ok {
			t.Errorf("round %d: nothing was granted after the fault", i)
			continue
		}
		r.recoveries = append(r.recoveries, granted.Sub(at))
	}
	for i, v := range r.violations {
		switch v.Rule {
		case "lost", "untrue":
			r.lost++
		case "limit":
			r.overshoot++
		case "unknown":
		default:
			r.twice++
		}
		if i < 20 {
			t.Error(v)
		}
	}
	if t.Failed() {
		for _, host := range d.hosts {
			t.Logf("the log of %s ends:\n%s", host.name, host.tail())
		}
	}
	if len(h.Runs) == 0 || len(ledger) == 0 {
		t.Error("nothing ran: the row shows nothing")
	}
	return r
}

// table prints rows, and what they add up to.
func table(rows []row) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n%s, %d cores, %s\n\n", time.Now().UTC().Format(time.DateOnly), runtime.NumCPU(), runtime.Version())
	fmt.Fprintln(&b, "| fault | store | rounds | runs accepted | ended | items | lost | duplicates | overshoot | unknown | recovery p50 | p99 |")
	fmt.Fprintln(&b, "|---|---|---|---|---|---|---|---|---|---|---|---|")
	sum := row{fault: "total"}
	for _, r := range rows {
		sum.rounds, sum.accepted, sum.ended, sum.items = sum.rounds+r.rounds, sum.accepted+r.accepted, sum.ended+r.ended, sum.items+r.items
		sum.lost, sum.twice, sum.overshoot, sum.unknown = sum.lost+r.lost, sum.twice+r.twice, sum.overshoot+r.overshoot, sum.unknown+r.unknown
		sum.recoveries = append(sum.recoveries, r.recoveries...)
		r.print(&b)
	}
	sum.print(&b)
	return b.String()
}

func (r *row) print(b *strings.Builder) {
	fmt.Fprintf(b, "| %s | %s | %d | %d | %d | %d | %d | %d | %d | %d | %.1f s | %.1f s |\n", r.fault, r.store, r.rounds, r.accepted, r.ended, r.items,
		r.lost, r.twice, r.overshoot, r.unknown, quantile(r.recoveries, 0.5).Seconds(), quantile(r.recoveries, 0.99).Seconds())
}

// quantile returns the value that a share of the values does not exceed.
func quantile(all []time.Duration, share float64) time.Duration {
	if len(all) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(all))
	return sorted[min(int(share*float64(len(sorted))), len(sorted)-1)]
}
