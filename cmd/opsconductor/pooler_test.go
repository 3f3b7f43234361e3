package main

import (
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// TestBehindAPooler: hosts whose every statement goes through pgbouncer, a transaction
// at a time over two connections for each database, share a fan-out; with a direct
// URL for its notifications, and without.
func TestBehindAPooler(t *testing.T) {
	t.Parallel()
	direct := database(t)
	pooler, err := cluster.server.StartPooler(t.Context(), 4)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := pooler.Stop(); err != nil {
			t.Error(err)
		}
	})
	for name, listen := range map[string]bool{"polling": false, "listening": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			direct := direct
			if listen {
				direct = database(t)
			}
			u, err := url.Parse(direct)
			if err != nil {
				t.Fatal(err)
			}
			f := newFleet(t)
			f.args[1] = pooler.URL(u.Path[1:])
			if listen {
				f.args = append(f.args, "--direct-url", direct)
			}
			a := f.start("a", "--slots", "4")
			b := f.start("b", "--slots", "4")
			shareAFanOut(t, a, b)
		})
	}
}

// shareAFanOut runs a fan-out that two hosts have to share, asked for at the second.
func shareAFanOut(t *testing.T, a, b *server) {
	t.Helper()
	srv := sshd(t)
	b.addCredential(t, "one", srv.User, srv.ClientKey)
	const targets = 8
	for i := range targets {
		b.addAsset(t, target{fmt.Sprintf("n%02d", i), srv.Host, srv.Port, srv.HostKeys}, "one")
	}
	dir := t.TempDir()
	again, once := filepath.Join(dir, "again"), filepath.Join(dir, "once")
	began := time.Now()
	// A host says what it has at work each time it renews its lease, every 1.5 s: an
	// item takes longer than that.
	id := runID(t, b.must(t, "run", "submit", write(t, fanOut(again, once, 2)), "--output", "json"))
	eventually(t, "both hosts are at work", func() bool {
		return !slices.ContainsFunc(a.hosts(t), func(h hostRow) bool { return h.AtWork == 0 })
	})
	b.must(t, "run", "wait", id, "--timeout", "60s")
	t.Logf("it took %s", time.Since(began).Round(10*time.Millisecond))
	for _, ledger := range []string{again, once} {
		ran := entries(t, ledger)
		for i := range targets {
			if name := fmt.Sprintf("n%02d", i); ran[name] != 1 {
				t.Errorf("%s ran %d times on %s; want once", filepath.Base(ledger), ran[name], name)
			}
		}
	}
}
