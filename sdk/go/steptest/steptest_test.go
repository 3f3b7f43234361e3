package steptest_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"opsconductor.dev/sdk/go/step"
	"opsconductor.dev/sdk/go/steptest"
)

type input struct {
	Names []string          `json:"names"`
	Env   map[string]string `json:"env,omitempty"`
	Limit *int              `json:"limit,omitempty"`
}

type output struct {
	Sum  float64  `json:"sum"`
	Rows []row    `json:"rows"`
	Note string   `json:"note,omitempty"`
	Raw  step.Raw `json:"raw"`
	Port *int     `json:"port"`
}

type row struct {
	OK   bool   `json:"ok"`
	Data []byte `json:"data"`
}

func action(*step.Context, input) (output, error) { return output{Raw: step.Raw("1")}, nil }

const (
	goodInput = `{"type":"object","additionalProperties":false,"required":["names"],"properties":{
		"names":{"type":"array","items":{"type":"string"}},"env":{"type":"object","additionalProperties":{"type":"string"}},"limit":{"type":"integer"}}}`
	goodRow    = `{"type":"object","additionalProperties":false,"required":["ok","data"],"properties":{"ok":{"type":"boolean"},"data":{"type":"string"}}}`
	goodOutput = `{"type":"object","additionalProperties":false,"required":["sum","rows","raw","port"],"properties":{"port":{"type":["integer","null"]},
		"sum":{"type":"number"},"note":{"type":"string"},"raw":{"description":"anything"},"rows":{"type":"array","items":` + goodRow + `}}}`
)

// recorder is a test that notes its errors.
type recorder struct {
	testing.TB
	faults []string
}

func (r *recorder) Helper() {}

func (r *recorder) Errorf(format string, args ...any) {
	r.faults = append(r.faults, fmt.Sprintf(format, args...))
}

// check runs Manifest on a folder with one action, go.
func check(t *testing.T, in, out, exports string, actions steptest.Actions) string {
	t.Helper()
	folder := t.TempDir()
	manifest := fmt.Sprintf(`{"actions":[{"name":"go","input":%s,"output":%s},{"name":"wait","scheduler":true}]}`, in, out)
	for name, content := range map[string]string{"plugin.json": manifest, "exports_wasip1.go": exports} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r := &recorder{TB: t}
	steptest.Manifest(r, folder, actions)
	return strings.Join(r.faults, "\n")
}

const goodExports = "package main\n\n//go:wasmexport go\nfunc export() int32 { return 0 }\n"

func TestManifestThatFits(t *testing.T) {
	t.Parallel()
	if got := check(t, goodInput, goodOutput, goodExports, steptest.Actions{"go": action}); got != "" {
		t.Errorf("got faults:\n%s", got)
	}
	raw := func(*step.Context, step.Raw) (step.Raw, error) { return nil, nil }
	if got := check(t, `{}`, `{}`, goodExports, steptest.Actions{"go": raw}); got != "" {
		t.Errorf("raw: got faults:\n%s", got)
	}
}

func TestManifestFindsWhatDiffers(t *testing.T) {
	t.Parallel()
	replaced := func(s, old, with string) string {
		if !strings.Contains(s, old) {
			t.Fatalf("%s is not in %s", old, s)
		}
		return strings.Replace(s, old, with, 1)
	}
	for name, c := range map[string]struct {
		in, out, exports string
		actions          steptest.Actions
		want             string
	}{
		"another type":         {in: replaced(goodInput, `"integer"`, `"number"`), want: "input.limit: the schema says type number"},
		"another element":      {in: replaced(goodInput, `"items":{"type":"string"}`, `"items":{"type":"boolean"}`), want: "input.names[]: the schema says type boolean"},
		"another map value":    {in: replaced(goodInput, `"additionalProperties":{"type":"string"}`, `"additionalProperties":{"type":"integer"}`), want: "input.env.*"},
		"a property too many":  {in: replaced(goodInput, `"limit":`, `"extra":{"type":"string"},"limit":`), want: `no field of steptest_test.input is "extra"`},
		"a property too few":   {in: replaced(goodInput, `,"limit":{"type":"integer"}`, ``), want: `the schema has no "limit"`},
		"open object":          {in: replaced(goodInput, `"additionalProperties":false`, `"additionalProperties":true`), want: "additionalProperties must be false"},
		"not always written":   {out: replaced(goodOutput, `["sum",`, `["note","sum",`), want: "output.note: always written is false, required in the schema is true"},
		"always written":       {out: replaced(goodOutput, `["sum",`, `[`), want: "output.sum: always written is true, required in the schema is false"},
		"null not allowed":     {out: replaced(goodOutput, `["integer","null"]`, `"integer"`), want: "output.port: a pointer that may be null needs omitempty, or a schema that allows null"},
		"null of another type": {out: replaced(goodOutput, `["integer","null"]`, `["string","null"]`), want: "output.port: the schema says type string"},
		"null for no pointer":  {out: replaced(goodOutput, `"sum":{"type":"number"}`, `"sum":{"type":["number","null"]}`), want: "output.sum: the schema says type [number null]"},
		"deep in the output":   {out: replaced(goodOutput, `"ok":{"type":"boolean"}`, `"ok":{"type":"string"}`), want: "output.rows[].ok"},
		"no export":            {exports: "package main\n", want: "the exports are []"},
		"another export":       {exports: replaced(goodExports, "wasmexport go", "wasmexport run"), want: `the exports are ["run"]`},
		"an action too many":   {actions: steptest.Actions{"go": action, "more": action}, want: `the test's actions are ["go" "more"]`},
		"no function":          {actions: steptest.Actions{}, want: "no function for it"},
		"a function of no use": {actions: steptest.Actions{"go": func() {}}, want: "is no action"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in, out, exports, actions := c.in, c.out, c.exports, c.actions
			if in == "" {
				in = goodInput
			}
			if out == "" {
				out = goodOutput
			}
			if exports == "" {
				exports = goodExports
			}
			if actions == nil {
				actions = steptest.Actions{"go": action}
			}
			if got := check(t, in, out, exports, actions); !strings.Contains(got, c.want) {
				t.Errorf("got %q, want a fault with %q", got, c.want)
			}
		})
	}
}

func TestCallSeesWhatTheHostWouldSay(t *testing.T) {
	t.Parallel()
	h := steptest.New(t).Target(step.Target{Name: "web-1", Vars: map[string]any{"role": "db"}}).Attempt(3)
	_, failed := steptest.Call(h, func(c *step.Context, _ struct{}) (struct{}, error) {
		if c.Target.Name != "web-1" || c.Target.Vars["role"] != "db" || c.Attempt != 3 {
			t.Errorf("got %+v, %+v", c, c.Target)
		}
		return struct{}{}, nil
	}, struct{}{})
	if failed != nil {
		t.Fatal(failed)
	}
}

func TestHostCallsWithoutAFakeAreDenied(t *testing.T) {
	t.Parallel()
	_, failed := steptest.Call(steptest.New(t), probe, struct{}{})
	want := &step.Error{Code: step.Denied, Phase: step.Before, Message: "probe_tcp has no fake in this test"}
	if d := cmp.Diff(want, failed); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func probe(c *step.Context, _ struct{}) (step.ProbeTCPResult, error) {
	return c.ProbeTCP(step.ProbeTCPRequest{Host: "h"})
}

func TestFakes(t *testing.T) {
	t.Parallel()
	h := steptest.New(t).ProbeTCP(func(r step.ProbeTCPRequest) (step.ProbeTCPResult, error) {
		if r.Host != "h" {
			t.Errorf("asked for %+v", r)
		}
		return step.ProbeTCPResult{}, errors.New("broken")
	})
	_, failed := steptest.Call(h, probe, struct{}{})
	if failed == nil || failed.Code != step.Protocol || failed.Message != "broken" {
		t.Errorf("got %+v, want protocol: broken", failed)
	}
	calls := h.Calls()
	if len(calls) != 1 || calls[0].Function != "probe_tcp" || string(calls[0].Request) != `{"host":"h"}` {
		t.Errorf("got calls %+v", calls)
	}
}
