package service_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

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

// TestDisablingFirstNeedsApproval: a version is compared with the one that was active
// last, also when that is disabled; one that never was active vouches for nothing.
func TestDisablingFirstNeedsApproval(t *testing.T) {
	t.Parallel()
	f := setup(t)
	ctx, p := t.Context(), admin()
	log := []automation.Grant{{Function: "log", Targets: []string{"*"}}}
	do := func(_ automation.Plugin, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		f.clock.add(time.Second)
	}
	first := f.upload(t, artifact(manifest("tool", "1.0.0", "log"), ""))
	do(f.ActivatePlugin(ctx, p, first.Digest, log, 0))
	do(f.DisablePlugin(ctx, p, first.Digest, 0))
	do(f.ActivatePlugin(ctx, p, first.Digest, log, 0)) // it was active last itself
	do(f.DisablePlugin(ctx, p, first.Digest, 0))

	more := manifest("tool", "2.0.0", "log", "ssh_exec")
	more.Actions[0].Effect = automation.EffectOnce
	decoy := f.upload(t, artifact(more, ""))
	do(f.DisablePlugin(ctx, p, decoy.Digest, 0)) // never active
	do(f.DisablePlugin(ctx, p, decoy.Digest, 0))
	more.Version = "3.0.0"
	second := f.upload(t, artifact(more, ""))
	want := automation.PluginChanges{
		Against: "1.0.0", AddedFunctions: []string{"ssh_exec"},
		ChangedActions: []automation.ActionChange{{Action: "act", What: []string{"effect pure to once"}}}, NeedApproval: true,
	}
	review, err := f.ReviewPlugin(ctx, p, string(second.Digest))
	if diff := cmp.Diff(want, review.Changes); err != nil || diff != "" {
		t.Errorf("review: %v (-want +got):\n%s", err, diff)
	}
	_, err = f.ActivatePlugin(ctx, p, second.Digest, nil, 0)
	wantCode(t, err, automation.CodeConflict)
	_, err = f.ActivatePlugin(ctx, p, decoy.Digest, nil, 0)
	wantCode(t, err, automation.CodeConflict)

	// Back and forth: what was active last decides, not what was uploaded last.
	do(f.ActivateChangedPlugin(ctx, p, second.Digest, nil, 0))
	do(f.DisablePlugin(ctx, p, second.Digest, 0))
	do(f.ActivatePlugin(ctx, p, second.Digest, nil, 0))
	do(f.DisablePlugin(ctx, p, second.Digest, 0))
	do(f.ActivateChangedPlugin(ctx, p, first.Digest, log, 0))
	do(f.DisablePlugin(ctx, p, first.Digest, 0))
	_, err = f.ActivatePlugin(ctx, p, second.Digest, nil, 0)
	wantCode(t, err, automation.CodeConflict)
}
