package service

import (
	"context"

	"opsconductor.dev/host/automation"
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
