package machine_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/scheduler/machine"
	"opsconductor.dev/host/workflow"
)

// whyOf returns a run's reasons without their sentences.
func whyOf(t *testing.T, m *machine.Machine, at time.Time) []machine.Reason {
	t.Helper()
	got, ok := m.Why("r", at)
	if !ok {
		t.Fatal("the machine does not have the run")
	}
	return got
}

// TestWhy: what the items of a run wait for, for each reason that there is.
func TestWhy(t *testing.T) {
	t.Parallel()
	list := func(n int) *workflow.PlanForEach { return &workflow.PlanForEach{List: make([]json.RawMessage, n)} }
	parallel := list(10_000)
	parallel.MaxParallel = 3
	batches := list(4)
	batches.Batches = []workflow.Amount{{Count: 1}}
	tests := []struct {
		name  string
		step  workflow.PlanStep
		rules []automation.Limit
		slots int
		lease []string
		then  func(t *testing.T, m *machine.Machine, a automation.Attempt)
		want  []machine.Reason
	}{
		{
			name: "slots", step: workflow.PlanStep{ForEach: list(3)}, slots: 1,
			want: []machine.Reason{{Kind: machine.WhyRunning, Count: 1, Items: []int{0}}, {Kind: machine.WhySlots, Queue: "default", Count: 2, Items: []int{1, 2}}},
		},
		{
			name: "queue", step: workflow.PlanStep{Queue: "dmz"}, slots: 9, lease: []string{"default"},
			want: []machine.Reason{{Kind: machine.WhySlots, Queue: "dmz", Count: 1, Items: []int{0}}},
		},
		{
			name: "max_parallel", step: workflow.PlanStep{ForEach: parallel}, slots: 100,
			want: []machine.Reason{
				{Kind: machine.WhyRunning, Count: 3, Items: []int{0, 1, 2}},
				{Kind: machine.WhyLimit, Key: "max_parallel", Value: "s", Used: 3, Max: 3, Count: 9997, Items: []int{3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22}},
			},
		},
		{
			name: "limit", step: workflow.PlanStep{ForEach: list(2), Plugin: "p", Action: "a"}, slots: 9,
			rules: []automation.Limit{{Kind: automation.LimitAction, Match: "p.a", Max: 1}},
			want: []machine.Reason{
				{Kind: machine.WhyRunning, Count: 1, Items: []int{0}},
				{Kind: machine.WhyLimit, Key: automation.LimitAction, Value: "p.a", Used: 1, Max: 1, Count: 1, Items: []int{1}},
			},
		},
		{
			name: "key", step: workflow.PlanStep{ForEach: list(2), ConcurrencyKey: "k"}, slots: 9,
			want: []machine.Reason{
				{Kind: machine.WhyRunning, Count: 1, Items: []int{0}},
				{Kind: machine.WhyLimit, Key: automation.LimitConcurrency, Value: "k", Used: 1, Max: 1, Count: 1, Items: []int{1}},
			},
		},
		{
			name: "rate", step: workflow.PlanStep{ForEach: list(2), Plugin: "p"}, slots: 9,
			rules: []automation.Limit{{Kind: automation.LimitPlugin, Rate: &automation.Rate{Count: 2, Per: time.Minute}}},
			want: []machine.Reason{
				{Kind: machine.WhyRunning, Count: 1, Items: []int{0}},
				{Kind: machine.WhyRate, Key: automation.LimitPlugin, Value: "p", Used: 1, Until: start().Add(30 * time.Second), Count: 1, Items: []int{1}},
			},
		},
		{
			name: "batch", step: workflow.PlanStep{ForEach: batches}, slots: 9,
			want: []machine.Reason{{Kind: machine.WhyRunning, Count: 1, Items: []int{0}}, {Kind: machine.WhyBatch, Count: 3, Items: []int{1, 2, 3}}},
		},
		{
			name: "paused", step: workflow.PlanStep{ForEach: list(2)}, slots: 0,
			then: func(t *testing.T, m *machine.Machine, _ automation.Attempt) {
				t.Helper()
				if err := m.Handle("r", automation.Fact{Kind: automation.FactPauseAsked, At: start()}); err != nil {
					t.Fatal(err)
				}
			},
			want: []machine.Reason{{Kind: machine.WhyPaused, Count: 2, Items: []int{0, 1}}},
		},
		{
			name: "retry", step: workflow.PlanStep{Retry: workflow.Retry{MaxAttempts: 2, Initial: time.Second}}, slots: 9,
			then: func(t *testing.T, m *machine.Machine, a automation.Attempt) {
				t.Helper()
				o := &automation.Outcome{State: automation.ItemFailed, Error: &automation.Error{Code: automation.CodeUnreachable, CanRetry: true}}
				if err := m.Handle("r", outcome(a, start(), o)); err != nil {
					t.Fatal(err)
				}
			},
			want: []machine.Reason{{Kind: machine.WhyRetry, Until: start().Add(time.Second), Count: 1, Items: []int{0}}},
		},
		{
			name: "stopping", step: workflow.PlanStep{}, slots: 9,
			then: func(t *testing.T, m *machine.Machine, _ automation.Attempt) {
				t.Helper()
				if err := m.Handle("r", automation.Fact{Kind: automation.FactCancelAsked, At: start()}); err != nil {
					t.Fatal(err)
				}
			},
			want: []machine.Reason{{Kind: machine.WhyStopping, Count: 1, Items: []int{0}}},
		},
		{
			name: "wait", step: workflow.PlanStep{Action: "wait", Scheduler: true, With: json.RawMessage(`{"duration":"90s"}`)},
			want: []machine.Reason{{Kind: machine.WhyWait, Until: start().Add(90 * time.Second), Count: 1, Items: []int{0}}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.step.ID, tt.step.Timeout = "s", time.Minute
			tt.step.Retry.MaxAttempts = max(tt.step.Retry.MaxAttempts, 1)
			last := workflow.PlanStep{ID: "last", Needs: []int{0}, Timeout: time.Minute}
			m := machine.New(machine.Limits{Rules: tt.rules})
			plan := &workflow.Plan{Workflow: "w", Steps: []workflow.PlanStep{tt.step, last}}
			if err := m.Accept("r", accepted(start()), listed{plain{plan}}); err != nil {
				t.Fatal(err)
			}
			m.Grant(start(), machine.Lease{Host: "h", Epoch: 1, Queues: tt.lease}, tt.slots)
			d, err := m.Take()
			if err != nil {
				t.Fatal(err)
			}
			if tt.then != nil {
				var a automation.Attempt
				if len(d.Attempts) > 0 {
					a = d.Attempts[0]
				}
				tt.then(t, m, a)
			}
			want := tt.want
			for i := range want {
				want[i].StepID = "s"
			}
			if tt.name != "stopping" { // it has cancelled what had not begun
				want = append(want, machine.Reason{Kind: machine.WhyNeeds, Step: 1, StepID: "last", Needs: []string{"s"}, Count: 1})
			}
			got := whyOf(t, m, start())
			if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(machine.Reason{}, "Text")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			for _, r := range got {
				if !strings.Contains(r.Text, r.StepID) || r.Value != "" && !strings.Contains(r.Text, r.Value) && r.Key != "max_parallel" {
					t.Errorf("%s: %q does not say it", r.Kind, r.Text)
				}
			}
		})
	}
	if _, ok := machine.New(machine.Limits{}).Why("r", start()); ok {
		t.Error("a machine without the run gave reasons")
	}
}

// BenchmarkWhy asks about a run of 10,000 items.
func BenchmarkWhy(b *testing.B) {
	m := machine.New(machine.Limits{})
	s := workflow.PlanStep{ID: "s", Timeout: time.Minute, ForEach: &workflow.PlanForEach{List: make([]json.RawMessage, 10_000), MaxParallel: 10}}
	if err := m.Accept("r", accepted(start()), listed{plain{&workflow.Plan{Workflow: "w", Steps: []workflow.PlanStep{s}}}}); err != nil {
		b.Fatal(err)
	}
	m.Grant(start(), machine.Lease{Host: "h", Epoch: 1}, 100)
	for b.Loop() {
		if _, ok := m.Why("r", start()); !ok {
			b.Fatal("no reasons")
		}
	}
}
