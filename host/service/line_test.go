package service_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/service"
	"opsconductor.dev/host/store"
)

// said returns lines with these messages.
func said(messages ...string) []automation.LogLine {
	var out []automation.LogLine
	for _, m := range messages {
		out = append(out, automation.LogLine{At: time.Unix(100, 0).UTC(), Level: "info", Message: m})
	}
	return out
}

// part stores a chunk of what an attempt at work has logged.
func (l *leader) part(t testing.TB, k automation.AttemptKey, chunk int, messages ...string) {
	t.Helper()
	err := l.store.PutLiveLogs(t.Context(), l.host.ID, l.host.Epoch, []store.LiveLog{{Tenant: automation.DefaultTenant, Attempt: k, Chunk: chunk, Lines: said(messages...)}})
	if err != nil {
		t.Fatal(err)
	}
}

// endWith ends an attempt with its whole log.
func (l *leader) endWith(t testing.TB, k automation.AttemptKey, messages ...string) {
	t.Helper()
	fact := succeeded(k.Step, k.Item, k.Attempt, `{}`)
	fact.At, fact.Host, fact.HostEpoch = l.clock.Now(), l.host.ID, l.host.Epoch
	err := l.store.Append(t.Context(), store.Batch{
		Host: l.host.ID, Epoch: l.epoch, Entries: []automation.Entry{{Run: k.Run, Facts: []automation.Fact{fact}}},
		Logs: []store.AttemptLogs{{Tenant: automation.DefaultTenant, Attempt: k, Lines: said(messages...), Live: true}},
	})
	if err != nil {
		t.Fatal(err)
	}
}

// lines returns what a call of Lines gives, "step.item#attempt n message".
func lines(ctx context.Context, s *service.Service, id automation.RunID, step string, yield func(string)) error {
	return s.Lines(ctx, submitter(), id, step, func(l service.Line) error {
		yield(fmt.Sprintf("%s.%d#%d %d %s", l.Step, l.Item, l.Attempt, l.N, l.Message))
		return nil
	})
}

// following is a call of Lines beside the test.
type following struct {
	ctx  context.Context //nolint:containedctx // the call's, which the test bounds
	stop context.CancelFunc
	got  chan string
	done chan error
	all  []string // that came
}

func (f *fixture) following(t *testing.T, run automation.RunID) *following {
	t.Helper()
	w := &following{got: make(chan string, 100), done: make(chan error, 1)}
	w.ctx, w.stop = context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(w.stop)
	go func() { w.done <- lines(w.ctx, f.Service, run, "", func(s string) { w.got <- s }) }()
	return w
}

// want waits for these lines, the next ones.
func (w *following) want(t *testing.T, list ...string) {
	t.Helper()
	for _, want := range list {
		select {
		case s := <-w.got:
			if w.all = append(w.all, s); s != want {
				t.Errorf("got %q; want %q", s, want)
			}
		case <-w.ctx.Done():
			t.Fatalf("%q did not come", want)
		}
	}
}

// TestLinesFollowLive: who follows gets each line once and in its attempt's order,
// whether it came while the attempt ran, with its end, or was left by a lost host.
func TestLinesFollowLive(t *testing.T) {
	t.Parallel()
	f := setup(t)
	l := f.lead(t)
	run := f.submit(t, f.fanPlan(t, 3)).ID
	w := f.following(t, run)
	key := func(step, item, attempt int) automation.AttemptKey {
		return automation.AttemptKey{Run: run, Step: step, Item: item, Attempt: attempt}
	}
	l.commit(t, run, l.running(), granted(0, 0, 1), granted(0, 1, 1), granted(0, 2, 1))
	l.part(t, key(0, 0, 1), 1, "a")
	w.want(t, "fan.0#1 1 a")
	l.part(t, key(0, 1, 1), 1, "x")
	l.part(t, key(0, 0, 1), 2, "b", "c")
	w.want(t, "fan.0#1 2 b", "fan.0#1 3 c", "fan.1#1 1 x")
	l.endWith(t, key(0, 0, 1), "a", "b", "c", "d")
	w.want(t, "fan.0#1 4 d")

	l.part(t, key(0, 1, 1), 2, "y")
	lost := failed(0, 1, 1)
	lost.Outcome.Error = &automation.Error{Code: automation.CodeHostLost, Message: "its host was lost", CanRetry: true}
	l.commit(t, run, nil, lost, granted(0, 1, 2))
	w.want(t, "fan.1#1 2 y")
	l.endWith(t, key(0, 1, 2), "again")
	w.want(t, "fan.1#2 1 again")
	l.endWith(t, key(0, 2, 1), "v", "w")
	w.want(t, "fan.2#1 1 v", "fan.2#1 2 w")
	l.commit(t, run, nil, granted(1, 0, 1))
	l.endWith(t, key(1, 0, 1), "sum")
	w.want(t, "sum.0#1 1 sum")
	if err := <-w.done; err != nil || len(w.got) != 0 {
		t.Errorf("at the run's end: %v, %d lines more", err, len(w.got))
	}

	// Another host, after the end, gives the same lines; and those of one step.
	other := service.New(service.Deps{Store: f.store, Vault: f.vault, Registry: manifests{}})
	for step, want := range map[string][]string{"": w.all, "sum": {"sum.0#1 1 sum"}} {
		var again []string
		err := lines(w.ctx, other, run, step, func(s string) { again = append(again, s) })
		slices.Sort(again)
		slices.Sort(want)
		if err != nil || !slices.Equal(again, want) {
			t.Errorf("step %q: got %q, %v; want %q", step, again, err, want)
		}
	}
	page, err := f.Logs(t.Context(), submitter(), run, service.LogQuery{})
	if err != nil || len(page.Attempts) != 5 || !page.Attempts[1].Partial || page.Attempts[2].Partial || page.Attempts[0].Partial {
		t.Errorf("got %+v, %v; want five attempts, of which the lost one's log is a part", page.Attempts, err)
	}
}

// TestLinesOfARetry: what happens to an item after its attempt has ended gives none of
// the attempt's lines again.
func TestLinesOfARetry(t *testing.T) {
	t.Parallel()
	f := setup(t)
	l := f.lead(t)
	run := f.submit(t, f.fanPlan(t, 1)).ID
	w := f.following(t, run)
	l.commit(t, run, l.running(), granted(0, 0, 1))
	l.part(t, automation.AttemptKey{Run: run, Attempt: 1}, 1, "a")
	w.want(t, "fan.0#1 1 a")
	doubt := failed(0, 0, 1)
	doubt.Outcome.State = automation.ItemUnknown
	l.commit(t, run, nil, doubt)
	<-time.After(300 * time.Millisecond) // who follows sees that it has ended
	l.commit(t, run, nil, automation.Fact{Kind: automation.FactItemResolved, By: "ann", Told: &automation.Told{Resolution: automation.ResolutionDidNotRun}})
	l.commit(t, run, nil, granted(0, 0, 2))
	l.part(t, automation.AttemptKey{Run: run, Attempt: 2}, 1, "second")
	w.want(t, "fan.0#2 1 second")
	w.stop()
	<-w.done
}

// TestLinesOfMany: more attempts than one read answers for, each line once.
func TestLinesOfMany(t *testing.T) {
	t.Parallel()
	f := setup(t)
	l := f.lead(t)
	const items = 150
	run := f.submit(t, f.fanPlan(t, items)).ID
	l.commit(t, run, l.running())
	for i := range items {
		l.commit(t, run, nil, granted(0, i, 1))
		if i%2 == 0 {
			l.part(t, automation.AttemptKey{Run: run, Item: i, Attempt: 1}, 1, "a")
		}
		if i < 100 {
			l.endWith(t, automation.AttemptKey{Run: run, Item: i, Attempt: 1}, "a", "b")
		}
	}
	enough := errors.New("enough")
	seen := map[string]int{}
	err := f.Lines(t.Context(), submitter(), run, "", func(line service.Line) error {
		seen[fmt.Sprintf("%d %d %s", line.Item, line.N, line.Message)]++
		if len(seen) == 2*100+25 {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) {
		t.Errorf("got %v; want the caller's own error", err)
	}
	for line, n := range seen {
		if n != 1 {
			t.Errorf("%q came %d times", line, n)
		}
	}
}

// What can be wrong is known before the first line, and without a look at the logs.
func TestLinesRefused(t *testing.T) {
	t.Parallel()
	f := setup(t)
	run := f.submit(t, f.fanPlan(t, 1)).ID
	none := func(service.Line) error { return nil }
	stranger, nobody := submitter(), submitter()
	stranger.Tenant, nobody.Role = "other", "nobody"
	for name, tc := range map[string]struct {
		who  automation.Principal
		run  automation.RunID
		step string
		want automation.Code
	}{
		"an unknown step":    {submitter(), run, "nowhere", automation.CodeUnknownName},
		"an unknown run":     {submitter(), automation.NewID[automation.RunID](), "", automation.CodeNotFound},
		"another's run":      {stranger, run, "", automation.CodeNotFound},
		"who may do nothing": {nobody, run, "", automation.CodeForbidden},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantCode(t, f.CheckLines(t.Context(), tc.who, tc.run, tc.step), tc.want)
			wantCode(t, f.Lines(t.Context(), tc.who, tc.run, tc.step, none), tc.want)
		})
	}
	for _, step := range []string{"", "fan"} {
		if err := f.CheckLines(t.Context(), submitter(), run, step); err != nil {
			t.Errorf("step %q: %v, want that it may be followed", step, err)
		}
	}
}
