package scheduler_test

import (
	"context"
	"testing"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/worker"
)

// TestHostDrains: a host that is told to stop finishes what it has and takes no
// more; what is left goes to the others, and nothing runs twice.
func TestHostDrains(t *testing.T) {
	t.Parallel()
	f := setupPostgres(t)
	l := newLedger()
	wait, let := hold()
	f.leads(f.join("leader", hostSettings{slots: 2, execute: l.acting("leader", wait)}))
	b := f.join("b", hostSettings{slots: 2, execute: l.acting("b", wait)})
	f.joined(b)
	id := f.submit(wide(automation.EffectOnce, 10))
	f.eventually("every slot is taken", func() bool {
		a, _ := l.of("leader")
		n, _ := l.of("b")
		return a == 2 && n == 2
	})
	stopped := make(chan struct{})
	go func() { b.stop(); close(stopped) }()
	f.eventually("it says that it drains", func() bool { return f.row(b.id).State == automation.HostDraining })
	let()
	<-stopped
	if run := f.await(id, ended); run.State != automation.RunSucceeded {
		t.Errorf("got %s, %v", run.State, run.Error)
	}
	l.once(t, 10)
	if n, _ := l.of("b"); n != 2 {
		t.Errorf("the draining host began %d attempts; want the 2 that it had", n)
	}
	if row := f.row(b.id); row.State != automation.HostStopped {
		t.Errorf("its row: %+v; want it stopped", row)
	}
}

// TestLeaderDrains: a leader that is told to stop lets another host lead at once,
// and finishes what it has at work, which counts.
func TestLeaderDrains(t *testing.T) {
	t.Parallel()
	f := setupPostgres(t)
	l := newLedger()
	wait, let := hold()
	const long = 20 * time.Second // a takeover by the lease's end would be too late
	old := f.join("old", hostSettings{slots: 2, ttl: long, execute: l.acting("old", wait)})
	f.leads(old)
	next := f.join("next", hostSettings{slots: 2, ttl: long, execute: l.acting("next", wait)})
	f.joined(next)
	id := f.submit(wide(automation.EffectOnce, 10))
	f.eventually("every slot is taken", func() bool {
		a, _ := l.of("old")
		n, _ := l.of("next")
		return a == 2 && n == 2
	})
	began := time.Now()
	stopped := make(chan struct{})
	go func() { old.stop(); close(stopped) }()
	f.leads(next)
	if took := time.Since(began); took > long/4 {
		t.Errorf("the other host led after %s", took)
	}
	let()
	<-stopped
	if run := f.await(id, ended); run.State != automation.RunSucceeded {
		t.Errorf("got %s, %v", run.State, run.Error)
	}
	l.once(t, 10)
}

// TestDrainGivesBack: what is delivered to a host that drains has not begun, and
// is granted again without costing a try.
func TestDrainGivesBack(t *testing.T) {
	t.Parallel()
	f := setupPostgres(t)
	leader := f.join("leader", hostSettings{execute: succeed})
	f.leads(leader)
	wait, let := hold()
	l := newLedger()
	b := f.join("b", hostSettings{slots: 2, execute: l.acting("b", wait)})
	f.joined(b)
	first := f.submit(steps(automation.EffectOnce, 1))
	f.eventually("it is at work", func() bool { n, _ := l.of("b"); return n == 1 })
	leader.st.blind.Store(true) // the leader does not see that b drains
	stopped := make(chan struct{})
	go func() { b.stop(); close(stopped) }()
	f.eventually("it says that it drains", func() bool { return f.row(b.id).State == automation.HostDraining })
	second := f.submit(steps(automation.EffectOnce, 1)) // with one try
	f.eventually("it is given back", func() bool { return len(f.facts(second)) >= 3 })
	leader.st.blind.Store(false)
	let()
	<-stopped
	f.join("c", hostSettings{slots: 1, execute: l.acting("c", nil)})
	for _, id := range []automation.RunID{first, second} {
		if run := f.await(id, ended); run.State != automation.RunSucceeded {
			t.Errorf("got %s, %v", run.State, run.Error)
		}
	}
	l.once(t, 2)
}

// TestDrainCutsShort: what does not end in the drain time is lost with its host,
// which says so.
func TestDrainCutsShort(t *testing.T) {
	t.Parallel()
	f := setupPostgres(t)
	f.leads(f.join("leader", hostSettings{execute: succeed}))
	begun := make(chan struct{}, 1)
	b := f.join("b", hostSettings{slots: 1, drain: 50 * time.Millisecond, execute: func(ctx context.Context, _ automation.Attempt, _ worker.Intent) automation.Outcome {
		begun <- struct{}{}
		<-ctx.Done()
		return automation.Outcome{State: automation.ItemCancelled}
	}})
	id := f.submit(steps(automation.EffectPure, 1))
	<-begun
	b.stop()
	f.join("c", hostSettings{slots: 1, execute: succeed})
	if run := f.await(id, ended); run.State != automation.RunSucceeded {
		t.Errorf("got %s, %v", run.State, run.Error)
	}
}
