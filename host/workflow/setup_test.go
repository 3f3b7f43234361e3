package workflow_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/workflow"
)

const diskOutput = `{"type": "object", "required": ["used_pct"], "properties": {
	"used_pct": {"type": "number"}, "mount": {"type": "string"}, "files": {"type": "array", "items": {"type": "string"}},
	"labels": {"type": "object", "additionalProperties": {"type": "string"}}
}}`

// catalog is the plugins of the tests: linux in three versions, and core.
func catalog() []automation.Plugin {
	linux := func(version string, state automation.PluginState) automation.Plugin {
		return automation.Plugin{
			Name: "linux", Version: version, State: state, Digest: automation.Digest("d-linux-" + version),
			Manifest: automation.Manifest{
				Name: "linux", Version: version, HostFunctions: []automation.HostFunction{{Name: "ssh_exec"}, {Name: "log"}},
				Actions: []automation.Action{
					{
						Name: "disk", Target: true, Effect: automation.EffectPure, Timeout: "20s", Output: json.RawMessage(diskOutput),
						Input: json.RawMessage(`{"type": "object", "required": ["path"], "additionalProperties": false, "properties": {
							"path": {"type": "string", "minLength": 1}, "limit": {"type": "integer", "minimum": 1, "maximum": 100}}}`),
					},
					{
						Name: "command", Target: true, Effect: automation.EffectGuarded, Output: json.RawMessage(`{"type": "object", "properties": {"stdout": {"type": "string"}, "exit_code": {"type": "integer"}}}`),
						Input: json.RawMessage(`{"type": "object", "required": ["argv"], "additionalProperties": false, "properties": {
							"argv": {"type": "array", "minItems": 1, "items": {"type": "string"}}, "env": {"type": "object", "additionalProperties": {"type": "string"}}}}`),
					},
				},
			},
		}
	}
	core := automation.Plugin{
		Name: "core", Version: "1.0.0", State: automation.PluginActive, Digest: "d-core",
		Manifest: automation.Manifest{Name: "core", Version: "1.0.0", Actions: []automation.Action{
			{Name: "noop", Effect: automation.EffectPure, Input: json.RawMessage(`{"type": "object"}`), Output: json.RawMessage(`{"type": "object"}`)},
			{
				Name: "report", Effect: automation.EffectIdempotent, Output: json.RawMessage(`{"type": "object", "properties": {"text": {"type": "string"}, "n": {"type": "integer"}}}`),
				Input: json.RawMessage(`{"type": "object", "additionalProperties": false, "properties": {"text": {"type": "string"}, "n": {"type": "integer"}, "any": {}, "list": {"type": "array"}}}`),
			},
			{Name: "wait", Effect: automation.EffectPure, Scheduler: true, Input: json.RawMessage(`{"type": "object", "required": ["duration"], "properties": {"duration": {"type": "string"}}}`)},
		}},
	}
	return []automation.Plugin{
		linux("1.2.0", automation.PluginActive), linux("1.10.3", automation.PluginActive), linux("2.0.0-rc.1", automation.PluginActive),
		linux("3.0.0", automation.PluginDisabled), core,
	}
}

func assets(n int) []automation.Asset {
	out := make([]automation.Asset, n)
	for i := range out {
		os := "linux"
		if i%3 == 2 {
			os = "windows"
		}
		out[i] = automation.Asset{
			ID: automation.AssetID(fmt.Sprintf("a%05d", i)), Name: fmt.Sprintf("host-%05d", i), Address: fmt.Sprintf("10.0.%d.%d", i/250, i%250+1),
			Port: 22, Protocol: automation.ProtocolSSH, OS: os, Tags: []string{"web"}, Vars: map[string]any{"rack": "r1", "units": 2.0},
		}
	}
	return out
}

func request(definition string) workflow.Request {
	return workflow.Request{Definition: []byte(definition), Plugins: catalog(), Assets: assets(6)}
}

func build(t testing.TB, definition string) *workflow.Plan {
	t.Helper()
	p, err := workflow.Build(request(definition))
	if err != nil {
		t.Fatalf("Build: %v", err)
	}
	return p
}

// steps returns a definition with those steps, each a line of flow YAML.
func steps(lines ...string) string {
	return "schema: opsconductor/v1\nname: test\ntargets: {select: \"asset.os == 'linux'\"}\nsteps:\n- " + strings.Join(lines, "\n- ") + "\n"
}
