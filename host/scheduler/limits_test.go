package scheduler_test

import (
	"context"
	"encoding/json"
	"sync"
	"testing"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/worker"
	"opsconductor.dev/host/workflow"
)

// gauge counts what is at work; attempts wait until they are let go.
type gauge struct {
	mu        sync.Mutex
	now, most int
	began     []string // steps, in order
	starts    []time.Time
	free      chan struct{}
}

func newGauge() *gauge { return &gauge{free: make(chan struct{})} }

func (g *gauge) execute(ctx context.Context, a automation.Attempt, intent worker.Intent) automation.Outcome {
	g.mu.Lock()
	g.now++
	g.most = max(g.most, g.now)
	g.began, g.starts = append(g.began, a.StepID), append(g.starts, time.Now())
	g.mu.Unlock()
	select {
	case <-g.free:
	case <-ctx.Done():
	}
	g.mu.Lock()
	g.now--
	g.mu.Unlock()
	return succeed(ctx, a, intent)
}

func (g *gauge) at() (now, most, began int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.now, g.most, len(g.began)
}

// limit stores a limit.
func (f *fixture) limit(kind automation.LimitKind, match string, most int, rate *automation.Rate) automation.Limit {
	f.t.Helper()
	now := time.Now().UTC()
	l := automation.Limit{ID: automation.NewID[automation.LimitID](), Tenant: automation.DefaultTenant, Kind: kind, Match: match, Max: most, Rate: rate, Created: now, Updated: now}
	act := automation.Act{Tenant: l.Tenant, By: "test", Action: "limit.create", Object: string(l.ID), At: now}
	got, _, err := f.st.CreateLimit(f.t.Context(), l, act)
	if err != nil {
		f.t.Fatal(err)
	}
	return got
}

func (f *fixture) relimit(l automation.Limit, most int) automation.Limit {
	f.t.Helper()
	l.Max = most
	act := automation.Act{Tenant: l.Tenant, By: "test", Action: "limit.update", Object: string(l.ID), At: time.Now().UTC()}
	got, err := f.st.UpdateLimit(f.t.Context(), l, act)
	if err != nil {
		f.t.Fatal(err)
	}
	return got
}

// many is a plan of one step on n targets with one credential.
func many(n int, change func(*workflow.Plan)) *workflow.Plan {
	p := steps(automation.EffectPure, 1)
	p.Steps[0].ForEach = &workflow.PlanForEach{Targets: true}
	for i := range n {
		p.Targets = append(p.Targets, automation.Target{
			ID: automation.NewID[automation.AssetID](), Name: "t" + string(rune('a'+i)), Credential: "cred",
		})
	}
	change(p)
	return p
}

// TestLimitsByKey: for each kind of key, no more run than its limit allows, over
// two runs.
func TestLimitsByKey(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, setup func(testing.TB) *fixture) {
		t.Helper()
		for kind, match := range map[automation.LimitKind]string{
			automation.LimitGlobal: "", automation.LimitTenant: "default", automation.LimitQueue: "default", automation.LimitPlugin: "core",
			automation.LimitAction: "core.noop", automation.LimitCredential: "cred", automation.LimitConcurrency: "k", automation.LimitAsset: "",
		} {
			f, g := setup(t), newGauge()
			f.limit(kind, match, 3, nil)
			stop := f.start(f.st, executor(g.execute))
			plan := many(8, func(p *workflow.Plan) {
				p.Steps[0].ConcurrencyKey = map[bool]string{true: "k"}[kind == automation.LimitConcurrency]
				if kind == automation.LimitAsset { // the same asset again and again
					p.Targets = p.Targets[:1]
				}
			})
			hash := plan.Hash()
			ids := []automation.RunID{f.submit(plan), f.accept(plan, hash)}
			want := 3
			if kind == automation.LimitAsset {
				ids = append(ids, f.accept(plan, hash), f.accept(plan, hash), f.accept(plan, hash))
			}
			f.eventually("as many run as may", func() bool { now, _, _ := g.at(); return now == want })
			close(g.free)
			for _, id := range ids {
				f.await(id, ended)
			}
			if _, most, _ := g.at(); most != want {
				t.Errorf("%s: %d ran at the same time; want %d", kind, most, want)
			}
			stop()
		}
	})
}

// TestConcurrencyKeyAlone: without any limit, steps with one key run one at a time.
func TestConcurrencyKeyAlone(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, setup func(testing.TB) *fixture) {
		t.Helper()
		f, g := setup(t), newGauge()
		close(g.free)
		f.start(f.st, executor(g.execute))
		plan := many(6, func(p *workflow.Plan) { p.Steps[0].ConcurrencyKey = "deploy" })
		first := f.submit(plan)
		second := f.accept(plan, plan.Hash())
		f.await(first, ended)
		f.await(second, ended)
		if _, most, began := g.at(); most != 1 || began != 12 {
			t.Errorf("%d attempts, %d at the same time; want 12, one at a time", began, most)
		}
	})
}

// TestLimitChanges: a limit that is changed takes effect without a restart; lowered,
// nothing more starts until there is room.
func TestLimitChanges(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, setup func(testing.TB) *fixture) {
		t.Helper()
		f, g := setup(t), newGauge()
		l := f.limit(automation.LimitGlobal, "", 2, nil)
		f.start(f.st, executor(g.execute))
		id := f.submit(many(20, func(*workflow.Plan) {}))
		f.eventually("two run", func() bool { now, _, _ := g.at(); return now == 2 })
		l = f.relimit(l, 5)
		f.eventually("five run", func() bool { now, _, _ := g.at(); return now == 5 })
		f.relimit(l, 1)
		// What needs no worker goes on; when it has ended, the leader has heard of both.
		wait := steps(automation.EffectPure, 1)
		wait.Steps[0].Scheduler, wait.Steps[0].Action, wait.Steps[0].With = true, "wait", json.RawMessage(`{"duration":"0s"}`)
		f.await(f.submit(wait), ended)
		for range 5 {
			g.free <- struct{}{}
		}
		f.eventually("one runs", func() bool { now, _, began := g.at(); return now == 1 && began == 6 })
		close(g.free)
		f.await(id, ended)
		if _, most, began := g.at(); most != 5 || began != 20 {
			t.Errorf("%d attempts, %d at the same time; want 20, at most 5", began, most)
		}
	})
}

// TestRate: starts are spaced by a rate, and a new leader goes on with its bucket.
func TestRate(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, setup func(testing.TB) *fixture) {
		t.Helper()
		f, g := setup(t), newGauge()
		close(g.free)
		rate := automation.Rate{Count: 10, Per: time.Second, Burst: 2}
		f.limit(automation.LimitPlugin, "", 0, &rate)
		stop := f.start(f.st, executor(g.execute))
		id := f.submit(many(12, func(*workflow.Plan) {}))
		f.eventually("half have begun", func() bool { _, _, began := g.at(); return began >= 6 })
		stop()
		f.start(f.st, executor(g.execute))
		f.await(id, ended)
		granted := f.granted(id) // by the grants' own times
		spaced(t, granted, rate)
		if len(granted) != 12 {
			t.Errorf("%d grants; want 12", len(granted))
		}
	})
}

// TestPriorityOrder: what waits starts by priority.
func TestPriorityOrder(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, setup func(testing.TB) *fixture) {
		t.Helper()
		f, g := setup(t), newGauge()
		f.limit(automation.LimitGlobal, "", 1, nil)
		f.start(f.st, executor(g.execute))
		submit := func(id string, priority int) automation.RunID {
			return f.submit(many(1, func(p *workflow.Plan) { p.Steps[0].ID, p.Steps[0].Priority = id, priority }))
		}
		ids := []automation.RunID{submit("first", 0)}
		f.eventually("the first runs", func() bool { now, _, _ := g.at(); return now == 1 })
		ids = append(ids, submit("low", -3), submit("mid", 0), submit("high", 4))
		f.eventually("all are accepted", func() bool {
			commands, err := f.st.Accepted(t.Context(), 0, 0, 10)
			return err == nil && len(commands) == 4
		})
		close(g.free)
		for _, id := range ids {
			f.await(id, ended)
		}
		want := []string{"first", "high", "mid", "low"}
		for i := range want {
			if g.began[i] != want[i] {
				t.Fatalf("they began in the order %v; want %v", g.began, want)
			}
		}
	})
}
