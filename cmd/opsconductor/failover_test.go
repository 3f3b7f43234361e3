package main

import (
	"slices"
	"sync"
	"testing"
	"time"

	"opsconductor.dev/host/store/postgres/privatepg"
)

// waits is a workflow that a run of takes a moment for, and no target.
const waits = `schema: opsconductor/v1
name: waits
steps:
  - id: wait
    uses: core.wait@1
    with: {duration: 3s}
`

// TestThePrimaryIsLost: two hosts accept and carry out runs when the primary is killed
// with all its processes; its synchronous standby is promoted. Every run that was
// accepted before and after is there and ends, and one host leads.
func TestThePrimaryIsLost(t *testing.T) {
	t.Parallel()
	primary, err := privatepg.Start(t.Context(), privatepg.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = primary.Stop() })
	if _, err := primary.CreateDatabase(t.Context(), "ops"); err != nil {
		t.Fatal(err)
	}
	standby, err := primary.StartStandby(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = standby.Stop() })
	f := newFleet(t)
	f.args[1] = primary.EitherURL(standby, "ops")
	a, b := f.start("a"), f.start("b")

	var accepted []string
	var refused int
	file := write(t, waits)
	var mu sync.Mutex
	submit := func(s *server) {
		got := s.call(t, "run", "submit", file, "--output", "json")
		mu.Lock()
		defer mu.Unlock()
		if got.code != exitOK {
			refused++
			return
		}
		accepted = append(accepted, runID(t, got.out))
	}
	for range 5 {
		submit(a)
		submit(b)
	}
	if refused > 0 {
		t.Fatalf("%d runs were refused before anything happened", refused)
	}
	var both sync.WaitGroup
	stop := make(chan struct{})
	for _, s := range []*server{a, b} {
		both.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					submit(s)
				}
			}
		})
	}
	if err := primary.Kill(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	eventually(t, "the hosts miss the database", func() bool { return a.call(t, "host", "list").code != exitOK })
	if err := standby.Promote(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "one host leads, and both are live", func() bool {
		got := b.call(t, "host", "list", "--output", "json")
		if got.code != exitOK {
			return false
		}
		hosts := decode[[]hostRow](t, got.out)
		leads := slices.ContainsFunc(hosts, func(h hostRow) bool { return h.Leader })
		return leads && !slices.ContainsFunc(hosts, func(h hostRow) bool { return h.State != "live" })
	})
	t.Logf("a host led %s after the primary was killed", time.Since(began).Round(10*time.Millisecond))
	close(stop)
	both.Wait()
	n := len(accepted)
	submit(a)
	submit(b)
	if len(accepted) != n+2 {
		t.Error("a host takes no runs on the new primary")
	}
	for i, id := range accepted {
		if out := b.must(t, "run", "wait", id, "--timeout", "60s", "--output", "json"); out == "" {
			t.Errorf("run %d, %s: no answer", i, id)
		}
	}
	t.Logf("%d runs were accepted, and %d refused meanwhile; all accepted ones succeeded", len(accepted), refused)
}
