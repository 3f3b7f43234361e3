package storetest

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
)

func oneUpdateWins(t *testing.T, b Backend) {
	f := setup(t, b)
	ctx := t.Context()
	a, c := newAsset("web"), newCredential("key")
	p, wasm := newPlugin("linux", "1.0.0", "x")
	_, _, err := f.st.CreateAsset(ctx, a, act("asset.create"))
	f.must(err)
	_, _, err = f.st.CreateCredential(ctx, c, act("credential.create"))
	f.must(err)
	_, _, err = f.st.CreatePlugin(ctx, p, wasm, act("plugin.upload"))
	f.must(err)
	c.Version = 2
	p.State = automation.PluginActive
	for what, update := range map[string]func() error{
		"asset":      func() error { _, err := f.st.UpdateAsset(ctx, a, act("asset.update")); return err },
		"credential": func() error { _, err := f.st.UpdateCredential(ctx, c, act("credential.update")); return err },
		"plugin":     func() error { _, err := f.st.UpdatePlugin(ctx, p, act("plugin.activate")); return err },
	} {
		var won atomic.Int64
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				err := update()
				if err == nil {
					won.Add(1)
					return
				}
				wantCode(t, "an update that lost", err, automation.CodeConflict)
			})
		}
		wg.Wait()
		equal(t, "how many of ten updates of one version won: "+what, won.Load(), int64(1))
	}
	n, err := store.VerifyAudit(ctx, f.st, tenant)
	f.must(err)
	equal(t, "audit entries: three acts and three updates", n, int64(6))
}

// actsTogether: acts that don't touch each other all succeed, and follow each
// other in the audit log.
func actsTogether(t *testing.T, b Backend) {
	f := setup(t, b)
	var wg sync.WaitGroup
	for i := range 30 {
		wg.Go(func() {
			if _, _, err := f.st.CreateAsset(t.Context(), newAsset(fmt.Sprint("web-", i)), keyed(act("asset.create"), fmt.Sprint(i), "r")); err != nil {
				t.Errorf("create asset %d: %v", i, err)
			}
			if _, _, err := f.st.Accept(t.Context(), f.run(), keyed(act("run.submit"), fmt.Sprint(i), "r")); err != nil {
				t.Errorf("accept %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	n, err := store.VerifyAudit(t.Context(), f.st, tenant)
	f.must(err)
	equal(t, "audit entries", n, int64(60))
}

// auditChain: whatever is done to the stored log past the store is found.
func auditChain(t *testing.T, b Backend) {
	for name, tamper := range map[string][]string{
		"nothing":             nil,
		"a changed field":     {`UPDATE audit SET by = 'eve' WHERE seq = 3`},
		"a changed detail":    {`UPDATE audit SET detail = '{"to":2}' WHERE seq = 3`},
		"a detail taken out":  {`UPDATE audit SET detail = NULL WHERE seq = 3`},
		"a field moved on":    {`UPDATE audit SET action = 'asset.creat', object = 'e' || object WHERE seq = 3`},
		"another time":        {`UPDATE audit SET at = (SELECT max(at) FROM audit) WHERE seq = 3`},
		"a removed entry":     {`DELETE FROM audit WHERE seq = 3`},
		"the first removed":   {`DELETE FROM audit WHERE seq = 1`},
		"the last removed":    {`DELETE FROM audit WHERE seq = 6`},
		"the end cut off":     {`DELETE FROM audit WHERE seq > 2`},
		"all of it removed":   {`DELETE FROM audit`},
		"two entries swapped": {`UPDATE audit SET seq = 100 WHERE seq = 3`, `UPDATE audit SET seq = 3 WHERE seq = 4`, `UPDATE audit SET seq = 4 WHERE seq = 100`},
		"a forged hash":       {`UPDATE audit SET by = 'eve', hash = previous WHERE seq = 3`},
		"another tenant's":    {`UPDATE audit SET tenant = 'other' WHERE seq = 6`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := setup(t, b)
			for i := range 6 {
				a := newAsset(fmt.Sprintf("web-%d", i))
				recorded := act("asset.create")
				recorded.Detail = []byte(fmt.Sprintf(`{"to": %d}`, i))
				recorded.At = start().Add(time.Duration(i) * time.Minute)
				if i == 1 {
					recorded.Detail = nil
				}
				_, _, err := f.st.CreateAsset(t.Context(), a, recorded)
				f.must(err)
			}
			for _, statement := range tamper {
				if err := b.Exec(t, f.st, statement); err != nil {
					t.Fatal(err)
				}
			}
			n, err := store.VerifyAudit(t.Context(), f.st, tenant)
			if tamper == nil {
				f.must(err)
				equal(t, "entries found good", n, int64(6))
				list, err := f.st.Audit(t.Context(), tenant, 1, 2)
				f.must(err)
				if len(list) != 2 || list[0].Seq != 2 || list[0].Detail != nil || string(list[1].Detail) != `{"to": 2}` || list[1].By != "ann" ||
					list[1].Action != "asset.create" || list[1].Object == "" || !list[1].At.Equal(store.Moment(start().Add(2*time.Minute))) {
					t.Errorf("two entries after the first: %+v", list)
				}
				return
			}
			wantErr(t, name, err, store.ErrAuditBroken)
		})
	}
}

// actsAreComplete: nothing changes without a record of who, what and when.
func actsAreComplete(t *testing.T, b Backend) {
	f := setup(t, b)
	for name, spoil := range map[string]func(*automation.Act){
		"no tenant":         func(a *automation.Act) { a.Tenant = "" },
		"another tenant":    func(a *automation.Act) { a.Tenant = other },
		"nobody":            func(a *automation.Act) { a.By = "" },
		"no action":         func(a *automation.Act) { a.Action = "" },
		"no time":           func(a *automation.Act) { a.At = time.Time{} },
		"a key of anything": func(a *automation.Act) { a.Key = "k" },
	} {
		bad := act("x")
		spoil(&bad)
		for what, call := range acting(t.Context(), f, bad) {
			if err := call(); err == nil {
				t.Errorf("%s with an act of %s: it was done", what, name)
			}
		}
	}
	head, err := f.st.AuditHead(t.Context(), tenant)
	f.must(err)
	equal(t, "the audit head", head, automation.AuditEntry{})
}

// acting is a call of every method that takes an act.
func acting(ctx context.Context, f *fixture, a automation.Act) map[string]func() error {
	p, wasm := newPlugin("linux", "1.0.0", "x")
	return map[string]func() error{
		"Accept": func() error { _, _, err := f.st.Accept(ctx, f.run(), a); return err },
		"PutCommand": func() error {
			return f.st.PutCommand(ctx, automation.Command{ID: "c", Tenant: tenant, Run: "r", Kind: automation.FactCancelAsked, At: start()}, a)
		},
		"CreateAsset":      func() error { _, _, err := f.st.CreateAsset(ctx, newAsset("n"), a); return err },
		"UpdateAsset":      func() error { _, err := f.st.UpdateAsset(ctx, newAsset("n"), a); return err },
		"DeleteAsset":      func() error { return f.st.DeleteAsset(ctx, tenant, "a", a) },
		"CreateCredential": func() error { _, _, err := f.st.CreateCredential(ctx, newCredential("n"), a); return err },
		"UpdateCredential": func() error { _, err := f.st.UpdateCredential(ctx, newCredential("n"), a); return err },
		"DeleteCredential": func() error { return f.st.DeleteCredential(ctx, tenant, "c", a) },
		"CreatePlugin":     func() error { _, _, err := f.st.CreatePlugin(ctx, p, wasm, a); return err },
		"UpdatePlugin":     func() error { _, err := f.st.UpdatePlugin(ctx, p, a); return err },
		"CreateToken":      func() error { _, _, err := f.st.CreateToken(ctx, newToken("n"), a); return err },
		"RevokeToken":      func() error { return f.st.RevokeToken(ctx, tenant, "t", a) },
		"CreateSchedule":   func() error { _, _, err := f.st.CreateSchedule(ctx, newSchedule("n"), a); return err },
		"UpdateSchedule":   func() error { _, err := f.st.UpdateSchedule(ctx, newSchedule("n"), a); return err },
		"DeleteSchedule":   func() error { return f.st.DeleteSchedule(ctx, tenant, "s", a) },
		"CreateLimit":      func() error { _, _, err := f.st.CreateLimit(ctx, newLimit("plugin", "n"), a); return err },
		"UpdateLimit":      func() error { _, err := f.st.UpdateLimit(ctx, newLimit("plugin", "n"), a); return err },
		"DeleteLimit":      func() error { return f.st.DeleteLimit(ctx, tenant, "l", a) },
		"ClaimFire":        func() error { return f.st.ClaimFire(ctx, f.claim(newSchedule("n")), a) },
	}
}
