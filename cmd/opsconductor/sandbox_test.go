package main

import (
	"path/filepath"
	"runtime"
	"testing"
)

// TestSandboxProcess: a whole run, with plugins in processes of their own.
func TestSandboxProcess(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("sandbox processes need Linux")
	}
	host := startDev(t, filepath.Join(t.TempDir(), "host"), "--sandbox", "process")
	srv := sshd(t)
	host.addCredential(t, "key", srv.User, srv.ClientKey)
	host.addAsset(t, target{"one", srv.Host, srv.Port, srv.HostKeys}, "key")
	file := write(t, `
schema: opsconductor/v1
name: apart
targets: {select: "'demo' in asset.tags"}
steps:
  - {id: say, uses: linux.command@1, for_each: {in: targets}, with: {argv: [echo, hello]}}
  - {id: end, uses: linux.command@1, for_each: {in: targets}, with: {argv: [sleep, "60"]}, timeout: 1s}
`)
	run := runID(t, host.must(t, "run", "submit", file, "--output", "json"))
	if a := host.call(t, "run", "wait", run); a.code != exitRunFailed {
		t.Fatalf("exit code %d\n%s\n%s", a.code, a.out, a.err)
	}
	items := host.items(t, run)
	if got := items["say/one"]; got.State != "succeeded" {
		t.Errorf("say: got %+v (%+v), want succeeded", got, got.Error)
	}
	if got := items["end/one"]; got.State != "failed" || got.Error == nil || got.Error.Code != "timeout" {
		t.Errorf("end: got %+v (%+v), want failed, timeout", got, got.Error)
	}
	if err := host.stop(t); err != nil {
		t.Errorf("stop: %v", err)
	}
}
