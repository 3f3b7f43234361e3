package machine_test

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"testing"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/scheduler/machine"
	"opsconductor.dev/host/workflow"
)

// crowd is a machine with runs of one step, and one slot that is free again and again.
type crowd struct {
	t *testing.T
	m *machine.Machine
	n int
}

// run accepts a run of n items of a priority.
func (c *crowd) run(at time.Time, items, priority int) automation.RunID {
	c.t.Helper()
	c.n++
	id := automation.RunID(fmt.Sprintf("run-%05d", c.n))
	s := workflow.PlanStep{ID: "s", Priority: priority, Timeout: time.Minute, ForEach: &workflow.PlanForEach{List: make([]json.RawMessage, items)}}
	s.Retry.MaxAttempts = 1
	if err := c.m.Accept(id, accepted(at), listed{plain{&workflow.Plan{Workflow: "w", Steps: []workflow.PlanStep{s}}}}); err != nil {
		c.t.Fatal(err)
	}
	return id
}

// next grants one item and ends it; "" when none is ready.
func (c *crowd) next(at time.Time) automation.RunID {
	c.t.Helper()
	c.m.Grant(at, machine.Lease{Host: "h", Epoch: 1}, 1)
	d, err := c.m.Take()
	if err != nil {
		c.t.Fatal(err)
	}
	if len(d.Attempts) == 0 {
		return ""
	}
	a := d.Attempts[0]
	if err := c.m.Handle(a.Run, outcome(a, at, &automation.Outcome{State: automation.ItemSucceeded})); err != nil {
		c.t.Fatal(err)
	}
	return a.Run
}

// TestRunsTakeTurns: runs of one priority share evenly, however many items each
// has and whenever it came.
func TestRunsTakeTurns(t *testing.T) {
	t.Parallel()
	c := &crowd{t: t, m: machine.New(machine.Limits{})}
	now := start()
	runs := []automation.RunID{c.run(now, 10_000, 0), c.run(now, 10_000, 0)}
	for range 100 {
		c.next(now)
	}
	now = now.Add(time.Hour) // what is old has no more right to a turn
	runs = append(runs, c.run(now, 5, 0))
	got := map[automation.RunID]int{}
	for i := range 15 {
		if i%2 == 0 {
			now = now.Add(time.Second)
		}
		got[c.next(now)]++
	}
	for _, id := range runs {
		if got[id] != 5 {
			t.Errorf("after 15 starts: %v; want 5 of each", got)
			break
		}
	}
}

// TestPriorityAndAge: what is more urgent starts first, and what waits for its turn
// a minute for each step of priority starts before what has just come.
func TestPriorityAndAge(t *testing.T) {
	t.Parallel()
	c := &crowd{t: t, m: machine.New(machine.Limits{})}
	now := start()
	low, mid := c.run(now, 100, -10), c.run(now, 100, 0)
	urgent := c.run(now, 2000, 10)
	for i := range 1300 { // one start a second
		got, want := c.next(now.Add(time.Duration(i)*time.Second)), urgent
		switch i {
		case 601, 1203: // ten minutes after its last turn
			want = mid
		case 1201: // twenty
			want = low
		}
		if got != want {
			t.Fatalf("start %d is of %s; want %s", i, got, want)
		}
	}
}

// TestNothingStarves: a run of the lowest priority gets its turn within twenty
// minutes and one turn of each other, though more urgent runs come all the time.
func TestNothingStarves(t *testing.T) {
	t.Parallel()
	c := &crowd{t: t, m: machine.New(machine.Limits{})}
	now := start()
	low := c.run(now, 3, workflow.MinPriority)
	for range 10 {
		c.run(now, 1, workflow.MaxPriority)
	}
	var waited []time.Duration
	since := now
	for i := range 4000 {
		now = start().Add(time.Duration(i) * time.Second)
		c.run(now, 1, workflow.MaxPriority) // as many as there are starts
		if c.next(now) == low {
			waited = append(waited, now.Sub(since))
			since = now
		}
	}
	if len(waited) != 3 {
		t.Fatalf("it had %d turns, after %v; want 3", len(waited), waited)
	}
	for _, w := range waited {
		if w < 20*time.Minute || w > 20*time.Minute+15*time.Second {
			t.Errorf("it waited %v; want 20 minutes each", waited)
			break
		}
	}
}

// BenchmarkGrantBesideParked is the time of a start and its end, alone and beside
// 1,000,000 items that wait for a limit of their own; ratio is the second by the first.
func BenchmarkGrantBesideParked(b *testing.B) {
	alone, beside := math.Inf(1), math.Inf(1)
	for b.Loop() {
		alone = min(alone, parkedRound(b, 0))
		beside = min(beside, parkedRound(b, 1_000_000))
	}
	b.ReportMetric(beside, "ns/start")
	b.ReportMetric(beside/alone, "ratio")
}

// parkedRound returns the median of the time that a start and its end took in
// batches, in nanoseconds.
func parkedRound(b *testing.B, parked int) float64 {
	b.Helper()
	const starts = 50_000
	rules := []automation.Limit{
		{Kind: automation.LimitGlobal, Max: 200},
		{Kind: automation.LimitPlugin, Match: "busy", Max: 1},
		{Kind: automation.LimitConcurrency, Max: 1},
	}
	m := machine.New(machine.Limits{Rules: rules, PerTarget: 10})
	accept := func(id string, s workflow.PlanStep) {
		s.Timeout, s.Retry.MaxAttempts = time.Minute, 1
		if err := m.Accept(automation.RunID(id), accepted(start()), listed{plain{&workflow.Plan{Workflow: "w", Steps: []workflow.PlanStep{s}}}}); err != nil {
			b.Fatal(err)
		}
	}
	for i := range parked / 10_000 { // half by plugin, half by key
		s := workflow.PlanStep{ID: "s", Plugin: "busy", ForEach: &workflow.PlanForEach{List: make([]json.RawMessage, 10_000)}}
		if i%2 == 0 {
			s.Plugin, s.ConcurrencyKey = "other", "k"
		}
		accept("parked-"+strconv.Itoa(i), s)
	}
	accept("free", workflow.PlanStep{ID: "s", Plugin: "free", ForEach: &workflow.PlanForEach{List: make([]json.RawMessage, starts+100)}})
	lease := machine.Lease{Host: "h", Epoch: 1}
	var out []automation.Attempt
	grant := func(n int) {
		m.Grant(start(), lease, n)
		d, err := m.Take()
		if err != nil {
			b.Fatal(err)
		}
		for _, a := range d.Attempts {
			if a.Run == "free" {
				out = append(out, a)
			}
		}
	}
	grant(50)
	var took []float64
	for n := starts; n > 0; {
		began := time.Now()
		batch := out
		out = nil
		for _, a := range batch {
			if err := m.Handle(a.Run, outcome(a, start(), &automation.Outcome{State: automation.ItemSucceeded})); err != nil {
				b.Fatal(err)
			}
		}
		n -= len(batch)
		grant(48)
		took = append(took, float64(time.Since(began).Nanoseconds())/float64(len(batch)))
	}
	slices.Sort(took)
	return took[len(took)/2]
}
