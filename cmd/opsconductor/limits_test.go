package main

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestLimits: limits are set, listed and deleted on the command line, hold for what
// is under way without a restart, and are exact: two steps of one run that would be
// in each other's way at a machine are not there together.
func TestLimits(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, start func(...string) *server) {
		host, srv := start(), sshd(t)
		host.addCredential(t, "good", srv.User, srv.ClientKey)
		host.addAsset(t, target{"one", srv.Host, srv.Port, srv.HostKeys}, "good")
		host.must(t, "limit", "set", "plugin", "linux", "--max", "7", "--rate", "100/1s", "--burst", "50")
		host.must(t, "limit", "set", "credential", "good", "--max", "1")
		host.must(t, "limit", "set", "credential", "good", "--max", "1") // again: the same
		if got := host.must(t, "limit", "list"); !strings.Contains(got, "100/1s, burst 50") || strings.Count(got, "credential") != 1 {
			t.Errorf("limit list: got %q", got)
		}
		if a := host.call(t, "run", "submit", crowded(t, ""), "--wait"); a.code != exitOK {
			t.Errorf("with a limit of one by credential: exit code %d\n%s%s", a.code, a.out, a.err)
		}
		host.must(t, "limit", "delete", "credential", "good")
		if a := host.call(t, "run", "submit", crowded(t, ""), "--wait"); a.code == exitOK {
			t.Error("without the limit the steps were not in each other's way: the test shows nothing")
		}
		if a := host.call(t, "run", "submit", crowded(t, "concurrency_key: \"on-${{ asset.name }}\", "), "--wait"); a.code != exitOK {
			t.Errorf("with a concurrency key: exit code %d\n%s%s", a.code, a.out, a.err)
		}
		for args, want := range map[string]int{
			"limit delete credential good": exitError, "limit set global x --max 1": exitError, "limit set os --max 1": exitError,
			"limit set global": exitError, "limit set global --rate fast": exitUsage, "limit set": exitUsage, "limit set global --max 1 --burst 2": exitUsage,
		} {
			if a := host.call(t, strings.Fields(args)...); a.code != want {
				t.Errorf("%s: exit code %d, want %d: %s", args, a.code, want, a.err)
			}
		}
	})
}

// TestNetworkDevice: two attempts are never at a network device together, without
// any limit set.
func TestNetworkDevice(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, start func(...string) *server) {
		host, srv := start(), sshd(t)
		host.addCredential(t, "good", srv.User, srv.ClientKey)
		host.addAsset(t, target{"one", srv.Host, srv.Port, srv.HostKeys}, "good")
		host.must(t, "asset", "update", "one", "--os", "network")
		if a := host.call(t, "run", "submit", crowded(t, ""), "--wait"); a.code != exitOK {
			t.Errorf("exit code %d\n%s%s", a.code, a.out, a.err)
		}
	})
}

// crowded is a workflow of four steps, each of which fails when another is at the
// machine at the same time.
func crowded(t *testing.T, more string) string {
	t.Helper()
	text := "schema: opsconductor/v1\nname: crowd\ntargets: {select: \"'demo' in asset.tags\"}\nsteps:\n"
	dir := filepath.Join(t.TempDir(), "crowd")
	for _, id := range []string{"a", "b", "c", "d"} {
		text += "- {id: " + id + ", uses: linux.script@1, for_each: {in: targets}, " + more + "with: {args: [\"" + dir + "\"], script: 'mkdir \"$1\" && sleep 0.3 && rmdir \"$1\"'}}\n"
	}
	return write(t, text)
}
