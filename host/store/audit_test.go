package store_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
)

// auditLog is an audit log in memory.
type auditLog struct {
	store.Tokens
	entries []automation.AuditEntry
	head    automation.AuditEntry
}

func newAuditLog(n int) *auditLog {
	l := &auditLog{}
	for i := range n {
		act := automation.Act{Tenant: "t", By: "ann", Action: "asset.create", Object: fmt.Sprint(i), At: time.Unix(int64(i), 0)}
		l.head = store.NextAudit(act, l.head.Seq, l.head.Hash)
		l.entries = append(l.entries, l.head)
	}
	return l
}

func (l *auditLog) Audit(_ context.Context, _ automation.TenantID, after int64, limit int) ([]automation.AuditEntry, error) {
	var out []automation.AuditEntry
	for _, e := range l.entries {
		if e.Seq > after && len(out) < limit {
			out = append(out, e)
		}
	}
	return out, nil
}

func (l *auditLog) AuditHead(context.Context, automation.TenantID) (automation.AuditEntry, error) {
	return l.head, nil
}

// TestVerifyAuditFindsForgery: entries that are right in themselves, since who
// wrote them knows how they are hashed, and wrong in their place.
func TestVerifyAuditFindsForgery(t *testing.T) {
	t.Parallel()
	const n = 2500 // more than two pages
	forge := func(e *automation.AuditEntry) {
		e.By = "eve"
		e.Hash = store.AuditHash(*e)
	}
	for name, tt := range map[string]struct {
		forge func(*auditLog)
		good  int64
	}{
		"nothing":            {func(*auditLog) {}, n},
		"one in the midst":   {func(l *auditLog) { forge(&l.entries[1200]) }, 1201},
		"the last of a page": {func(l *auditLog) { forge(&l.entries[999]) }, 1000},
		"the last":           {func(l *auditLog) { forge(&l.entries[n-1]) }, n},
		"all from one on": {func(l *auditLog) {
			for i := 1200; i < n; i++ {
				l.entries[i].Previous = l.entries[i-1].Hash
				forge(&l.entries[i])
			}
		}, n},
		"another tenant's": {func(l *auditLog) {
			for i := range l.entries {
				l.entries[i].Tenant = "u"
				l.entries[i].Hash = store.AuditHash(l.entries[i])
			}
		}, 0},
	} {
		l := newAuditLog(n)
		tt.forge(l)
		got, err := store.VerifyAudit(t.Context(), l, "t")
		if got != tt.good || (tt.good == n && name == "nothing") != (err == nil) {
			t.Errorf("%s: %d good, %v; want %d", name, got, err, tt.good)
		}
		if err != nil && !errors.Is(err, store.ErrAuditBroken) {
			t.Errorf("%s: got %v; want ErrAuditBroken", name, err)
		}
	}
}
