package service_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"opsconductor.dev/host/automation"
)

// TestActivationNeedsApproval: a version that asks for more than the active one was
// granted is refused with the difference, until an admin approves that; the
// approval is audited. Versions stand side by side: to go back, disable the newer.
func TestActivationNeedsApproval(t *testing.T) {
	t.Parallel()
	f := setup(t)
	ctx, p := t.Context(), admin()
	grant := func(names ...string) (out []automation.Grant) {
		for _, n := range names {
			out = append(out, automation.Grant{Function: n, Targets: []string{"*"}})
		}
		return out
	}
	first := f.upload(t, artifact(manifest("tool", "1.0.0", "log", "ssh_exec"), ""))
	if _, err := f.ActivatePlugin(ctx, p, first.Digest, grant("log"), 0); err != nil {
		t.Fatalf("the first version: %v; want no approval asked for", err)
	}
	m := manifest("tool", "2.0.0", "ssh_exec", "probe_tcp")
	m.Actions[0].Effect = automation.EffectOnce
	m.Actions[0].Input = json.RawMessage(`{"type":"object"}`)
	m.Actions = append(m.Actions, automation.Action{Name: "more", Effect: automation.EffectPure, Input: json.RawMessage(`{}`), Output: json.RawMessage(`{}`)})
	second := f.upload(t, artifact(m, ""))
	review, err := f.ReviewPlugin(ctx, p, string(second.Digest))
	want := automation.PluginChanges{
		Against: "1.0.0", AddedFunctions: []string{"ssh_exec", "probe_tcp"}, RemovedFunctions: []string{"log"}, AddedActions: []string{"more"},
		ChangedActions: []automation.ActionChange{{Action: "act", What: []string{"effect pure to once", "input"}}}, NeedApproval: true,
	}
	if diff := cmp.Diff(want, review.Changes); err != nil || diff != "" {
		t.Errorf("review: %v (-want +got):\n%s", err, diff)
	}
	audit := f.lastAudit(t).Seq
	_, err = f.ActivatePlugin(ctx, p, second.Digest, grant("ssh_exec"), 0)
	wantCode(t, err, automation.CodeConflict)
	for _, part := range []string{"probe_tcp", "ssh_exec", "effect pure to once", "1.0.0"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("got %v; want %q in it", err, part)
		}
	}
	if f.lastAudit(t).Seq != audit {
		t.Error("a refused activation was recorded as one")
	}
	active, err := f.ActivateChangedPlugin(ctx, p, second.Digest, grant("ssh_exec"), 0)
	if err != nil || active.State != automation.PluginActive {
		t.Fatalf("approved: got %s, %v; want it active", active.State, err)
	}
	if e := f.lastAudit(t); !bytes.Contains(e.Detail, []byte("approved_changes")) || !bytes.Contains(e.Detail, []byte("probe_tcp")) {
		t.Errorf("got audit entry %s; want the approved changes", e.Detail)
	}
	// Its grants can be changed without another approval.
	if _, err := f.ActivatePlugin(ctx, p, second.Digest, grant("ssh_exec", "probe_tcp"), 0); err != nil {
		t.Errorf("grants of an active version: %v", err)
	}
	// A version that asks for less, with the same effects, needs none.
	m.Version, m.HostFunctions = "2.1.0", m.HostFunctions[:1]
	third := f.upload(t, artifact(m, ""))
	if _, err := f.ActivatePlugin(ctx, p, third.Digest, nil, 0); err != nil {
		t.Errorf("a version that asks for less: %v", err)
	}
}
