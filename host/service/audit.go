package service

import (
	"context"
	"errors"

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

// AuditVerdict is what a reading of the whole audit log found.
type AuditVerdict struct {
	// Entries is how many are in order, from the first on, and Intact says that they
	// are all there are and were; Problem names the first that is not.
	Entries int64
	Intact  bool
	Problem string
	// Head is the hash of the last entry that is in order: who keeps it elsewhere can
	// tell later that nothing up to it was changed. nil: there is none.
	Head []byte
}

// VerifyAudit reads the tenant's whole audit log and says whether an entry was
// changed, removed or moved. A log that is not intact is a verdict, not an error.
func (s *Service) VerifyAudit(ctx context.Context, p automation.Principal) (AuditVerdict, error) {
	if err := s.authorise(p, opAuditRead); err != nil {
		return AuditVerdict{}, err
	}
	n, err := store.VerifyAudit(ctx, s.store, p.Tenant)
	out := AuditVerdict{Entries: n, Intact: err == nil}
	if err != nil {
		if !errors.Is(err, store.ErrAuditBroken) {
			return AuditVerdict{}, fault(err)
		}
		out.Problem = automation.AsError(err).Message
	}
	if n == 0 {
		return out, nil
	}
	last, err := s.store.Audit(ctx, p.Tenant, n-1, 1)
	if err == nil && len(last) == 1 {
		out.Head = last[0].Hash
	}
	return out, fault(err)
}
