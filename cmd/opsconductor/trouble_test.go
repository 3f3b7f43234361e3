package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"opsconductor.dev/hostfuncs/ssh/sshtest"
)

// TestTroublesomeTargets: each way in which a target can go wrong is an outcome
// with its cause and what to do, within the step's time; a good target beside
// them is not held up.
func TestTroublesomeTargets(t *testing.T) {
	t.Parallel()
	host := startDev(t, filepath.Join(t.TempDir(), "host"))
	srv := sshd(t)
	other := sshtest.NewKey()
	wrongKey, err := sshtest.PublicKey(other)
	if err != nil {
		t.Fatal(err)
	}
	hang, err := sshtest.StartFake(sshtest.FakeConfig{Stall: sshtest.Banner})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(hang.Stop)
	host.addCredential(t, "good", srv.User, srv.ClientKey)
	host.addCredential(t, "bad", srv.User, other)
	host.addAsset(t, target{"fine", srv.Host, srv.Port, srv.HostKeys}, "good")
	host.addAsset(t, target{"not-let-in", srv.Host, srv.Port, srv.HostKeys}, "bad")
	host.addAsset(t, target{"changed-key", srv.Host, srv.Port, []string{wrongKey}}, "good")
	host.addAsset(t, target{"no-key", srv.Host, srv.Port, nil}, "good")
	host.addAsset(t, target{"refused", "127.0.0.1", closedPort(t), srv.HostKeys}, "good")
	host.addAsset(t, target{"hangs", hang.Host, hang.Port, []string{hang.HostKey}}, "good")

	file := write(t, `
schema: opsconductor/v1
name: troubles
targets: {select: "'demo' in asset.tags"}
steps:
  - {id: try, uses: linux.command@1, for_each: {in: targets}, with: {argv: [echo, hello]}, timeout: 8s}
`)
	began := time.Now()
	got := host.call(t, "run", "submit", file, "--follow", "--output", "json")
	if got.code != exitSomeFailed {
		t.Errorf("exit code %d, want %d\n%s", got.code, exitSomeFailed, got.err)
	}
	if took := time.Since(began); took > 40*time.Second {
		t.Errorf("took %s, want about the step's 8 s", took)
	}
	items := host.items(t, runID(t, got.out))
	if i := items["try/fine"]; i.State != "succeeded" {
		t.Errorf("fine: got %s (%v), want succeeded", i.State, i.Error)
	}
	for name, codes := range map[string]string{
		"not-let-in": "auth_failed", "changed-key": "host_key_mismatch", "no-key": "host_key_unknown",
		"refused": "unreachable", "hangs": "timeout",
	} {
		i := items["try/"+name]
		if i.State != "failed" || i.Error == nil || i.Error.Code != codes {
			t.Errorf("%s: got %s %+v, want failed with %s", name, i.State, i.Error, codes)
			continue
		}
		if !strings.Contains(i.Error.Message, name+" (127.0.0.1:") {
			t.Errorf("%s: %q does not say where", name, i.Error.Message)
		}
	}
}

// TestCommandsThatAreStopped: a command that is killed at its deadline has failed,
// one that is killed because its run was cancelled is cancelled; neither is
// unknown, for both are confirmed dead. They are gone from the target.
func TestCommandsThatAreStopped(t *testing.T) {
	t.Parallel()
	onBoth(t, testCommandsThatAreStopped)
}

func testCommandsThatAreStopped(t *testing.T, start func(...string) *server) {
	t.Helper()
	host := start()
	srv := sshd(t)
	host.addCredential(t, "good", srv.User, srv.ClientKey)
	host.addAsset(t, target{"one", srv.Host, srv.Port, srv.HostKeys}, "good")
	for _, c := range []struct {
		timeout, state, code string
		cancel               bool
	}{{"2s", "failed", "timeout", false}, {"60s", "cancelled", "cancelled", true}} {
		pid := filepath.Join(t.TempDir(), "pid")
		file := write(t, `
schema: opsconductor/v1
name: stopped
targets: {select: "'demo' in asset.tags"}
steps:
  - id: slow
    uses: linux.script@1
    for_each: {in: targets}
    with: {args: ["`+pid+`"], script: "echo $$ >\"$1\"; exec sleep 600"}
    timeout: `+c.timeout+`
`)
		run := runID(t, host.must(t, "run", "submit", file, "--output", "json"))
		eventually(t, "the command's begin", func() bool { b, _ := os.ReadFile(pid); return strings.HasSuffix(string(b), "\n") })
		if c.cancel {
			host.must(t, "run", "cancel", run, "--reason", "enough")
		}
		if a := host.call(t, "run", "wait", run); a.code != exitRunFailed {
			t.Errorf("exit code %d, want %d\n%s", a.code, exitRunFailed, a.err)
		}
		i := host.items(t, run)["slow/one"]
		if i.State != c.state || i.Error == nil || i.Error.Code != c.code || !strings.Contains(i.Error.Message, "confirmed dead") {
			t.Errorf("got %s %+v, want %s with %s, and that it is dead", i.State, i.Error, c.state, c.code)
		}
		b, err := os.ReadFile(pid)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat("/proc/" + strings.TrimSpace(string(b))); !os.IsNotExist(err) {
			t.Errorf("the command still runs on the target (%v)", err)
		}
	}
}

// closedPort is a loopback port that nobody listens on.
func closedPort(t *testing.T) int {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()                     //nolint:errcheck // it was only for its number
	return l.Addr().(*net.TCPAddr).Port //nolint:forcetypeassert // a TCP listener
}

// TestGigabyteOfOutput: a command that prints without end costs its cap, not the host.
func TestGigabyteOfOutput(t *testing.T) {
	t.Parallel()
	host := startDev(t, filepath.Join(t.TempDir(), "host"))
	srv := sshd(t)
	host.addCredential(t, "good", srv.User, srv.ClientKey)
	host.addAsset(t, target{"one", srv.Host, srv.Port, srv.HostKeys}, "good")
	file := write(t, `
schema: opsconductor/v1
name: gigabyte
targets: {select: "'demo' in asset.tags"}
steps:
  - {id: pour, uses: linux.command@1, for_each: {in: targets}, with: {argv: [head, -c, "1073741824", /dev/zero]}, timeout: 60s}
`)
	got := host.call(t, "run", "submit", file, "--wait", "--output", "json")
	i := host.items(t, runID(t, got.out))["pour/one"]
	if len(i.Output) > 4<<20 {
		t.Errorf("the output has %d bytes", len(i.Output))
	}
	if i.State != "failed" || i.Error == nil || i.Error.Code != "output_limit" || !strings.Contains(i.Error.Message, "confirmed dead") {
		t.Errorf("got %s %+v, want failed with output_limit, and the command dead", i.State, i.Error)
	}
}

// tenFaults is a definition with ten faults.
const tenFaults = `
schema: opsconductor/v1
name: faulty
inputs:
  limit: {type: integer, default: many}
targets:
  select: "asset.oss == 'linux'"
colour: blue
steps:
  - id: one
    uses: linux.comand@1
    with: {argv: [ls]}
  - id: two
    uses: linux.command@1
    needs: [won]
    with: {argv: ls}
  - id: two
    uses: core.noop@1
  - id: three
    uses: nosuch.thing@1
  - id: four
    uses: core.fail@1
    with: {tims: 1}
    timeout: soon
  - id: five
    uses: core.noop@1
    if: "steps.four.outputs.atempt > 1"
    needs: [four]
    retry: {max_attempts: -1}
`

func TestTenFaults(t *testing.T) {
	t.Parallel()
	host := startDev(t, filepath.Join(t.TempDir(), "host"))
	file := write(t, tenFaults)
	for _, args := range [][]string{{"workflow", "validate", file}, {"run", "submit", file}} {
		got := host.call(t, args...)
		if got.code != exitError {
			t.Errorf("%s: exit code %d, want %d", args[0], got.code, exitError)
		}
		if n := strings.Count(got.err, "error: "); n < 10 {
			t.Errorf("%s: %d errors, want ten or more:\n%s", args[0], n, got.err)
		}
		for _, want := range []string{file + ":8:1: error: ", "did you mean"} {
			if !strings.Contains(got.err, want) {
				t.Errorf("%s: no %q in:\n%s", args[0], want, got.err)
			}
		}
	}
	if out := host.must(t, "run", "list", "--output", "json"); strings.TrimSpace(out) != "[]" {
		t.Errorf("there are runs: %s", out)
	}
	got := host.call(t, "workflow", "validate", file, "--output", "json")
	errs := decode[struct {
		Errors []struct {
			Code, Message, Pointer string
			Line                   int
		}
	}](t, got.err).Errors
	if len(errs) < 10 {
		t.Errorf("as JSON: %d errors, want ten or more", len(errs))
	}
	for _, e := range errs {
		if e.Code == "" || e.Message == "" || e.Line == 0 {
			t.Errorf("an error without code, message or line: %+v", e)
		}
	}
}

func TestBadPlugins(t *testing.T) {
	t.Parallel()
	host := startDev(t, filepath.Join(t.TempDir(), "host"))
	for name, c := range map[string]struct{ bytes, want string }{
		"a component": {"\x00asm\x0d\x00\x01\x00", "component"},
		"truncated":   {"\x00asm\x01\x00\x00\x00\x01\xff", ""},
		"no Wasm":     {"#!/bin/sh\n", ""},
		"empty":       {"", ""},
		"thirty MB":   {"\x00asm\x01\x00\x00\x00" + strings.Repeat("\x00", 30<<20), "larger"},
		"no manifest": {"\x00asm\x01\x00\x00\x00", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := host.call(t, "plugin", "upload", write(t, c.bytes))
			if got.code != exitError || !strings.Contains(got.err, "error: ") || !strings.Contains(got.err, c.want) {
				t.Errorf("exit code %d, want %d and a refusal that says %q:\n%s", got.code, exitError, c.want, got.err)
			}
			if strings.Contains(got.err, "internal") {
				t.Errorf("the refusal does not say why:\n%s", got.err)
			}
		})
	}
}
