package service

import (
	"context"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
)

// Audit returns audit entries after a sequence number, the oldest first, at most
// limit (0: 100).
func (s *Service) Audit(ctx context.Context, p automation.Principal, after int64, limit int) ([]automation.AuditEntry, error) {
	if err := s.authorise(p, opAuditRead); err != nil {
		return nil, err
	}
	page := automation.Page{Limit: limit}
	if err := refused(checkPage(&page)); err != nil {
		return nil, err
	}
	out, err := s.store.Audit(ctx, p.Tenant, max(after, 0), page.Limit)
	return out, fault(err)
}

// VerifyAudit reads the tenant's whole audit log and returns how many entries it
// has; an error names the first entry that was changed, removed or moved.
func (s *Service) VerifyAudit(ctx context.Context, p automation.Principal) (int64, error) {
	if err := s.authorise(p, opAuditRead); err != nil {
		return 0, err
	}
	n, err := store.VerifyAudit(ctx, s.store, p.Tenant)
	return n, fault(err)
}
