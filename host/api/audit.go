package api

import (
	"context"
	"encoding/hex"
	"net/http"
	"strconv"

	"opsconductor.dev/host/automation"
)

// AuditVerdict is what a reading of the whole audit log found.
type AuditVerdict struct {
	Intact  bool   `json:"intact" doc:"Whether every entry is as it was written."`
	Entries int64  `json:"entries" doc:"How many entries are in order, from the first on."`
	Problem string `json:"problem,omitempty" doc:"What is wrong with the first entry that is not in order."`
	Head    string `json:"head,omitempty" doc:"Hexadecimal hash of the last entry that is in order. Kept elsewhere, it tells later that nothing up to there was changed."`
}

type auditVerdictOut struct{ Body AuditVerdict }

func addAudit(a *API) {
	register(a, operation{
		id: "list-audit", method: http.MethodGet, path: "/v1/audit", tag: "audit", access: adminToken, summary: "Read the audit log, the oldest entry first",
	}, a.listAudit)
	register(a, operation{
		id: "verify-audit", method: http.MethodGet, path: "/v1/audit/verify", tag: "audit", access: adminToken, summary: "Read the whole audit log and say whether it is intact",
		about: "Every entry has the hash of the one before, so one that was changed, removed or moved is found. A log that is not intact is an answer with intact false.",
	}, a.verifyAudit)
}

func (a *API) listAudit(ctx context.Context, in *Paging) (*listOut[automation.AuditEntry], error) {
	page, err := in.page("audit")
	if err != nil {
		return nil, err
	}
	after := int64(0)
	if page.After != "" {
		if after, err = strconv.ParseInt(page.After, 10, 64); err != nil {
			return nil, refuse(http.StatusBadRequest, &automation.Error{Code: automation.CodeBadRequest, Message: "the cursor is not one of this list"})
		}
	}
	entries, err := a.config.Service.Audit(ctx, Principal(ctx), after, in.Limit)
	return listed("audit", in.Limit, entries, func(e automation.AuditEntry) string { return strconv.FormatInt(e.Seq, 10) }), err
}

func (a *API) verifyAudit(ctx context.Context, _ *struct{}) (*auditVerdictOut, error) {
	v, err := a.config.Service.VerifyAudit(ctx, Principal(ctx))
	return &auditVerdictOut{Body: AuditVerdict{Intact: v.Intact, Entries: v.Entries, Problem: v.Problem, Head: hex.EncodeToString(v.Head)}}, err //nolint:wrapcheck // problemOf reads the service's error
}
