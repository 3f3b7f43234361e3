package service_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/service"
)

// events collects a run's events behind a cursor, to its end.
func (f *fixture) events(ctx context.Context, id automation.RunID, after service.Cursor) ([]service.Event, error) {
	var out []service.Event
	err := f.Events(ctx, submitter(), id, after, func(e service.Event) error {
		out = append(out, e)
		return nil
	})
	return out, err
}

func TestEventsReplayFromAnyCursor(t *testing.T) {
	t.Parallel()
	f := setup(t)
	l := f.lead(t)
	run := f.submit(t, f.fanPlan(t, 2))
	l.wholeRun(t, run.ID, 2)
	all, err := f.events(t.Context(), run.ID, service.Cursor{})
	if err != nil || len(all) == 0 {
		t.Fatalf("got %d events, %v", len(all), err)
	}
	last := all[len(all)-1]
	if last.Kind != service.EventRun || last.RunState != automation.RunSucceeded {
		t.Errorf("the last event is %+v; want the run's end", last)
	}
	for i, e := range all {
		cursor, err := service.ParseCursor(e.Cursor().String())
		if err != nil || cursor != e.Cursor() {
			t.Fatalf("cursor %s: got %v, %v", e.Cursor(), cursor, err)
		}
		got, err := f.events(t.Context(), run.ID, cursor)
		if diff := cmp.Diff(all[i+1:], got); err != nil || len(got) != len(all)-i-1 || len(got) > 0 && diff != "" {
			t.Errorf("behind %s: %v (-want +got):\n%s", cursor, err, diff)
		}
		if i > 0 && !(all[i-1].Seq < e.Seq || all[i-1].Seq == e.Seq && all[i-1].Index+1 == e.Index) {
			t.Errorf("event %s follows %s", e.Cursor(), all[i-1].Cursor())
		}
	}
	// Another host, with a cache of its own, gives the same.
	other := &fixture{Service: service.New(service.Deps{Store: f.store, Vault: f.vault, Registry: manifests{}})}
	got, err := other.events(t.Context(), run.ID, service.Cursor{})
	if diff := cmp.Diff(all, got); err != nil || diff != "" {
		t.Errorf("another service: %v (-want +got):\n%s", err, diff)
	}
	// A snapshot's number is a cursor behind all of its entry's events.
	for _, e := range all {
		got, err := f.events(t.Context(), run.ID, service.AfterEntry(e.Seq))
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range got {
			if g.Seq <= e.Seq {
				t.Errorf("behind entry %d: got %s", e.Seq, g.Cursor())
			}
		}
	}
}

func TestEventsFollowLive(t *testing.T) {
	t.Parallel()
	f := setup(t)
	l := f.lead(t)
	const items = 40
	run := f.submit(t, f.fanPlan(t, items))
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	const readers = 8
	var wg sync.WaitGroup
	got := make([][]service.Event, readers)
	for i := range readers {
		wg.Go(func() {
			var after service.Cursor
			for i%2 == 1 { // every second reader comes back after each few events
				stop := errors.New("come back")
				n := 0
				err := f.Events(ctx, submitter(), run.ID, after, func(e service.Event) error {
					got[i] = append(got[i], e)
					after = e.Cursor()
					if n++; n == 3 {
						return stop
					}
					return nil
				})
				if err == nil {
					return
				}
				if !errors.Is(err, stop) {
					t.Errorf("reader %d: %v", i, err)
					return
				}
			}
			var err error
			if got[i], err = f.events(ctx, run.ID, after); err != nil {
				t.Errorf("reader %d: %v", i, err)
			}
		})
	}
	wg.Go(func() { // others look at items all the while
		for {
			page, err := f.Items(ctx, submitter(), run.ID, service.ItemQuery{Limit: 1000})
			if err != nil {
				t.Error(err)
				return
			}
			if page.Items[items].State == automation.ItemSucceeded {
				return
			}
		}
	})
	l.wholeRun(t, run.ID, items)
	wg.Wait()
	want, err := f.events(ctx, run.ID, service.Cursor{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range got {
		if diff := cmp.Diff(want, got[i]); diff != "" {
			t.Errorf("reader %d (-want +got):\n%s", i, diff)
		}
	}
}

func TestEventsEnd(t *testing.T) {
	t.Parallel()
	f := setup(t)
	run := f.submit(t, f.fanPlan(t, 1))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		_, err := f.events(ctx, run.ID, service.Cursor{})
		done <- err
	})
	cancel()
	err := <-done
	wantOurs(t, err)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v; want the caller's cancellation", err)
	}
	stop := fmt.Errorf("enough")
	l := f.lead(t)
	l.wholeRun(t, run.ID, 1)
	if err := f.Events(t.Context(), submitter(), run.ID, service.Cursor{}, func(service.Event) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("got %v; want yield's own error", err)
	}
}

func TestParseCursor(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]service.Cursor{"": {}, "0.0": {}, "12.3": {Seq: 12, Index: 3}, "12": service.AfterEntry(12)} {
		if got, err := service.ParseCursor(text); err != nil || got != want {
			t.Errorf("%q: got %v, %v; want %v", text, got, err, want)
		}
	}
	for _, bad := range []string{"x", "-1", "1.", ".1", "1.2.3", "01.2", "1.-2", "99999999999999999999", "1.99999999999", " 1", "1e3", "+1"} {
		if got, err := service.ParseCursor(bad); automation.CodeOf(err) != automation.CodeBadRequest {
			t.Errorf("%q: got %v, %v; want bad_request", bad, got, err)
		}
	}
}

// TestViewsAreBounded reads more runs than the cache holds, from many readers at
// once, while their logs grow.
func TestViewsAreBounded(t *testing.T) {
	t.Parallel()
	f := setup(t)
	l := f.lead(t)
	hash := f.fanPlan(t, 3)
	const runs = 300
	ids := make([]automation.RunID, runs)
	for i := range ids {
		ids[i] = f.submit(t, hash).ID
	}
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range ids {
				id := ids[(i*7+w*31)%runs]
				if _, err := f.Items(t.Context(), submitter(), id, service.ItemQuery{}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for i := range 20 {
		l.wholeRun(t, ids[i], 3)
	}
	wg.Wait()
	for i := range 20 {
		page, err := f.Items(t.Context(), submitter(), ids[i], service.ItemQuery{})
		if err != nil || page.Items[3].State != automation.ItemSucceeded {
			t.Errorf("run %d: got %+v, %v; want it at its end", i, page, err)
		}
	}
	if got := service.CachedViews(f.Service); got > service.MaxViews || got == 0 {
		t.Errorf("got %d views in the cache; want at most %d", got, service.MaxViews)
	}
}
