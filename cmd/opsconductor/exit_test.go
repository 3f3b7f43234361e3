package main

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"strings"
	"testing"

	"opsconductor.dev/host/client"
)

func TestExitCodeOfErrors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err  error
		want int
	}{
		{nil, exitOK},
		{errors.New("anything"), exitError},
		{usage("wrong"), exitUsage},
		{fmt.Errorf("wrapped: %w", usage("wrong")), exitUsage},
		{&client.Error{Code: client.CodeUnauthenticated}, exitUnauthorised},
		{&client.StatusError{Err: &client.Error{Code: client.CodeForbidden}}, exitUnauthorised},
		{&client.Error{Code: client.CodePolicy}, exitPolicy},
		{&inFile{name: "f", err: &client.Error{Code: client.CodePolicy}}, exitPolicy},
		{&client.Error{Code: client.CodeInvalid}, exitError},
	} {
		if got := exitCode(c.err); got != c.want {
			t.Errorf("%v: got %d, want %d", c.err, got, c.want)
		}
	}
}

func TestExitCodeOfRuns(t *testing.T) {
	t.Parallel()
	counts := func(all, failed, unknown int) client.Step {
		return client.Step{Items: all, Counts: map[client.ItemState]int{"succeeded": all - failed - unknown, "failed": failed, "unknown": unknown}}
	}
	for _, c := range []struct {
		name  string
		state client.RunState
		steps []client.Step
		want  int
	}{
		{"succeeded", client.RunSucceeded, nil, exitOK},
		{"failed on all", client.RunFailed, []client.Step{counts(3, 3, 0)}, exitRunFailed},
		{"failed on some", client.RunFailed, []client.Step{counts(3, 0, 0), counts(3, 1, 0)}, exitSomeFailed},
		{"unknown on some", client.RunFailed, []client.Step{counts(3, 0, 1)}, exitSomeFailed},
		{"some, then all", client.RunFailed, []client.Step{counts(3, 1, 0), counts(1, 1, 0)}, exitRunFailed},
		{"time was up", client.RunFailed, []client.Step{counts(3, 0, 0)}, exitRunFailed},
		{"cancelled", client.RunCancelled, nil, exitRunFailed},
		{"rejected", client.RunRejected, nil, exitRunFailed},
		{"needs approval", client.RunAwaitingApproval, nil, exitNeedsApproval},
		{"still runs", client.RunRunning, nil, exitWaitTimeout},
	} {
		if got := exitCode(runExit(c.state, c.steps)); got != c.want {
			t.Errorf("%s: got %d, want %d", c.name, got, c.want)
		}
	}
}

// TestUsage: whatever is wrong with a command line is exit code 2, says how it is
// right, and leaves stdout empty.
func TestUsage(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ line, want string }{
		{"", "needs a command"},
		{"rum list", "did you mean run"},
		{"run", "needs a command"},
		{"run lst", "did you mean list"},
		{"run get", "takes RUN"},
		{"run list --colour", "unknown flag"},
		{"run list --output xml", "table, json and jsonl"},
		{"run list --limit 0", "--limit"},
		{"run submit", "either a FILE, a --workflow or a --plan"},
		{"run submit a b", "one FILE at most"},
		{"run list --url ::", "URL"},
		{"token create x --role king", "admin, submitter"},
		{"credential create x --asset a", "--password-stdin or --key-file"},
		{"serve --slots many", "--slots is no whole number"},
		{"serve --database-url postgres://u:hush@h/d", "has a password in it"},
		{"bench steps --store oracle", "sqlite, postgres"},
	} {
		t.Run(c.line, func(t *testing.T) {
			t.Parallel()
			got := command(t, map[string]string{"OPSCONDUCTOR_TOKEN": "x", "OPSCONDUCTOR_DIR": t.TempDir()}, "", strings.Fields(c.line)...)
			if got.code != exitUsage || !strings.Contains(got.err, c.want) || got.out != "" {
				t.Errorf("exit code %d, want %d and %q; stdout %q, stderr:\n%s", got.code, exitUsage, c.want, got.out, got.err)
			}
			if strings.Contains(got.err, "hush") {
				t.Error("the password is shown")
			}
		})
	}
}

// TestExitCodes makes each code that this version can give happen.
func TestExitCodes(t *testing.T) {
	t.Parallel()
	host := startDev(t, filepath.Join(t.TempDir(), "host"))
	fails := write(t, `{"schema": "opsconductor/v1", "name": "fails", "steps": [{"id": "f", "uses": "core.fail@1", "with": {"message": "as asked"}}]}`)
	waits := write(t, `{"schema": "opsconductor/v1", "name": "waits", "steps": [{"id": "w", "uses": "core.wait@1", "with": {"duration": "1h"}}]}`)
	submitter := decode[struct {
		Secret string `json:"secret"`
	}](t, host.must(t, "token", "create", "agent", "--output", "json")).Secret

	for _, c := range []struct {
		name string
		args []string
		env  map[string]string
		want int
	}{
		{"ok", []string{"asset", "list"}, nil, exitOK},
		{"no such run", []string{"run", "get", "01a206b3-c74e-7000-90b1-c3e64661c2b6"}, nil, exitError},
		{"no such file", []string{"run", "submit", "/nowhere.yaml"}, nil, exitError},
		{"no host there", []string{"run", "list", "--url", "http://127.0.0.1:9"}, map[string]string{"OPSCONDUCTOR_TOKEN": "x"}, exitError},
		{"run failed", []string{"run", "submit", fails, "--wait"}, nil, exitRunFailed},
		{"no token", []string{"run", "list"}, map[string]string{"OPSCONDUCTOR_DIR": "/nowhere", "OPSCONDUCTOR_URL": host.url}, exitUnauthorised},
		{"wrong token", []string{"run", "list"}, map[string]string{"OPSCONDUCTOR_TOKEN": "ops_x"}, exitUnauthorised},
		{"role", []string{"token", "list"}, map[string]string{"OPSCONDUCTOR_TOKEN": submitter}, exitUnauthorised},
		{"wait timed out", []string{"run", "submit", waits, "--follow", "--timeout", "300ms"}, nil, exitWaitTimeout},
		{"wait timed out, plain", []string{"run", "submit", waits, "--wait", "--timeout", "300ms"}, nil, exitWaitTimeout},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			env := map[string]string{"OPSCONDUCTOR_DIR": host.dir}
			maps.Copy(env, c.env)
			got := command(t, env, "", c.args...)
			if got.code != c.want {
				t.Errorf("exit code %d, want %d\n%s\n%s", got.code, c.want, got.out, got.err)
			}
			if c.want != exitOK && c.want != exitRunFailed && got.err == "" {
				t.Error("it does not say why")
			}
		})
	}
}
