package scheduler_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
	"opsconductor.dev/host/worker"
)

// hold returns what keeps attempts at work until let go, and the function that
// lets them go.
func hold() (wait func(context.Context), let func()) {
	free := make(chan struct{})
	return func(ctx context.Context) {
		select {
		case <-free:
		case <-ctx.Done():
		}
	}, func() { close(free) }
}

// TestHostsShareTheWork: a run's attempts go to every host, no host has more at a
// time than its slots, and every item acts once. Also when nobody is ever woken.
func TestHostsShareTheWork(t *testing.T) {
	t.Parallel()
	for _, silent := range []bool{false, true} {
		f := setupPostgres(t)
		l := newLedger()
		wait, let := hold()
		leader := f.join("a", hostSettings{slots: 3, silent: silent, execute: l.acting("a", wait)})
		f.leads(leader)
		for _, name := range []string{"b", "c"} {
			f.joined(f.join(name, hostSettings{slots: 4, silent: silent, execute: l.acting(name, wait)}))
		}
		id := f.submit(wide(automation.EffectOnce, 26))
		f.eventually("every slot is taken", func() bool {
			a, _ := l.of("a")
			b, _ := l.of("b")
			c, _ := l.of("c")
			return a == 3 && b == 4 && c == 4
		})
		let()
		if run := f.await(id, ended); run.State != automation.RunSucceeded {
			t.Errorf("got %s, %v", run.State, run.Error)
		}
		l.once(t, 26)
		for name, slots := range map[string]int{"a": 3, "b": 4, "c": 4} {
			if _, most := l.of(name); most > slots {
				t.Errorf("host %s had %d attempts at work; it has %d slots", name, most, slots)
			}
		}
	}
}

// TestIntentOfAnotherHost: an attempt on a host that does not lead has its intent
// in the store when it may act.
func TestIntentOfAnotherHost(t *testing.T) {
	t.Parallel()
	f := setupPostgres(t)
	f.leads(f.join("leader", hostSettings{execute: succeed}))
	id := make(chan automation.RunID, 1)
	f.join("b", hostSettings{slots: 1, execute: func(ctx context.Context, _ automation.Attempt, intent worker.Intent) automation.Outcome {
		run := <-id
		if slices.Contains(f.facts(run), automation.FactAttemptStarted) {
			t.Error("the intent is stored before it was asked for")
		}
		if err := intent(ctx, "hash"); err != nil {
			t.Errorf("intent: %v", err)
		}
		if !slices.Contains(f.facts(run), automation.FactAttemptStarted) {
			t.Error("the intent is not stored, and the attempt would act now")
		}
		return automation.Outcome{State: automation.ItemSucceeded, Logs: []automation.LogLine{{Level: "info", Message: "done"}}}
	}})
	run := f.submit(steps(automation.EffectOnce, 1))
	id <- run
	if got := f.await(run, ended); got.State != automation.RunSucceeded {
		t.Errorf("got %s: %v", got.State, got.Error)
	}
	logs, err := f.st.RunLogs(t.Context(), automation.DefaultTenant, run, automation.AttemptKey{}, 10)
	if err != nil || len(logs) != 1 || logs[0].Lines[0].Message != "done" {
		t.Errorf("logs: got %+v, %v; want what the other host logged", logs, err)
	}
}

// TestCancelReachesAnotherHost: and its cause does.
func TestCancelReachesAnotherHost(t *testing.T) {
	t.Parallel()
	f := setupPostgres(t)
	f.leads(f.join("leader", hostSettings{execute: succeed}))
	begun := make(chan struct{})
	f.join("b", hostSettings{slots: 1, execute: func(ctx context.Context, _ automation.Attempt, _ worker.Intent) automation.Outcome {
		close(begun)
		<-ctx.Done()
		return automation.Outcome{State: automation.ItemCancelled, Error: automation.AsError(context.Cause(ctx))}
	}})
	id := f.submit(steps(automation.EffectPure, 2))
	<-begun
	f.cancel(id)
	if run := f.await(id, ended); run.State != automation.RunCancelled || run.Error.Message != "cancelled by ann: wrong host" {
		t.Errorf("got %s, %+v", run.State, run.Error)
	}
}

func (f *fixture) cancel(id automation.RunID) {
	f.t.Helper()
	now := time.Now().UTC()
	err := f.st.PutCommand(f.t.Context(), automation.Command{
		ID: automation.NewID[automation.CommandID](), Tenant: automation.DefaultTenant, Run: id,
		Kind: automation.FactCancelAsked, By: "ann", Reason: "wrong host", At: now,
	}, automation.Act{Tenant: automation.DefaultTenant, By: "ann", Action: "run.cancel", Object: string(id), At: now})
	if err != nil {
		f.t.Fatal(err)
	}
}

// TestHostIsKilled: what a host had at work when it was killed is run again, unless
// it may have acted and must not again.
func TestHostIsKilled(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		effect automation.Effect
		intent bool
		want   automation.RunState
	}{
		{automation.EffectPure, true, automation.RunSucceeded},
		{automation.EffectOnce, false, automation.RunSucceeded},
		{automation.EffectOnce, true, automation.RunFailed},
	} {
		t.Run(string(tt.effect), func(t *testing.T) {
			t.Parallel()
			f := setupPostgres(t)
			f.leads(f.join("leader", hostSettings{execute: succeed}))
			begun := make(chan struct{}, 1)
			dead := f.join("dead", hostSettings{slots: 1, drain: time.Millisecond, execute: func(ctx context.Context, _ automation.Attempt, intent worker.Intent) automation.Outcome {
				if tt.intent {
					if err := intent(ctx, "hash"); err != nil {
						t.Errorf("intent: %v", err)
					}
				}
				begun <- struct{}{}
				<-ctx.Done()
				return automation.Outcome{State: automation.ItemSucceeded} // too late
			}})
			id := f.submit(steps(tt.effect, 1))
			<-begun
			began := time.Now()
			dead.kill()
			f.join("next", hostSettings{slots: 1, execute: succeed})
			if tt.want == automation.RunFailed { // what is not known waits for somebody to say
				f.awaitFacts(id, automation.FactAttemptEnded, 1)
				f.tell(id, automation.FactItemResolved, 0, &automation.Told{Resolution: automation.ResolutionAbandon})
			}
			run := f.await(id, ended)
			if run.State != tt.want {
				t.Errorf("got %s, %+v; want %s", run.State, run.Error, tt.want)
			}
			if tt.want == automation.RunFailed && run.Error.Phase != automation.PhaseAfter {
				t.Errorf("got %+v; want an unknown outcome", run.Error)
			}
			if took := time.Since(began); took < ttl {
				t.Errorf("the host was given up after %s; its lease is twice %s", took, ttl)
			}
			if row := f.row(dead.id); row.State != automation.HostLost || row.Epoch != 2 {
				t.Errorf("the dead host's row: %+v; want it reaped", row)
			}
		})
	}
}

// TestLeaderIsKilled: another host leads within two leases; what other hosts have
// at work goes on and counts, once; what the leader had is run again.
func TestLeaderIsKilled(t *testing.T) {
	t.Parallel()
	f := setupPostgres(t)
	l := newLedger()
	wait, let := hold()
	old := f.join("old", hostSettings{slots: 2, drain: time.Millisecond, execute: func(ctx context.Context, a automation.Attempt, _ worker.Intent) automation.Outcome {
		l.begins("old")
		<-ctx.Done()
		return automation.Outcome{State: automation.ItemSucceeded} // too late
	}})
	f.leads(old)
	f.joined(f.join("b", hostSettings{slots: 2, execute: l.acting("b", wait)}))
	f.joined(f.join("c", hostSettings{slots: 2, execute: l.acting("c", wait)}))
	id := f.submit(wide(automation.EffectOnce, 8))
	f.eventually("every slot is taken", func() bool {
		a, _ := l.of("old")
		b, _ := l.of("b")
		c, _ := l.of("c")
		return a == 2 && b == 2 && c == 2
	})
	began := time.Now()
	old.kill()
	f.eventually("another host leads", func() bool {
		hosts, err := f.st.Hosts(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(hosts, func(h automation.Host) bool { return h.Leads && h.ID != old.id })
	})
	if took := time.Since(began); took > 2*ttl {
		t.Errorf("another host led after %s; a lease is %s", took, ttl)
	}
	let()
	if run := f.await(id, ended); run.State != automation.RunSucceeded {
		t.Errorf("got %s, %v", run.State, run.Error)
	}
	l.once(t, 8)
}

// TestFencedHost: a host that was reaped while it ran an attempt gets no leave to
// act, its outcome does not count, and it goes on under a new epoch.
func TestFencedHost(t *testing.T) {
	t.Parallel()
	f := setupPostgres(t)
	f.leads(f.join("leader", hostSettings{execute: succeed}))
	begun, reaped := make(chan automation.Attempt, 10), make(chan struct{})
	intents := make(chan error, 10)
	b := f.join("b", hostSettings{slots: 1, execute: func(ctx context.Context, a automation.Attempt, intent worker.Intent) automation.Outcome {
		begun <- a
		if a.Attempt > 1 {
			return automation.Outcome{State: automation.ItemFailed, Error: &automation.Error{Code: automation.CodePluginFailed, Message: "the second says no"}}
		}
		<-reaped
		intents <- intent(context.WithoutCancel(ctx), "hash")
		return automation.Outcome{State: automation.ItemSucceeded}
	}})
	id := f.submit(steps(automation.EffectOnce, 1))
	<-begun
	if err := f.st.ReapHost(t.Context(), b.id, 1, automation.HostLost); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	close(reaped)
	if err := <-intents; err == nil || time.Since(began) > 10*time.Second {
		t.Errorf("a host that was reaped asks to act: got %v after %s; want a refusal, soon", err, time.Since(began))
	}
	if run := f.await(id, ended); run.State != automation.RunFailed || run.Error.Code != automation.CodeStepFailed {
		t.Errorf("got %s, %+v; want what the second attempt said", run.State, run.Error)
	}
	if a := <-begun; a.Host != b.id || a.HostEpoch != 3 {
		t.Errorf("the second attempt: %+v; want the same host under a new epoch", a)
	}
	if got := f.facts(id); slices.Contains(got, automation.FactAttemptStarted) {
		t.Errorf("facts %v; want no intent", got)
	}
}

// TestWritesOfAFencedHost: a report of an epoch that is over is refused, whole.
func TestWritesOfAFencedHost(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, setup func(testing.TB) *fixture) {
		t.Helper()
		f := setup(t)
		h, err := f.st.RegisterHost(t.Context(), automation.Host{ID: "h", Name: "h"})
		if err != nil {
			t.Fatal(err)
		}
		if err := f.st.ReapHost(t.Context(), "h", h.Epoch, automation.HostLost); err != nil {
			t.Fatal(err)
		}
		r := store.Report{Number: 1, Attempt: automation.Attempt{AttemptKey: automation.AttemptKey{Run: "r", Attempt: 1}}, Command: "c"}
		err = f.st.PutReports(t.Context(), 0, store.Cursor{Host: "h", Epoch: h.Epoch}, []store.Report{r})
		if automation.CodeOf(err) != automation.CodeConflict {
			t.Errorf("got %v; want that the epoch is over", err)
		}
		if got, err := f.st.Reports(t.Context(), 0, []store.Cursor{{Host: "h"}}, 10); err != nil || len(got) != 0 {
			t.Errorf("got %+v, %v; want nothing stored", got, err)
		}
	})
}
