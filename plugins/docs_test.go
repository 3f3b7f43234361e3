package plugins_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/registry"
	"opsconductor.dev/host/workflow"
	"opsconductor.dev/sdk/go/step"
)

// blocks returns the code blocks of docs/plugins.md by the word after their
// language: a file's name, or what the block is.
func blocks(t *testing.T) map[string]string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "docs", "plugins.md"))
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, m := range regexp.MustCompile("(?ms)^```[a-z]+ (\\S+)\n(.*?)^```$").FindAllStringSubmatch(string(b), -1) {
		found[m[1]] = m[2]
	}
	return found
}

func shell(t *testing.T, folder, script string) {
	t.Helper()
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-eu", "-c", script)
	cmd.Dir = folder
	cmd.Env = append(os.Environ(), "OPSCONDUCTOR="+root, "GOPROXY=off", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out)
	}
}

// TestDocs does what docs/plugins.md says, offline: writes the files, runs the
// tests, builds the artifact, and calls its action in the sandbox.
func TestDocs(t *testing.T) {
	t.Parallel()
	doc := blocks(t)
	folder := t.TempDir()
	shell(t, folder, doc["init"])
	folder = filepath.Join(folder, "hello")
	for _, name := range []string{"hello.go", "exports_wasip1.go", "plugin.json", "hello_test.go", "hello.yaml"} {
		if doc[name] == "" {
			t.Fatalf("docs/plugins.md has no block for %s", name)
		}
		if err := os.WriteFile(filepath.Join(folder, name), []byte(doc[name]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	shell(t, folder, doc["test"])
	// opsconductor plugin build is registry.Embed with files around it.
	compile, _, found := strings.Cut(doc["build"], "opsconductor plugin build hello.wasm\n")
	if !found {
		t.Fatalf("the build block is not compile, then plugin build:\n%s", doc["build"])
	}
	shell(t, folder, compile)
	wasm, err := os.ReadFile(filepath.Join(folder, "hello.wasm"))
	if err != nil {
		t.Fatal(err)
	}
	wasm, err = registry.Embed(wasm, []byte(doc["plugin.json"]))
	if err != nil {
		t.Fatal(err)
	}
	f := &fakes{ssh: func(step.SSHExecRequest) (step.SSHExecResult, error) {
		return step.SSHExecResult{ExitCode: new(0), Stdout: "web-1\n"}, nil
	}}
	r := newRig(t, f, map[string][]byte{"hello": wasm})
	if _, err := r.registry.Inspect(t.Context(), wasm); err != nil {
		t.Errorf("the registry refuses it: %v", err)
	}
	wantOutput(t, r.call(t, "hello.greet", `{"name":"Ada"}`, 1), `{"text":"hello Ada, this is web-1"}`)
	wantError(t, r.call(t, "hello.greet", `{"name":" "}`, 1), automation.Error{Code: "no_name", Message: "name is blank; say whom to greet"})
}

// TestDocsOfTheABI reads the page's JSON as the SDK and the host do.
func TestDocsOfTheABI(t *testing.T) {
	t.Parallel()
	doc := blocks(t)
	_, failed := step.Invoke([]byte(doc["input"]), nil, func(c *step.Context, with step.Raw) (step.Raw, error) {
		if c.Target == nil || c.Target.Name != "web-1" || c.Workflow != "hello" || c.Step != "greet" || c.Attempt != 1 || string(with) != `{"name": "Ada"}` {
			t.Errorf("got %+v, target %+v, with %s", c, c.Target, with)
		}
		return nil, nil
	})
	if failed != nil {
		t.Error(failed)
	}
	var e step.Error
	if err := json.Unmarshal([]byte(doc["failure"]), &e); err != nil || e.Code != "disk_full" || e.Phase != step.Before || e.Message == "" {
		t.Errorf("got %+v, %v", e, err)
	}
	// The block about quoting is the body of a function.
	source := "package x\nimport \"opsconductor.dev/sdk/go/step\"\nfunc f(userInput string) error {\n" + doc["quote"] + "\n_ = script\nreturn nil\n}\n"
	folder := t.TempDir()
	shell(t, folder, doc["init"])
	if err := os.WriteFile(filepath.Join(folder, "hello", "x.go"), []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	shell(t, filepath.Join(folder, "hello"), "go vet .")
}

// TestWorkflowsOfDocsAndExamples plans them against the manifests: every input
// fits, and every expression about an output is of the right type.
func TestWorkflowsOfDocsAndExamples(t *testing.T) {
	t.Parallel()
	doc := blocks(t)
	definitions := map[string]string{"docs/plugins.md": doc["hello.yaml"]}
	files, err := filepath.Glob("../examples/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		definitions[file] = string(b)
	}
	catalog := []automation.Plugin{plugin(t, []byte(doc["plugin.json"]))}
	for _, name := range []string{"core", "files", "linux", "net", "network"} {
		b, err := os.ReadFile(filepath.Join(name, "plugin.json"))
		if err != nil {
			t.Fatal(err)
		}
		catalog = append(catalog, plugin(t, b))
	}
	asset := automation.Asset{ID: "a", Tenant: "default", Name: "web-1", Address: "192.0.2.1", Port: 22, Protocol: "ssh", Tags: []string{"demo"}}
	for name, definition := range definitions {
		if _, err := workflow.Build(workflow.Request{Definition: []byte(definition), Plugins: catalog, Assets: []automation.Asset{asset}}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func plugin(t *testing.T, manifest []byte) automation.Plugin {
	t.Helper()
	var m automation.Manifest
	if err := json.Unmarshal(manifest, &m); err != nil {
		t.Fatal(err)
	}
	return automation.Plugin{
		Tenant: "default", Name: m.Name, Version: m.Version, Digest: digest(manifest), State: automation.PluginActive, Manifest: m,
	}
}
