package storetest

import (
	"context"
	"errors"
	"maps"
	"testing"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
)

// stocked is one object of each kind, of the suite's tenant.
type stocked struct {
	run        automation.Run
	asset      automation.Asset
	credential automation.Credential
	plugin     automation.Plugin
	token      automation.Token
}

func (f *fixture) stock() stocked {
	f.t.Helper()
	ctx := f.t.Context()
	s := stocked{run: f.accept(), asset: newAsset("web"), credential: newCredential("key"), token: newToken("ci")}
	var wasm []byte
	s.plugin, wasm = newPlugin("linux", "1.0.0", "x")
	_, _, err := f.st.CreateCredential(ctx, s.credential, act("credential.create"))
	f.must(err)
	_, _, err = f.st.CreateAsset(ctx, s.asset, act("asset.create"))
	f.must(err)
	_, _, err = f.st.CreatePlugin(ctx, s.plugin, wasm, act("plugin.upload"))
	f.must(err)
	_, _, err = f.st.CreateToken(ctx, s.token, act("token.create"))
	f.must(err)
	f.must(f.st.PutPlan(ctx, tenant, digest("own"), []byte("own"), start()))
	return s
}

// tenantsAreApart: every method that takes a tenant acts as if the objects of
// the others were not there.
func tenantsAreApart(t *testing.T, b Backend) {
	f := setup(t, b)
	s := f.stock()
	ctx := t.Context()
	a := actOf(other, "x")
	s.asset.Tenant, s.credential.Tenant, s.plugin.Tenant = other, other, other
	s.credential.Version = 2
	for what, call := range map[string]func() error{
		"Run": func() error { _, err := f.st.Run(ctx, other, s.run.ID); return err },
		"RunEntries": func() error {
			_, err := f.st.RunEntries(ctx, other, s.run.ID, 0, 10)
			return err
		},
		"RunLogs": func() error {
			_, err := f.st.RunLogs(ctx, other, s.run.ID, automation.AttemptKey{}, 10)
			return err
		},
		"LogsSince": func() error {
			_, err := f.st.LogsSince(ctx, other, s.run.ID, nil, 10)
			return err
		},
		"Plan": func() error { _, err := f.st.Plan(ctx, other, digest("own")); return err },
		"PutCommand": func() error {
			return f.st.PutCommand(ctx, automation.Command{ID: "c", Tenant: other, Run: s.run.ID, Kind: automation.FactCancelAsked, At: start()}, a)
		},
		"Asset":            func() error { _, err := f.st.Asset(ctx, other, s.asset.ID); return err },
		"AssetByName":      func() error { _, err := f.st.AssetByName(ctx, other, s.asset.Name); return err },
		"UpdateAsset":      func() error { _, err := f.st.UpdateAsset(ctx, s.asset, a); return err },
		"DeleteAsset":      func() error { return f.st.DeleteAsset(ctx, other, s.asset.ID, a) },
		"Credential":       func() error { _, err := f.st.Credential(ctx, other, s.credential.ID); return err },
		"CredentialByName": func() error { _, err := f.st.CredentialByName(ctx, other, s.credential.Name); return err },
		"UpdateCredential": func() error { _, err := f.st.UpdateCredential(ctx, s.credential, a); return err },
		"DeleteCredential": func() error { return f.st.DeleteCredential(ctx, other, s.credential.ID, a) },
		"Plugin":           func() error { _, err := f.st.Plugin(ctx, other, s.plugin.Digest); return err },
		"UpdatePlugin":     func() error { _, err := f.st.UpdatePlugin(ctx, s.plugin, a); return err },
		"Artifact":         func() error { _, err := f.st.Artifact(ctx, other, s.plugin.Digest); return err },
		"RevokeToken":      func() error { return f.st.RevokeToken(ctx, other, s.token.ID, a) },
	} {
		wantCode(t, what+" of another tenant's object", call(), automation.CodeNotFound)
	}
	run := newRun(other, digest("own"))
	_, _, err := f.st.Accept(ctx, run, a)
	wantCode(t, "a run of another tenant's plan", err, automation.CodeNotFound)
	borrowed := newAsset("mine")
	borrowed.Tenant, borrowed.Credential = other, s.credential.ID
	_, _, err = f.st.CreateAsset(ctx, borrowed, a)
	wantCode(t, "an asset with another tenant's credential", err, automation.CodeConflict)

	page := automation.Page{Limit: 10}
	for what, n := range map[string]int{
		"ListRuns":        len(must(f.st.ListRuns(ctx, other, store.RunQuery{}, page))),
		"ListRuns queued": len(must(f.st.ListRuns(ctx, other, store.RunQuery{State: automation.RunQueued}, page))),
		"ListAssets":      len(must(f.st.ListAssets(ctx, other, page))),
		"ListCredentials": len(must(f.st.ListCredentials(ctx, other, page))),
		"ListPlugins":     len(must(f.st.ListPlugins(ctx, other))),
		"ListTokens":      len(must(f.st.ListTokens(ctx, other, page))),
		"Audit":           len(must(f.st.Audit(ctx, other, 0, 10))),
		"AuditHead":       int(must(f.st.AuditHead(ctx, other)).Seq),
	} {
		equal(t, "what another tenant sees in "+what, n, 0)
	}
	f.sameNames(s)
}

// sameNames: another tenant may use the same names, the same plugin and the same keys.
func (f *fixture) sameNames(s stocked) {
	f.t.Helper()
	ctx := f.t.Context()
	asset, credential := newAsset(s.asset.Name), newCredential(s.credential.Name)
	plugin, wasm := newPlugin("linux", "1.0.0", "x")
	asset.Tenant, credential.Tenant, plugin.Tenant = other, other, other
	_, created, err := f.st.CreateAsset(ctx, asset, actOf(other, "asset.create"))
	f.must(err)
	equal(f.t, "an asset of the same name", created, true)
	_, created, err = f.st.CreateCredential(ctx, credential, actOf(other, "credential.create"))
	f.must(err)
	equal(f.t, "a credential of the same name", created, true)
	got, created, err := f.st.CreatePlugin(ctx, plugin, wasm, actOf(other, "plugin.upload"))
	f.must(err)
	equal(f.t, "the same plugin", created && got.ID == plugin.ID, true)
	n, err := store.VerifyAudit(ctx, f.st, other)
	f.must(err)
	equal(f.t, "the other tenant's audit entries", n, int64(3))
}

func limitsOfReads(t *testing.T, b Backend) {
	f := setup(t, b)
	ctx := t.Context()
	run := f.accept()
	for _, limit := range []int{-1, 0, 1001} {
		page := automation.Page{Limit: limit}
		for what, call := range map[string]func() error{
			"ListRuns":        func() error { _, err := f.st.ListRuns(ctx, tenant, store.RunQuery{}, page); return err },
			"ListAssets":      func() error { _, err := f.st.ListAssets(ctx, tenant, page); return err },
			"ListCredentials": func() error { _, err := f.st.ListCredentials(ctx, tenant, page); return err },
			"ListTokens":      func() error { _, err := f.st.ListTokens(ctx, tenant, page); return err },
		} {
			wantCode(t, what, call(), automation.CodeInvalid)
		}
	}
	for what, call := range map[string]func() error{
		"Accepted":   func() error { _, err := f.st.Accepted(ctx, 0, 0, 0); return err },
		"RunEntries": func() error { _, err := f.st.RunEntries(ctx, tenant, run.ID, 0, 0); return err },
		"RunLogs":    func() error { _, err := f.st.RunLogs(ctx, tenant, run.ID, automation.AttemptKey{}, 0); return err },
		"Commands":   func() error { _, err := f.st.Commands(ctx, 0, 0); return err },
		"Audit":      func() error { _, err := f.st.Audit(ctx, tenant, 0, 0); return err },
	} {
		wantCode(t, what, call(), automation.CodeInvalid)
	}
}

// closed: after Close every method says that the store is not there.
func closed(t *testing.T, b Backend) {
	f := setup(t, b)
	ctx := t.Context()
	f.must(f.st.Ping(ctx))
	f.must(f.st.Close())
	f.must(f.st.Close())
	calls := acting(ctx, f, act("x"))
	page := automation.Page{Limit: 1}
	maps.Copy(calls, map[string]func() error{
		"Ping":             func() error { return f.st.Ping(ctx) },
		"Append":           func() error { return f.st.Append(ctx, store.Batch{}) },
		"Replay":           func() error { _, err := f.st.Replay(ctx, 0, nil); return err },
		"Accepted":         func() error { _, err := f.st.Accepted(ctx, 0, 0, 1); return err },
		"RunEntries":       func() error { _, err := f.st.RunEntries(ctx, tenant, "r", 0, 1); return err },
		"RunLogs":          func() error { _, err := f.st.RunLogs(ctx, tenant, "r", automation.AttemptKey{}, 1); return err },
		"Run":              func() error { _, err := f.st.Run(ctx, tenant, "r"); return err },
		"ListRuns":         func() error { _, err := f.st.ListRuns(ctx, tenant, store.RunQuery{}, page); return err },
		"PutPlan":          func() error { return f.st.PutPlan(ctx, tenant, f.plan, nil, start()) },
		"Plan":             func() error { _, err := f.st.Plan(ctx, tenant, f.plan); return err },
		"Commands":         func() error { _, err := f.st.Commands(ctx, 0, 1); return err },
		"Lead":             func() error { _, err := f.st.Lead(ctx, 0, "h", 0, time.Hour); return err },
		"Resign":           func() error { return f.st.Resign(ctx, 0, "h", 0) },
		"RegisterHost":     func() error { _, err := f.st.RegisterHost(ctx, automation.Host{ID: "h"}); return err },
		"Heartbeat":        func() error { return f.st.Heartbeat(ctx, "h", 1, automation.Beat{State: automation.HostLive}) },
		"Hosts":            func() error { _, err := f.st.Hosts(ctx); return err },
		"ReapHost":         func() error { return f.st.ReapHost(ctx, "h", 1, automation.HostLost) },
		"Asset":            func() error { _, err := f.st.Asset(ctx, tenant, "a"); return err },
		"AssetByName":      func() error { _, err := f.st.AssetByName(ctx, tenant, "a"); return err },
		"ListAssets":       func() error { _, err := f.st.ListAssets(ctx, tenant, page); return err },
		"Credential":       func() error { _, err := f.st.Credential(ctx, tenant, "a"); return err },
		"CredentialByName": func() error { _, err := f.st.CredentialByName(ctx, tenant, "a"); return err },
		"ListCredentials":  func() error { _, err := f.st.ListCredentials(ctx, tenant, page); return err },
		"Plugin":           func() error { _, err := f.st.Plugin(ctx, tenant, digest("x")); return err },
		"ListPlugins":      func() error { _, err := f.st.ListPlugins(ctx, tenant); return err },
		"Artifact":         func() error { _, err := f.st.Artifact(ctx, tenant, digest("x")); return err },
		"TokenByHash":      func() error { _, err := f.st.TokenByHash(ctx, nil); return err },
		"ListTokens":       func() error { _, err := f.st.ListTokens(ctx, tenant, page); return err },
		"Audit":            func() error { _, err := f.st.Audit(ctx, tenant, 0, 1); return err },
		"AuditHead":        func() error { _, err := f.st.AuditHead(ctx, tenant); return err },
		"Schedule":         func() error { _, err := f.st.Schedule(ctx, tenant, "s"); return err },
		"ScheduleByName":   func() error { _, err := f.st.ScheduleByName(ctx, tenant, "s"); return err },
		"ListApprovals":    func() error { _, err := f.st.ListApprovals(ctx, tenant, "", page); return err },
		"ListSchedules":    func() error { _, err := f.st.ListSchedules(ctx, tenant, page); return err },
		"Limit":            func() error { _, err := f.st.Limit(ctx, tenant, "l"); return err },
		"LimitFor":         func() error { _, err := f.st.LimitFor(ctx, tenant, "global", ""); return err },
		"ListLimits":       func() error { _, err := f.st.ListLimits(ctx, tenant, page); return err },
		"AllLimits":        func() error { _, err := f.st.AllLimits(ctx); return err },
		"Buckets":          func() error { _, err := f.st.Buckets(ctx, 0); return err },
		"NextSchedules":    func() error { _, err := f.st.NextSchedules(ctx, 1); return err },
		"ClaimedFires":     func() error { _, err := f.st.ClaimedFires(ctx, 1); return err },
		"FinishFire":       func() error { return f.st.FinishFire(ctx, automation.Fire{}, "", nil) },
	})
	for what, call := range calls {
		wantCode(t, what+" after Close", call(), automation.CodeUnavailable)
	}
}

// givenUp: a call whose context is done does nothing, and says why.
func givenUp(t *testing.T, b Backend) {
	f := setup(t, b)
	run := f.accept()
	why := errors.New("the caller has gone")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	calls := acting(ctx, f, act("x"))
	calls["Append"] = func() error { return f.st.Append(ctx, store.Batch{}) }
	calls["Run"] = func() error { _, err := f.st.Run(ctx, tenant, run.ID); return err }
	calls["Lead"] = func() error { _, err := f.st.Lead(ctx, 0, "h", 0, time.Hour); return err }
	for what, call := range calls {
		err := call()
		wantCode(t, what, err, automation.CodeUnavailable)
		wantErr(t, what, err, why)
	}
	runs, err := f.st.ListRuns(t.Context(), tenant, store.RunQuery{}, automation.Page{Limit: 10})
	f.must(err)
	equal(t, "runs", len(runs), 1)
}
