package plugins_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/registry"
	"opsconductor.dev/host/runner"
	"opsconductor.dev/host/runner/engine"
	"opsconductor.dev/hostfuncs"
	"opsconductor.dev/sdk/go/step"
)

// build runs ./build with arguments ("-plugins", ".": all built-in plugins) and
// returns the artifacts by name.
func build(t testing.TB, args ...string) map[string][]byte {
	t.Helper()
	out := t.TempDir()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"run", "./build", "-out", out}, args...)...)
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, output)
	}
	files, err := filepath.Glob(filepath.Join(out, "*.wasm"))
	if err != nil {
		t.Fatal(err)
	}
	artifacts := map[string][]byte{}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		artifacts[strings.TrimSuffix(filepath.Base(file), ".wasm")] = b
	}
	return artifacts
}

// shelf is a store that has plugins, active and granted what they want.
type shelf map[automation.Digest][]byte

func digest(b []byte) automation.Digest {
	sum := sha256.Sum256(b)
	return automation.Digest(hex.EncodeToString(sum[:]))
}

// Plugin implements registry.Store.
func (s shelf) Plugin(_ context.Context, tenant automation.TenantID, d automation.Digest) (automation.Plugin, error) {
	m, err := registry.ReadManifest(s[d])
	if err != nil {
		return automation.Plugin{}, err
	}
	var grants []automation.Grant
	for _, f := range m.HostFunctions {
		grants = append(grants, automation.Grant{Function: f.Name, Targets: []string{"*"}, Addresses: []string{"*"}})
	}
	return automation.Plugin{
		Grants: grants, Tenant: tenant, Name: m.Name, Version: m.Version, Digest: d, State: automation.PluginActive, Manifest: m, RowNumber: 1,
	}, nil
}

// Artifact implements registry.Store.
func (s shelf) Artifact(_ context.Context, _ automation.TenantID, d automation.Digest) ([]byte, error) {
	return s[d], nil
}

// rig runs actions of plugins in the real sandbox.
type rig struct {
	artifacts map[string][]byte
	registry  *registry.Registry
	runner    *runner.Runner
	engine    engine.Engine
}

// fakes answers host calls; nil functions give zero results.
type fakes struct {
	ssh func(step.SSHExecRequest) (step.SSHExecResult, error)
	tcp func(step.ProbeTCPRequest) (step.ProbeTCPResult, error)
	dns func(step.ProbeDNSRequest) (step.ProbeDNSResult, error)
}

func fake[Req, Res any](name string, answer func(Req) (Res, error)) hostfuncs.Func {
	return hostfuncs.New(name, "a fake", false, func(_ context.Context, _ *hostfuncs.Session, r Req) (Res, error) {
		if answer == nil {
			var zero Res
			return zero, nil
		}
		return answer(r)
	})
}

// patience is how long a compile may take: the race detector on a busy machine
// makes minutes of a second.
const patience = 10 * time.Minute

// cacheDir keeps compiled code between runs of the tests.
func cacheDir(t testing.TB) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		return t.TempDir()
	}
	dir := filepath.Join(cache, "opsconductor-test", "wazero")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return t.TempDir()
	}
	return dir
}

func newRig(t testing.TB, f *fakes, artifacts map[string][]byte) *rig {
	t.Helper()
	settings := engine.DefaultSettings()
	settings.CacheDir = cacheDir(t)
	settings.CompileTimeout = patience
	e, err := engine.New(engine.NameNative, settings)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := e.Close(ctx); err != nil {
			t.Errorf("close the engine: %v", err)
		}
	})
	r := &rig{artifacts: artifacts, engine: e}
	store := shelf{}
	for _, b := range r.artifacts {
		store[digest(b)] = b
	}
	r.registry, err = registry.New(registry.Config{Store: store, Engine: e, HostFunctions: []string{
		"ssh_exec", "ssh_put", "ssh_get", "ssh_stat", "ssh_list", "ssh_mkdir", "ssh_remove", "ssh_chmod", "ssh_open", "ssh_send", "ssh_close", "probe_tcp", "probe_dns", "log",
	}})
	if err != nil {
		t.Fatal(err)
	}
	r.runner, err = runner.New(runner.Config{Plugins: r.registry, Engine: e, Functions: []hostfuncs.Func{
		hostfuncs.New("log", "a fake", false, func(_ context.Context, s *hostfuncs.Session, r step.LogRequest) (step.LogResult, error) {
			s.Log(r.Level, r.Message)
			return step.LogResult{}, nil
		}),
		fake("ssh_exec", func(q step.SSHExecRequest) (step.SSHExecResult, error) { return f.ssh(q) }),
		fake("probe_tcp", func(q step.ProbeTCPRequest) (step.ProbeTCPResult, error) { return f.tcp(q) }),
		fake("probe_dns", func(q step.ProbeDNSRequest) (step.ProbeDNSResult, error) { return f.dns(q) }),
	}})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// call runs an action ("linux.command") once, as attempt number n.
func (r *rig) call(t testing.TB, action, with string, n int) automation.Outcome {
	t.Helper()
	plugin, name, _ := strings.Cut(action, ".")
	a := automation.Attempt{
		AttemptKey: automation.AttemptKey{Run: "run-1", Attempt: n}, Tenant: "default", Workflow: "test", StepID: "s",
		Plugin: plugin, Action: name, Digest: digest(r.artifacts[plugin]), Effect: automation.EffectPure,
		Input: json.RawMessage(with), Timeout: patience,
		Target: &automation.Target{Name: "web-1", Address: "192.0.2.1", Protocol: "ssh", Tags: []string{"demo"}, Vars: map[string]any{"role": "db"}},
	}
	return r.runner.Execute(t.Context(), a, nil)
}
