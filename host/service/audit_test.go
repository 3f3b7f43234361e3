package service_test

import (
	"context"
	"errors"
	"testing"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/service"
	"opsconductor.dev/host/store"
)

// tampered is a store in which somebody changed an audit entry.
type tampered struct {
	store.Store
	seq int64
	err error
}

func (s tampered) Audit(ctx context.Context, tenant automation.TenantID, after int64, limit int) ([]automation.AuditEntry, error) {
	out, err := s.Store.Audit(ctx, tenant, after, limit)
	for i := range out {
		if out[i].Seq == s.seq {
			out[i].By = "nobody"
		}
	}
	return out, errors.Join(err, s.err)
}

func TestAuditVerdict(t *testing.T) {
	t.Parallel()
	f := setup(t)
	verify := func(st store.Store) (service.AuditVerdict, error) {
		return service.New(service.Deps{Store: st, Vault: f.vault, Registry: manifests{}}).VerifyAudit(t.Context(), admin())
	}
	if v, err := verify(f.store); err != nil || !v.Intact || v.Entries != 0 || v.Head != nil {
		t.Errorf("an empty log: got %+v, %v", v, err)
	}
	for _, name := range []string{"a", "b", "c"} {
		if _, _, err := f.CreateToken(t.Context(), admin(), service.TokenRequest{Name: name, Role: automation.RoleSubmitter}); err != nil {
			t.Fatal(err)
		}
	}
	whole, err := verify(f.store)
	if err != nil || !whole.Intact || whole.Entries != 3 || string(whole.Head) != string(f.lastAudit(t).Hash) {
		t.Errorf("got %+v, %v; want three entries", whole, err)
	}
	v, err := verify(tampered{Store: f.store, seq: 3})
	if err != nil || v.Intact || v.Entries != 2 || v.Problem == "" || string(v.Head) == string(whole.Head) {
		t.Errorf("a changed entry: got %+v, %v; want a verdict that names it", v, err)
	}
	_, err = verify(tampered{Store: f.store, err: &automation.Error{Code: automation.CodeUnavailable, Message: "gone"}})
	wantCode(t, err, automation.CodeUnavailable)
}
