package scheduler_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/worker"
	"opsconductor.dev/host/workflow"
)

// tally counts what acts at the same time over all hosts, by every key that a
// limit is for, as the targets would.
type tally struct {
	mu        sync.Mutex
	now, most map[string]int
	acts      map[automation.AttemptKey]int
}

func newTally() *tally {
	return &tally{now: map[string]int{}, most: map[string]int{}, acts: map[automation.AttemptKey]int{}}
}

// executor acts for a moment, once it has its intent.
func (c *tally) executor(ctx context.Context, a automation.Attempt, intent worker.Intent) automation.Outcome {
	if err := intent(ctx, "hash"); err != nil {
		return automation.Outcome{State: automation.ItemFailed, Error: automation.AsError(err)}
	}
	keys := []string{"global", "asset " + a.Target.Name, "key " + strconv.Itoa(a.Step)}
	c.mu.Lock()
	c.acts[itemOf(a)]++
	for _, k := range keys {
		c.now[k]++
		c.most[k] = max(c.most[k], c.now[k])
	}
	c.mu.Unlock()
	moment := time.NewTimer(40 * time.Millisecond)
	defer moment.Stop()
	<-moment.C // what has begun on a target goes on there, whatever becomes of its host
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, k := range keys {
		c.now[k]--
	}
	return automation.Outcome{State: automation.ItemSucceeded}
}

func (c *tally) begun() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.acts)
}

// TestLimitsOverHosts: three hosts share two runs, the leader is told to stop and
// the next one is killed: at no instant does more act than each limit allows.
func TestLimitsOverHosts(t *testing.T) {
	t.Parallel()
	f, c := setupPostgres(t), newTally()
	f.limit(automation.LimitGlobal, "", 7, nil)
	f.limit(automation.LimitAsset, "", 2, nil)
	f.limit(automation.LimitConcurrency, "", 4, nil)
	f.overHosts(c, crossed(8, 6))
	c.check(t, map[string]int{"global": 7, "asset": 2, "key": 4})
}

// TestRateOverHosts: nor does more start than a rate allows.
func TestRateOverHosts(t *testing.T) {
	t.Parallel()
	f, rate := setupPostgres(t), automation.Rate{Count: 40, Per: time.Second, Burst: 5}
	f.limit(automation.LimitPlugin, "core", 0, &rate)
	granted := f.granted(f.overHosts(newTally(), crossed(8, 4))...)
	spaced(t, granted, rate)
}

// overHosts has two runs of a plan executed by three hosts, of which the leader is
// told to stop and the next one is killed, to their ends.
func (f *fixture) overHosts(c *tally, plan *workflow.Plan) []automation.RunID {
	f.t.Helper()
	hosts := map[automation.HostID]*hostOf{}
	join := func(name string) *hostOf {
		h := f.join(name, hostSettings{slots: 6, execute: c.executor})
		hosts[h.id] = h
		f.joined(h)
		return h
	}
	first := join("a")
	f.leads(first)
	join("b")
	join("c")
	ids := []automation.RunID{f.submit(plan), f.accept(plan, plan.Hash())}
	all := 2 * len(plan.Steps) * len(plan.Targets)
	f.eventually("a quarter has acted", func() bool { return c.begun() > all/4 })
	first.stop()
	var leader *hostOf
	f.eventually("another host leads", func() bool {
		for id, h := range hosts {
			if h != first && f.row(id).Leads {
				leader = h
			}
		}
		return leader != nil
	})
	f.eventually("half has acted", func() bool { return c.begun() > all/2 })
	leader.kill()
	for _, id := range ids {
		if run := f.await(id, ended); run.State != automation.RunSucceeded {
			f.t.Errorf("got %s: %v", run.State, run.Error)
		}
	}
	if n := c.begun(); n != all {
		f.t.Errorf("%d items acted; want %d", n, all)
	}
	return ids
}

// crossed is a plan of steps that need nothing, each on the same targets and with
// a key of its own.
func crossed(targets, n int) *workflow.Plan {
	p := many(targets, func(*workflow.Plan) {})
	one := p.Steps[0]
	p.Steps = nil
	for i := range n {
		one.ID, one.Effect, one.ConcurrencyKey = "s"+strconv.Itoa(i), automation.EffectIdempotent, "k"+strconv.Itoa(i)
		p.Steps = append(p.Steps, one)
	}
	return p
}

// granted returns when attempts of runs were granted, in order.
func (f *fixture) granted(ids ...automation.RunID) []time.Time {
	f.t.Helper()
	var out []time.Time
	for _, id := range ids {
		entries, err := f.st.RunEntries(f.t.Context(), automation.DefaultTenant, id, 0, 10_000)
		if err != nil {
			f.t.Fatal(err)
		}
		for _, e := range entries {
			for _, fact := range e.Facts {
				if fact.Kind == automation.FactAttemptGranted {
					out = append(out, fact.At)
				}
			}
		}
	}
	slices.SortFunc(out, time.Time.Compare)
	return out
}

// spaced checks that in any span there are at most the burst and what the rate gives.
func spaced(t *testing.T, at []time.Time, r automation.Rate) {
	t.Helper()
	for i, from := range at {
		for j := i; j < len(at); j++ {
			if n, span := j-i+1, at[j].Sub(from); float64(n) > float64(r.Burst)+span.Seconds()*float64(r.Count)/r.Per.Seconds() {
				t.Fatalf("%d were granted within %s; want at most %d and %d in %s", n, span, r.Burst, r.Count, r.Per)
			}
		}
	}
}

// check compares the most that acted at the same time with the limits, by kind.
func (c *tally) check(t *testing.T, limits map[string]int) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	reached := map[string]int{}
	for key, most := range c.most {
		var kind string
		_, _ = fmt.Sscan(key, &kind)
		reached[kind] = max(reached[kind], most)
	}
	for kind, limit := range limits {
		if reached[kind] > limit {
			t.Errorf("%s: %d acted at the same time; the limit is %d", kind, reached[kind], limit)
		}
		if reached[kind] < limit {
			t.Errorf("%s: %d acted at the same time at the most; the limit of %d was never reached", kind, reached[kind], limit)
		}
	}
}
