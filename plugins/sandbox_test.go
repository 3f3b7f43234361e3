package plugins_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/hostfuncs"
	"opsconductor.dev/plugins"
	"opsconductor.dev/sdk/go/step"
)

// TestInTheSandbox runs the built plugins in the engine, behind the runner, which
// holds inputs and outputs to the manifests' schemas.
func TestInTheSandbox(t *testing.T) {
	t.Parallel()
	f := &fakes{}
	r := newRig(t, f, build(t, "-plugins", "."))
	for name, wasm := range r.artifacts {
		if _, err := r.registry.Inspect(t.Context(), wasm); err != nil {
			t.Errorf("%s: the registry refuses it: %v", name, err)
		}
	}
	t.Run("core", func(t *testing.T) { testCore(t, r) })
	t.Run("linux", func(t *testing.T) { testLinux(t, r, f) })
	t.Run("facts", func(t *testing.T) { testFacts(t, r, f) })
	t.Run("net", func(t *testing.T) { testNet(t, r, f) })
	t.Run("large output", func(t *testing.T) { testLargeOutput(t, r, f) })
	t.Run("cost", func(t *testing.T) { testCost(t, r, f) })
}

func wantOutput(t *testing.T, o automation.Outcome, want string) {
	t.Helper()
	if o.State != automation.ItemSucceeded {
		t.Fatalf("got %s: %v", o.State, o.Error)
	}
	var got, w any
	if err := json.Unmarshal(o.Output, &got); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(want), &w); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(w, got); d != "" {
		t.Errorf("output (-want +got):\n%s", d)
	}
}

func wantError(t *testing.T, o automation.Outcome, want automation.Error) {
	t.Helper()
	if o.State != automation.ItemFailed || o.Error == nil {
		t.Fatalf("got %s with output %s, want it to fail", o.State, o.Output)
	}
	got := automation.Error{Code: o.Error.Code, Message: o.Error.Message, Phase: o.Error.Phase, CanRetry: o.Error.CanRetry}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("error (-want +got):\n%s", d)
	}
}

func testCore(t *testing.T, r *rig) {
	wantOutput(t, r.call(t, "core.noop", `{"a":[1,"é"]}`, 1), `{"value":{"a":[1,"é"]}}`)
	wantError(t, r.call(t, "core.fail", `{"times":1,"message":"not yet"}`, 1),
		automation.Error{Code: "asked_to_fail", Message: "not yet", Phase: automation.PhaseBefore, CanRetry: true})
	wantOutput(t, r.call(t, "core.fail", `{"times":1}`, 2), `{"attempt":2}`)
	if o := r.call(t, "core.fail", `{"tims":1}`, 1); o.State != automation.ItemFailed {
		t.Errorf("an unknown field was accepted: %+v", o)
	}
}

func testLinux(t *testing.T, r *rig, f *fakes) {
	var asked step.SSHExecRequest
	f.ssh = func(q step.SSHExecRequest) (step.SSHExecResult, error) {
		asked = q
		return step.SSHExecResult{Target: "web-1", ExitCode: new(0), Stdout: "héllo \x00\n", StdoutBytes: 9, DurationMS: 3}, nil
	}
	wantOutput(t, r.call(t, "linux.command", `{"argv":["echo","it's"],"timeout_s":1.5}`, 1),
		`{"exit_code":0,"signal":"","stdout":"héllo \u0000\n","stderr":"","stdout_truncated":false,"stderr_truncated":false,"duration_ms":3}`)
	if d := cmp.Diff(step.SSHExecRequest{Argv: []string{"echo", "it's"}, TimeoutMS: 1500}, asked); d != "" {
		t.Errorf("asked for (-want +got):\n%s", d)
	}
	f.ssh = func(step.SSHExecRequest) (step.SSHExecResult, error) {
		return step.SSHExecResult{ExitCode: new(7), Stderr: "no space left\n"}, nil
	}
	wantError(t, r.call(t, "linux.script", `{"script":"exit 7"}`, 1),
		automation.Error{Code: "exit_code", Message: "it exited with code 7: no space left", Phase: automation.PhaseAfter, CanRetry: true})
	f.ssh = func(step.SSHExecRequest) (step.SSHExecResult, error) {
		return step.SSHExecResult{}, hostfuncs.Errorf(hostfuncs.Unreachable, hostfuncs.Before, "no route")
	}
	wantError(t, r.call(t, "linux.script", `{"script":"true"}`, 1),
		automation.Error{Code: "unreachable", Message: "no route", Phase: automation.PhaseBefore, CanRetry: true})
}

func testFacts(t *testing.T, r *rig, f *fakes) {
	f.ssh = func(step.SSHExecRequest) (step.SSHExecResult, error) {
		return step.SSHExecResult{ExitCode: new(0), Stdout: "@@opsconductor hostname\nweb-1\n@@opsconductor df\n/dev/a 9 1 8 2% /\n"}, nil
	}
	o := r.call(t, "linux.facts", `{}`, 1)
	wantOutput(t, o, `{"hostname":"web-1","os":{"id":"","like":"","name":"","version":"","pretty_name":""},
		"kernel":{"name":"","release":"","arch":""},"uptime_s":0,"cpus":0,"load":[],
		"memory":{"total_bytes":0,"available_bytes":0,"swap_total_bytes":0,"swap_free_bytes":0},
		"disks":[{"source":"/dev/a","mount":"/","size_bytes":9216,"used_bytes":1024,"available_bytes":8192,"used_pct":2}]}`)
}

func testNet(t *testing.T, r *rig, f *fakes) {
	f.tcp = func(step.ProbeTCPRequest) (step.ProbeTCPResult, error) {
		return step.ProbeTCPResult{Address: "192.0.2.1:22", Resolved: []string{"192.0.2.1"}, Error: "refused", Message: "connection refused"}, nil
	}
	wantOutput(t, r.call(t, "net.tcp", `{"host":"h","port":22}`, 1),
		`{"reachable":false,"latency_ms":0,"address":"192.0.2.1:22","resolved":["192.0.2.1"],"reason":"refused","message":"connection refused"}`)
	f.dns = func(step.ProbeDNSRequest) (step.ProbeDNSResult, error) {
		return step.ProbeDNSResult{Rcode: "NOERROR", LatencyMS: 0.25, Records: []step.ProbeDNSRecord{{Name: "n.", Type: "A", TTL: 4294967295, Value: "192.0.2.9"}}}, nil
	}
	wantOutput(t, r.call(t, "net.dns", `{"name":"n"}`, 1),
		`{"found":true,"values":["192.0.2.9"],"records":[{"name":"n.","type":"A","ttl":4294967295,"value":"192.0.2.9"}],
		"rcode":"NOERROR","server":"","latency_ms":0.25,"truncated":false,"reason":"","message":""}`)
}

// testLargeOutput has a target return as much as the default settings let one
// call return on both streams: it must fit the default memory of an instance.
func testLargeOutput(t *testing.T, r *rig, f *fakes) {
	mib := strings.Repeat("0123456789abcde\n", 1<<16)
	f.ssh = func(step.SSHExecRequest) (step.SSHExecResult, error) {
		return step.SSHExecResult{ExitCode: new(0), Stdout: mib, Stderr: mib, StdoutTruncated: true, StderrTruncated: true}, nil
	}
	o := r.call(t, "linux.command", `{"argv":["yes"]}`, 1)
	if o.State != automation.ItemSucceeded {
		t.Fatalf("got %s: %v", o.State, o.Error)
	}
	var out struct{ Stdout, Stderr string }
	if err := json.Unmarshal(o.Output, &out); err != nil || out.Stdout != mib || out.Stderr != mib {
		t.Errorf("got %d and %d bytes back, %v; want %d each", len(out.Stdout), len(out.Stderr), err, len(mib))
	}
	t.Logf("took %d bytes of memory, %s", o.Usage.MemoryBytes, o.Usage.Wall)
}

// testCost holds what the SDK costs an attempt to bounds. Fuel does not depend on
// the machine, and what an attempt computes because its sandbox is put back to the
// snapshot counts, too.
func testCost(t *testing.T, r *rig, f *fakes) {
	var stdout string
	f.ssh = func(step.SSHExecRequest) (step.SSHExecResult, error) {
		return step.SSHExecResult{Target: "web-1", ExitCode: new(0), Stdout: stdout}, nil
	}
	used := func() int64 {
		o := r.call(t, "linux.command", `{"argv":["true"]}`, 1)
		if o.State != automation.ItemSucceeded {
			t.Fatalf("got %s: %v", o.State, o.Error)
		}
		return o.Usage.Fuel
	}
	used() // of the first sandbox the initialisation counts
	small := used()
	if most := int64(800_000); small > most {
		t.Errorf("a call used %d units of fuel, want at most %d", small, most)
	}
	stdout = strings.Repeat("0123456789abcde\n", 80<<10/16)
	before := r.engine.Stats()
	each := (used() - small) / int64(len(stdout))
	if most := int64(400); each > most {
		t.Errorf("a byte of the answer takes %d units of fuel, want at most %d", each, most)
	}
	if after := r.engine.Stats(); after.Thrown != before.Thrown || after.Reused == before.Reused {
		t.Errorf("an answer of %d bytes has the sandbox thrown away: before %+v, after %+v", len(stdout), before, after)
	}
	t.Logf("%d units of fuel, %d for each byte of the answer", small, each)
}

func TestBuiltin(t *testing.T) {
	t.Parallel()
	got, err := plugins.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	if len(got) == 0 {
		t.Skip("the plugins weren't built; run make plugins to embed them")
	}
	if names := slices.Sorted(maps.Keys(got)); !slices.Equal(names, []string{"core", "files", "linux", "net", "network"}) {
		t.Errorf("got %q, want core, files, linux, net and network", names)
	}
}
