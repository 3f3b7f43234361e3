package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestFirstLight runs the example on two real SSH servers, through the program.
func TestFirstLight(t *testing.T) {
	t.Parallel()
	host := startDev(t, filepath.Join(t.TempDir(), "host"))
	first := sshd(t)
	second := sshd(t)
	host.addCredential(t, "one", first.User, first.ClientKey)
	host.addCredential(t, "two", second.User, second.ClientKey)
	host.addAsset(t, target{"first", first.Host, first.Port, first.HostKeys}, "one")
	host.addAsset(t, target{"second", second.Host, second.Port, second.HostKeys}, "two")

	plan := strings.TrimSpace(host.must(t, "workflow", "plan", "../../examples/first-light.yaml", "--hash-only"))
	got := host.call(t, "run", "submit", "--plan", plan, "--follow")
	if got.code != exitOK {
		t.Fatalf("exit code %d\n%s\n%s", got.code, got.out, got.err)
	}
	for _, want := range []string{"report[first] succeeded", "flaky[second] waiting_retry", "run succeeded"} {
		if !strings.Contains(got.err, want) {
			t.Errorf("progress has no %q:\n%s", want, got.err)
		}
	}
	for _, want := range []string{"STEP", "2 targets run Linux", "ready at the second attempt"} {
		if !strings.Contains(got.out, want) {
			t.Errorf("the table has no %q:\n%s", want, got.out)
		}
	}
	run := decode[[]struct {
		ID string `json:"id"`
	}](t, host.must(t, "run", "list", "--output", "json"))[0].ID
	items := host.items(t, run)
	if len(items) != 10 {
		t.Errorf("got %d items, want 10", len(items))
	}
	for name, i := range items {
		attempts := 1
		if i.Step == "flaky" {
			attempts = 2
		}
		if i.State != "succeeded" || i.Attempt != attempts {
			t.Errorf("%s: got %s after %d attempts, want succeeded after %d", name, i.State, i.Attempt, attempts)
		}
	}
	events := strings.Split(strings.TrimSpace(host.must(t, "run", "events", run, "--output", "jsonl")), "\n")
	if last := events[len(events)-1]; !strings.Contains(last, `"run_state":"succeeded"`) {
		t.Errorf("the last event is %s, want the run's end", last)
	}
	if err := host.stop(t); err != nil {
		t.Errorf("stopped with %v, want exit code 0", err)
	}
}

// TestNoSecretComesOut: neither lists, logs nor files beside the vault's key and
// the admin token hold what was sealed.
func TestNoSecretComesOut(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "host")
	host := startDev(t, dir, "--log-level", "debug")
	const secret = "correct-horse-battery-staple-7"
	if a := host.callWith(t, secret+"\n", "credential", "create", "c", "--username", "u", "--password-stdin", "--asset", "*"); a.code != exitOK {
		t.Fatal(a.err)
	}
	if out := host.must(t, "credential", "list", "--output", "json"); strings.Contains(out, secret) {
		t.Errorf("the list has the secret: %s", out)
	}
	if err := host.stop(t); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(host.log.String(), secret) {
		t.Error("the log has the secret")
	}
	err := filepath.Walk(dir, func(name string, info os.FileInfo, err error) error {
		if err != nil || info.IsDir() {
			return err
		}
		if info.Mode().Perm()&0o077 != 0 && !strings.Contains(name, "cache") {
			t.Errorf("%s has mode %v", name, info.Mode())
		}
		b, err := os.ReadFile(name)
		if strings.Contains(string(b), secret) {
			t.Errorf("%s has the secret", name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestKilledWhileWaiting: a run that waits goes on after kill -9 and a new start.
func TestKilledWhileWaiting(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "host")
	host := startDev(t, dir)
	file := write(t, `
schema: opsconductor/v1
name: waits
steps:
  - {id: before, uses: core.noop@1, with: {a: 1}}
  - {id: pause, uses: core.wait@1, needs: [before], with: {duration: 3s}}
  - {id: after, uses: core.noop@1, needs: [pause], with: {b: 2}}
`)
	run := runID(t, host.must(t, "run", "submit", file, "--output", "json"))
	eventually(t, "the first step's end", func() bool { return host.items(t, run)["before/"].State == "succeeded" })
	host.kill()

	again := startDev(t, dir)
	if a := again.call(t, "run", "wait", run); a.code != exitOK {
		t.Fatalf("exit code %d\n%s\n%s\n%s", a.code, a.out, a.err, again.log)
	}
	for name, i := range again.items(t, run) {
		if i.State != "succeeded" {
			t.Errorf("%s: got %s, want succeeded", name, i.State)
		}
	}
}

// TestKilledMidCommand: what a command did when the host died is not known, and
// the run says so and asks instead of running it again.
func TestKilledMidCommand(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "host")
	srv := sshd(t)
	host := startDev(t, dir)
	host.addCredential(t, "key", srv.User, srv.ClientKey)
	host.addAsset(t, target{"one", srv.Host, srv.Port, srv.HostKeys}, "key")
	mark := filepath.Join(t.TempDir(), "mark")
	file := write(t, `
schema: opsconductor/v1
name: interrupted
targets: {select: "'demo' in asset.tags"}
steps:
  - id: slow
    uses: linux.script@1
    for_each: {in: targets}
    with: {args: ["`+mark+`"], script: "echo ran >>\"$1\"; sleep 3"}
    retry: {max_attempts: 3, backoff: {initial: 100ms}}
    timeout: 60s
`)
	run := runID(t, host.must(t, "run", "submit", file, "--output", "json"))
	eventually(t, "the command's begin", func() bool { _, err := os.Stat(mark); return err == nil })
	host.kill()

	again := startDev(t, dir, "--per-target", "1")
	a := again.call(t, "run", "wait", run, "--timeout", "4s")
	if a.code != exitWaitTimeout || !strings.Contains(a.err, "opsconductor run resolve "+run+" slow one --ran | --did-not-run | --abandon") {
		t.Fatalf("exit code %d, want %d, and what to do\n%s\n%s", a.code, exitWaitTimeout, a.out, a.err)
	}
	got := again.items(t, run)["slow/one"]
	if got.State != "unknown" || got.Error == nil || got.Error.Message == "" {
		t.Errorf("got %+v, want unknown, with the cause", got)
	}
	again.resolveMidCommand(t, run, mark)
	if b, _ := os.ReadFile(mark); strings.Count(string(b), "ran") != 1 {
		t.Errorf("the command ran %q, want once", b)
	}
}

// resolveMidCommand says what became of the command: first what can't be, then
// that it ran. While it is not known, no other run acts on the target.
func (s *server) resolveMidCommand(t *testing.T, run, mark string) {
	t.Helper()
	other := runID(t, s.must(t, "run", "submit", write(t, `
schema: opsconductor/v1
name: other
targets: {select: "'demo' in asset.tags"}
steps:
  - {id: touch, uses: linux.command@1, for_each: {in: targets}, with: {argv: [touch, "`+mark+`.other"]}}
`), "--output", "json"))
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"slow", "one"}, exitUsage, "--ran, --did-not-run and --abandon"},
		{[]string{"slow", "--ran"}, exitUsage, "name the ITEM"},
		{[]string{"slow", "two", "--ran"}, exitUsage, "no item on a target"},
		{[]string{"slow", "one", "--ran", "--result", `{"stdout":1}`}, exitError, "/outcome/output/stdout"},
	} {
		if a := s.call(t, append([]string{"run", "resolve", run}, c.args...)...); a.code != c.code || !strings.Contains(a.err, c.want) {
			t.Errorf("%v: exit code %d, want %d and %q\n%s", c.args, a.code, c.code, c.want, a.err)
		}
	}
	if i := s.items(t, other)["touch/one"]; i.State != "ready" && i.State != "parked" {
		t.Errorf("the other run's item is %s; want it to wait for the target", i.State)
	}
	result := `{"exit_code":0,"signal":"","stdout":"","stderr":"","stdout_truncated":false,"stderr_truncated":false,"duration_ms":3000}`
	out := s.must(t, "run", "resolve", run, "slow", "one", "--ran", "--result", result, "--reason", "the mark is there", "--output", "json")
	if !strings.Contains(out, `"resolution": "ran"`) || !strings.Contains(out, `"state": "succeeded"`) {
		t.Errorf("got %s, want it succeeded, with who said so", out)
	}
	for _, id := range []string{run, other} {
		if a := s.call(t, "run", "wait", id); a.code != exitOK {
			t.Errorf("exit code %d\n%s\n%s", a.code, a.out, a.err)
		}
	}
}

// TestStopWithOpenStream: a stop does not wait for those who watch.
func TestStopWithOpenStream(t *testing.T) {
	t.Parallel()
	host := startDev(t, filepath.Join(t.TempDir(), "host"))
	file := write(t, `{"schema": "opsconductor/v1", "name": "long", "steps": [{"id": "pause", "uses": "core.wait@1", "with": {"duration": "1h"}}]}`)
	run := runID(t, host.must(t, "run", "submit", file, "--output", "json"))
	watching := program(t.Context(), "run", "events", run)
	watching.Env = append(watching.Env, "OPSCONDUCTOR_DIR="+host.dir)
	if err := watching.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = watching.Wait() }()
	defer func() { _ = watching.Process.Kill() }()
	eventually(t, "the stream", func() bool {
		return strings.Contains(host.must(t, "run", "items", run, "--output", "json"), `"running"`)
	})
	began := time.Now()
	if err := host.stop(t); err != nil {
		t.Errorf("stopped with %v, want exit code 0; log:\n%s", err, host.log)
	}
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("the stop took %s", took)
	}
	if _, err := os.Stat(filepath.Join(host.dir, "url")); !os.IsNotExist(err) {
		t.Errorf("the folder still says where the API is (%v)", err)
	}
}
