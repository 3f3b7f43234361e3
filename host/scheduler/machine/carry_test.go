package machine_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/scheduler/machine"
	"opsconductor.dev/host/workflow"
)

// given is a program of one step whose input is given.
type given struct {
	plain
	input string
}

func (p given) Input(int, *workflow.Scope, workflow.Element) (json.RawMessage, error) {
	return json.RawMessage(p.input), nil
}

// TestCarryOut: what the scheduler does itself, and when it has done it.
func TestCarryOut(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, action, input string
		takes               time.Duration
		want                automation.RunState
		message             string
	}{
		{name: "true", action: "assert", input: `{"that": true}`, want: automation.RunSucceeded},
		{name: "false", action: "assert", input: `{"that": false, "message": "disks are full"}`, want: automation.RunFailed, message: "step s failed: disks are full"},
		{name: "false without words", action: "assert", input: `{"that": false}`, want: automation.RunFailed, message: "step s failed: what core.assert asks for does not hold"},
		{name: "no boolean", action: "assert", input: `{"that": "yes"}`, want: automation.RunFailed, message: "step s failed: core.assert: that is neither true nor false"},
		{name: "nothing to check", action: "assert", input: `{}`, want: automation.RunFailed, message: "step s failed: core.assert: that is neither true nor false"},
		{name: "duration", action: "wait", input: `{"duration": "90s"}`, takes: 90 * time.Second, want: automation.RunSucceeded},
		{name: "until", action: "wait", input: `{"until": "2026-01-01T02:00:00+01:00"}`, takes: time.Hour, want: automation.RunSucceeded},
		{name: "until a time that is past", action: "wait", input: `{"until": "2025-01-01T00:00:00Z"}`, want: automation.RunSucceeded},
		{name: "both", action: "wait", input: `{"duration": "1s", "until": "2026-01-01T02:00:00Z"}`, want: automation.RunFailed, message: "step s failed: core.wait: its input is neither a duration, a time nor an event"},
		{name: "neither", action: "wait", input: `{}`, want: automation.RunFailed, message: "step s failed: core.wait: its input is neither a duration, a time nor an event"},
		{name: "no duration", action: "wait", input: `{"duration": "soon"}`, want: automation.RunFailed, message: "step s failed: core.wait: duration is no duration"},
		{name: "no time", action: "wait", input: `{"until": "soon"}`, want: automation.RunFailed, message: "step s failed: core.wait: its input is neither a duration, a time nor an event"},
		{name: "an event with a time", action: "wait", input: `{"event": "go", "duration": "1s"}`, want: automation.RunFailed, message: "step s failed: core.wait: its input is neither a duration, a time nor an event"},
		{name: "a timeout without event", action: "wait", input: `{"duration": "1s", "timeout": "1s"}`, want: automation.RunFailed, message: "step s failed: core.wait: its input is neither a duration, a time nor an event"},
		{name: "an event that has no name", action: "wait", input: `{"event": "a b"}`, want: automation.RunFailed, message: "step s failed: core.wait: event is no name of an event"},
		{name: "a timeout that is none", action: "wait", input: `{"event": "go", "timeout": "never"}`, want: automation.RunFailed, message: "step s failed: core.wait: timeout is no duration"},
		{name: "an event that never comes", action: "wait", input: `{"event": "go", "timeout": "2h"}`, takes: 2 * time.Hour, want: automation.RunFailed, message: "step s failed: no event go came within 2h0m0s"},
		{name: "an event without timeout", action: "wait", input: `{"event": "go"}`, takes: 366 * 24 * time.Hour, want: automation.RunFailed, message: "step s failed: no event go came within 8784h0m0s"},
		{name: "an approval", action: "approval", input: `{"message": "go?"}`, takes: 24 * time.Hour, want: automation.RunFailed, message: "step s failed: nobody decided within 24h0m0s"},
		{name: "an approval of nothing", action: "approval", input: `{"message": " "}`, want: automation.RunFailed, message: "step s failed: core.approval: it has no message"},
		{name: "an approval of too much", action: "approval", input: `{"message": "` + strings.Repeat("x", 4097) + `"}`, want: automation.RunFailed, message: "step s failed: core.approval: its message is too long"},
		{name: "an approval for ever", action: "approval", input: `{"message": "go?", "expires": "9000h"}`, want: automation.RunFailed, message: "step s failed: core.approval: expires is no duration"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			plan := &workflow.Plan{Workflow: "w", Steps: []workflow.PlanStep{{ID: "s", Action: tt.action, Scheduler: true}}}
			m := machine.New(machine.Limits{})
			if err := m.Accept("r", accepted(start()), given{plain{plan}, tt.input}); err != nil {
				t.Fatal(err)
			}
			m.Grant(start(), machine.Lease{Host: "h", Epoch: 1}, 0) // a wait holds no slot
			d, err := m.Take()
			if err != nil {
				t.Fatal(err)
			}
			if due, waits := m.NextTimer(); waits {
				if got := due.Sub(start()); got != tt.takes {
					t.Fatalf("it waits %s; want %s", got, tt.takes)
				}
				m.Advance(due.Add(-time.Nanosecond))
				if !m.Has("r") {
					t.Fatal("the wait is over too early")
				}
				m.Advance(due)
				if d, err = m.Take(); err != nil {
					t.Fatal(err)
				}
			} else if tt.takes > 0 {
				t.Fatalf("it does not wait; want %s", tt.takes)
			}
			if len(d.Runs) != 1 || d.Runs[0].State != tt.want {
				t.Fatalf("got %+v; want %s", d.Runs, tt.want)
			}
			if e := d.Runs[0].Error; e != nil && e.Message != tt.message || e == nil && tt.message != "" {
				t.Errorf("got %v; want %q", e, tt.message)
			}
		})
	}
}
