package machine_test

import (
	"testing"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/scheduler/machine"
	"opsconductor.dev/host/workflow"
)

// room returns how many attempts may be at an asset together.
func room(t *testing.T, limits machine.Limits, target automation.Target) int {
	t.Helper()
	m := machine.New(limits)
	plan := &workflow.Plan{Workflow: "w", Targets: []automation.Target{target}}
	plan.Steps = []workflow.PlanStep{{ID: "s", Timeout: time.Minute, ForEach: &workflow.PlanForEach{Targets: true}}}
	for i := range 30 {
		if err := m.Accept(automation.RunID(rune('A'+i)), accepted(start()), fleet{plain: plain{plan}}); err != nil {
			t.Fatal(err)
		}
	}
	m.Grant(start(), machine.Lease{Host: "h", Epoch: 1}, 100)
	return m.OpenAttempts()
}

// TestRules: the rule that is nearest to a value counts, for each of its bounds.
func TestRules(t *testing.T) {
	t.Parallel()
	server := automation.Target{ID: "1", Name: "db"}
	device := automation.Target{ID: "2", Name: "sw", OS: automation.OSNetwork}
	asset := func(match string, most int) automation.Limit {
		return automation.Limit{Kind: automation.LimitAsset, Match: match, Max: most}
	}
	hourly := &automation.Rate{Count: 1, Per: time.Hour, Burst: 4}
	for _, tt := range []struct {
		name           string
		rules          []automation.Limit
		server, device int
	}{
		{"the settings", nil, 10, 1},
		{"for all", []automation.Limit{asset("", 5)}, 5, 1},
		{"by name", []automation.Limit{asset("", 5), asset("db", 20), asset("sw", 3)}, 20, 3},
		{"a rate leaves the number", []automation.Limit{{Kind: automation.LimitAsset, Match: "db", Rate: hourly}, asset("", 3)}, 3, 1},
		{"a rate for all", []automation.Limit{{Kind: automation.LimitAsset, Rate: hourly}}, 4, 1},
		{"a rate for all, a number by name", []automation.Limit{{Kind: automation.LimitAsset, Rate: hourly}, asset("sw", 9)}, 4, 4},
	} {
		limits := machine.Limits{PerTarget: 10, PerNetworkDevice: 1, Rules: tt.rules}
		if got := [2]int{room(t, limits, server), room(t, limits, device)}; got != [2]int{tt.server, tt.device} {
			t.Errorf("%s: %d at the server, %d at the device; want %d, %d", tt.name, got[0], got[1], tt.server, tt.device)
		}
	}
}

// TestRateMadeFaster: what a slow rate has given leave for in advance does not hold
// up a faster one for longer than its own bucket would.
func TestRateMadeFaster(t *testing.T) {
	t.Parallel()
	rate := func(per time.Duration) machine.Limits {
		return machine.Limits{Rules: []automation.Limit{{Kind: automation.LimitGlobal, Rate: &automation.Rate{Count: 1, Per: per}}}}
	}
	c := &crowd{t: t, m: machine.New(rate(time.Hour))}
	now := start()
	c.run(now, 5, 0)
	if c.next(now) == "" || c.next(now.Add(time.Minute)) != "" {
		t.Fatal("the hourly rate did not let one start alone")
	}
	c.m.SetLimits(rate(time.Second), now.Add(time.Minute))
	if got := c.next(now.Add(time.Minute)); got != "" {
		t.Error("the bucket was full at once")
	}
	if next, ok := c.m.NextTimer(); !ok || !next.Equal(now.Add(time.Minute+time.Second)) {
		t.Errorf("the next start is at %v, %v; want a second later", next, ok)
	}
	now = now.Add(time.Minute + time.Second)
	c.m.Advance(now)
	if c.next(now) == "" {
		t.Error("nothing started when the faster rate had room")
	}
}
