package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"opsconductor.dev/host/automation"
)

// ErrAuditBroken is in the tree of VerifyAudit's error when the stored audit log
// is not the one that was written.
var ErrAuditBroken = errors.New("the audit log was changed")

// auditFormat is hashed first, so that another layout of the fields can never
// give the same hash.
const auditFormat = "opsconductor audit 1"

// auditPage is how many entries VerifyAudit reads at a time.
const auditPage = 1000

// NextAudit returns the entry that records act after the entry that has the
// number seq and the hash previous (0 and nil before the first one).
func NextAudit(act automation.Act, seq int64, previous []byte) automation.AuditEntry {
	e := automation.AuditEntry{
		Seq: seq + 1, Tenant: act.Tenant, At: Moment(act.At), By: act.By, Action: act.Action,
		Object: act.Object, Detail: act.Detail, Previous: previous,
	}
	e.Hash = AuditHash(e)
	return e
}

// AuditHash returns SHA-256 over an entry's Previous and every other field but
// Hash: each one as its length in eight bytes and its bytes, so that no byte can
// move from one field to the next.
func AuditHash(e automation.AuditEntry) []byte {
	h := sha256.New()
	for _, field := range [][]byte{
		[]byte(auditFormat), e.Previous, []byte(e.Tenant), number(e.Seq), number(e.At.UnixMicro()),
		[]byte(e.By), []byte(e.Action), []byte(e.Object), e.Detail,
	} {
		h.Write(number(int64(len(field))))
		h.Write(field)
	}
	return h.Sum(nil)
}

func number(n int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(n)) } //nolint:gosec // the bits are what is hashed

// VerifyAudit reads a tenant's whole audit log and reports, with ErrAuditBroken
// in the error's tree, the first entry that was changed, removed, moved or
// added, or an end that was cut off. It returns how many entries it found good.
func VerifyAudit(ctx context.Context, t Tokens, tenant automation.TenantID) (int64, error) {
	// The head is read first: what is added meanwhile lies behind it.
	head, err := t.AuditHead(ctx, tenant)
	if err != nil {
		return 0, err
	}
	last := automation.AuditEntry{Tenant: tenant}
	for last.Seq < head.Seq {
		page, err := t.Audit(ctx, tenant, last.Seq, auditPage)
		if err != nil {
			return last.Seq, err
		}
		if len(page) == 0 {
			return last.Seq, broken(last.Seq+1, "it and all that follow are missing")
		}
		for _, e := range page {
			if err := follows(last, e); err != nil {
				return last.Seq, err
			}
			last = e
			if e.Seq == head.Seq && !bytes.Equal(e.Hash, head.Hash) {
				return last.Seq, broken(e.Seq, "it is not the entry that was written last")
			}
		}
	}
	return last.Seq, nil
}

func follows(last, e automation.AuditEntry) error {
	switch {
	case e.Seq != last.Seq+1:
		return broken(last.Seq+1, "it is missing")
	case e.Tenant != last.Tenant:
		return broken(e.Seq, "it is another tenant's")
	case !bytes.Equal(e.Previous, last.Hash):
		return broken(e.Seq, "it does not follow the entry before it")
	case !bytes.Equal(e.Hash, AuditHash(e)):
		return broken(e.Seq, "its fields were changed")
	}
	return nil
}

func broken(seq int64, what string) error {
	return &automation.Error{
		Code: automation.CodeInternal, Message: fmt.Sprintf("audit entry %d: %s", seq, what), Err: ErrAuditBroken,
		Suggestion: "compare the database with its last backup",
	}
}

// Moment returns t as the stores keep times: UTC, in whole microseconds. The
// zero time stays the zero time.
func Moment(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return time.UnixMicro(t.UnixMicro()).UTC()
}
