package main

import (
	"fmt"
	"path/filepath"
	"testing"
)

// TestPerTarget: with --per-target 1 no two steps are at one machine together. The
// folder that each makes and removes there would be in the other's way.
func TestPerTarget(t *testing.T) {
	t.Parallel()
	onBoth(t, testPerTarget)
}

func testPerTarget(t *testing.T, start func(...string) *server) {
	t.Helper()
	host := start("--per-target", "1")
	srv := sshd(t)
	host.addCredential(t, "demo", srv.User, srv.ClientKey)
	host.addAsset(t, target{"web-1", srv.Host, srv.Port, srv.HostKeys}, "demo")
	dir := t.TempDir()
	text := "schema: opsconductor/v1\nname: crowd\ntargets: {select: \"'demo' in asset.tags\"}\nsteps:\n"
	for i := range 4 {
		text += fmt.Sprintf("- {id: s%d, uses: linux.script@1, for_each: {in: targets}, with: {args: [%q], script: 'mkdir \"$1\" && sleep 0.3 && rmdir \"$1\"'}}\n",
			i, filepath.Join(dir, "crowd"))
	}
	if got := host.call(t, "run", "submit", write(t, text), "--wait"); got.code != exitOK {
		t.Errorf("exit code %d, want %d:\n%s\n%s", got.code, exitOK, got.out, got.err)
	}
}
