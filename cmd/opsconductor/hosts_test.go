package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// fleet is several hosts on one database.
type fleet struct {
	t    *testing.T
	args []string
	// token is the file with the deployment's first admin token.
	token string
}

// newFleet makes the database and the key of a deployment.
func newFleet(t *testing.T) *fleet {
	t.Helper()
	key := filepath.Join(t.TempDir(), "vault.key")
	if err := os.WriteFile(key, []byte("MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return &fleet{t: t, args: []string{"--database-url", database(t), "--key-file", key, "--shutdown-timeout", "20s"}}
}

// start starts `serve` and waits until it is ready.
func (f *fleet) start(name string, args ...string) *server {
	f.t.Helper()
	dir := filepath.Join(f.t.TempDir(), name)
	s := startHost(f.t, "serve", dir, slices.Concat(f.args, []string{"--name", name}, args)...)
	if f.token == "" {
		f.token = filepath.Join(dir, "admin.token")
	}
	s.token = f.token
	eventually(f.t, name+" takes part", func() bool {
		return slices.ContainsFunc(s.hosts(f.t), func(h hostRow) bool { return h.Name == name && h.State == "live" })
	})
	return s
}

type hostRow struct {
	Name   string   `json:"name"`
	State  string   `json:"state"`
	Leader bool     `json:"leader"`
	Queues []string `json:"queues"`
	AtWork int      `json:"at_work"`
}

func (s *server) hosts(t *testing.T) []hostRow {
	t.Helper()
	return decode[[]hostRow](t, s.must(t, "host", "list", "--output", "json"))
}

// entries returns what the targets wrote down: how often each name stands in the ledger.
func entries(t *testing.T, ledger string) map[string]int {
	t.Helper()
	b, err := os.ReadFile(ledger)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	out := map[string]int{}
	for line := range strings.Lines(string(b)) {
		out[strings.TrimSpace(line)]++
	}
	return out
}

// fanOut has items that may run again and items that must not, each of which
// writes itself down on its target and takes a moment.
func fanOut(again, once string, seconds float64) string {
	step := func(id, effect, ledger string) string {
		return fmt.Sprintf(`
  - id: %s
    uses: linux.command
    effect: %s
    for_each: {in: targets}
    with: {argv: ["sh", "-c", "echo $1 >>%s; sleep %.1f", "sh", "${{ asset.name }}"]}`, id, effect, ledger, seconds)
	}
	return "schema: opsconductor/v1\nname: fan-out\ntargets: {select: \"'demo' in asset.tags\"}\nsteps:" +
		step("again", "idempotent", again) + step("once", "once", once) + "\n"
}

// TestHostsAreKilled: three hosts share a fan-out on real SSH servers; the leader
// is killed in the middle of it, then another host. What may run again succeeds on
// every target; what must not has run at most once, and is unknown where nobody can say.
func TestHostsAreKilled(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	a := f.start("a", "--slots", "4")
	eventually(t, "a leads", func() bool { return a.hosts(t)[0].Leader })
	b, c := f.start("b", "--slots", "4"), f.start("c", "--slots", "4")
	first, second := sshd(t), sshd(t)
	c.addCredential(t, "one", first.User, first.ClientKey)
	c.addCredential(t, "two", second.User, second.ClientKey)
	const targets = 12
	for i := range targets {
		srv, credential := first, "one"
		if i%2 == 1 {
			srv, credential = second, "two"
		}
		c.addAsset(t, target{fmt.Sprintf("n%02d", i), srv.Host, srv.Port, srv.HostKeys}, credential)
	}
	dir := t.TempDir()
	again, once := filepath.Join(dir, "again"), filepath.Join(dir, "once")
	id := runID(t, c.must(t, "run", "submit", write(t, fanOut(again, once, 2)), "--output", "json"))
	eventually(t, "every host is at work", func() bool {
		hosts := c.hosts(t)
		return !slices.ContainsFunc(hosts, func(h hostRow) bool { return h.AtWork == 0 }) && len(entries(t, again)) > 2
	})
	began := time.Now()
	a.kill()
	eventually(t, "another host leads", func() bool {
		return slices.ContainsFunc(c.hosts(t), func(h hostRow) bool { return h.Leader && h.Name != "a" })
	})
	t.Logf("another host led %s after the leader was killed", time.Since(began).Round(10*time.Millisecond))
	eventually(t, "items that must not run twice are at work", func() bool { return len(entries(t, once)) > 2 })
	b.kill()
	settled := func(i item) bool { return slices.Contains([]string{"succeeded", "failed", "unknown"}, i.State) }
	var items map[string]item
	eventually(t, "every item has its outcome", func() bool {
		items = c.items(t, id)
		for _, i := range items {
			if !settled(i) {
				return false
			}
		}
		return len(items) == 2*targets
	})
	ran, unknown := entries(t, once), 0
	for name, i := range items {
		switch {
		case i.Step == "again" && i.State != "succeeded":
			t.Errorf("%s: got %s, %+v; want succeeded", name, i.State, i.Error)
		case i.Step == "once" && i.State == "unknown":
			unknown++
		case i.Step == "once" && (i.State != "succeeded" || ran[i.Target] != 1):
			t.Errorf("%s: got %s, %+v, and it ran %d times; want succeeded and once", name, i.State, i.Error, ran[i.Target])
		}
		if ran[i.Target] > 1 {
			t.Errorf("%s ran %d times", i.Target, ran[i.Target])
		}
	}
	t.Logf("%d of %d items that must not run twice are unknown", unknown, targets)
}

// TestHostsAreStopped: hosts that are told to stop, one after the other as in an
// upgrade, lose nothing and run nothing twice.
func TestHostsAreStopped(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	a := f.start("a", "--slots", "3")
	b := f.start("b", "--slots", "3")
	srv := sshd(t)
	b.addCredential(t, "one", srv.User, srv.ClientKey)
	for i := range 8 {
		b.addAsset(t, target{fmt.Sprintf("n%02d", i), srv.Host, srv.Port, srv.HostKeys}, "one")
	}
	dir := t.TempDir()
	again, once := filepath.Join(dir, "again"), filepath.Join(dir, "once")
	id := runID(t, b.must(t, "run", "submit", write(t, fanOut(again, once, 0.5)), "--output", "json"))
	eventually(t, "both are at work", func() bool { return len(entries(t, again))+len(entries(t, once)) > 2 })
	if err := a.stop(t); err != nil {
		t.Errorf("the leader stopped with %v", err)
	}
	c := f.start("c", "--slots", "3")
	if err := b.stop(t); err != nil {
		t.Errorf("the second host stopped with %v", err)
	}
	c.must(t, "run", "wait", id)
	for _, ledger := range []string{again, once} {
		for name, n := range entries(t, ledger) {
			if n != 1 {
				t.Errorf("%s: %s ran %d times", filepath.Base(ledger), name, n)
			}
		}
	}
	for name, i := range c.items(t, id) {
		if i.State != "succeeded" || i.Error != nil {
			t.Errorf("%s: got %s, %+v", name, i.State, i.Error)
		}
	}
}

// TestTaskQueues: what stands in a queue runs on hosts that serve it alone, and a
// queue without one waits and is seen.
func TestTaskQueues(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	a := f.start("a")
	b := f.start("b", "--queue", "dmz")
	srv := sshd(t)
	a.addCredential(t, "one", srv.User, srv.ClientKey)
	a.addAsset(t, target{"inside", srv.Host, srv.Port, srv.HostKeys}, "one")
	a.addAsset(t, target{"outside", srv.Host, srv.Port, srv.HostKeys}, "one")
	a.must(t, "asset", "update", "outside", "--queue", "dmz")
	if bad := a.call(t, "asset", "update", "outside", "--queue", "No Queue"); bad.code == exitOK || !strings.Contains(bad.err, "/queue") {
		t.Errorf("a bad queue: got %d, %s", bad.code, bad.err)
	}
	file := write(t, "schema: opsconductor/v1\nname: q\ntargets: {select: \"'demo' in asset.tags\"}\nsteps:\n"+
		"  - {id: s, uses: linux.command, effect: idempotent, for_each: {in: targets}, with: {argv: [\"true\"]}}\n")
	a.must(t, "run", "submit", file, "--follow")
	if err := b.stop(t); err != nil {
		t.Error(err)
	}
	id := runID(t, a.must(t, "run", "submit", file, "--output", "json"))
	eventually(t, "the item inside has run", func() bool { return a.items(t, id)["s/inside"].State == "succeeded" })
	eventually(t, "the queue without a host is listed", func() bool {
		return strings.Contains(a.must(t, "queue", "list"), "no live host serves it")
	})
	if got := a.items(t, id)["s/outside"]; got.State != "ready" {
		t.Errorf("the item of the queue without a host is %s; want ready", got.State)
	}
	f.start("c", "--queue", "dmz", "--queue", "lab")
	eventually(t, "the item outside has run", func() bool { return a.items(t, id)["s/outside"].State == "succeeded" })
	if strings.Contains(a.must(t, "queue", "list"), "no live host") {
		eventually(t, "the queue is served", func() bool { return !strings.Contains(a.must(t, "queue", "list"), "no live host") })
	}
	a.kill()
	if log := a.log.String(); !strings.Contains(log, "a task queue has no live worker") {
		t.Errorf("the log does not warn of the queue:\n%s", log)
	}
}
