package sqlite

import (
	"context"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
)

const (
	insertApproval = `INSERT INTO approvals (run_id, step, item, tenant, step_id, state, message, requested_at, expires_at, by, reason, decided_at)`
	// A decision is final: only what is pending changes.
	changePending = ` ON CONFLICT (run_id, step, item) DO UPDATE SET state = excluded.state, by = excluded.by, reason = excluded.reason,
		decided_at = excluded.decided_at WHERE state = 'pending'`

	selectApproval = `SELECT a.tenant, a.run_id, a.step, a.step_id, a.item, r.workflow, r.submitted_by,
		CASE WHEN a.state = 'pending' AND r.ended_at IS NOT NULL THEN 'cancelled' ELSE a.state END,
		a.message, a.requested_at, a.expires_at, a.by, a.reason, a.decided_at FROM approvals a JOIN runs r ON r.id = a.run_id`
	listApprovals        = selectApproval + ` WHERE a.tenant = ? AND (a.run_id, a.step, a.item) < (?, ?, ?) ORDER BY a.run_id DESC, a.step DESC, a.item DESC LIMIT ?`
	listApprovalsByState = selectApproval + ` WHERE a.tenant = ? AND a.state = ? AND (a.state <> 'pending' OR r.ended_at IS NULL)
		AND (a.run_id, a.step, a.item) < (?, ?, ?) ORDER BY a.run_id DESC, a.step DESC, a.item DESC LIMIT ?`
)

// approvals writes the records of decisions.
func (w *writer) approvals(ctx context.Context, list []automation.Approval) error {
	var args []any
	for _, a := range list {
		args = append(args, string(a.Run), a.StepIndex, a.Item, string(a.Tenant), a.Step, string(a.State), a.Message,
			micros(a.Requested), micros(a.Expires), a.By, a.Reason, micros(a.Decided))
	}
	return w.insert(ctx, insertApproval, changePending, 12, args)
}

// ListApprovals returns approvals, those of the newest run first, of one state or
// (state "") of all.
func (db *DB) ListApprovals(ctx context.Context, tenant automation.TenantID, state automation.ApprovalState, page automation.Page) ([]automation.Approval, error) {
	if err := store.CheckPage(page); err != nil {
		return nil, err
	}
	run, step, item, err := store.ApprovalKey(page.After)
	if err != nil {
		return nil, err
	}
	if state == "" {
		return list(ctx, db, scanApproval, listApprovals, string(tenant), run, step, item, page.Limit)
	}
	return list(ctx, db, scanApproval, listApprovalsByState, string(tenant), string(state), run, step, item, page.Limit)
}

func scanApproval(row scanner) (automation.Approval, error) {
	var a automation.Approval
	err := row.Scan(&a.Tenant, &a.Run, &a.StepIndex, &a.Step, &a.Item, &a.Workflow, &a.Submitted, &a.State, &a.Message,
		stamp{&a.Requested}, stamp{&a.Expires}, &a.By, &a.Reason, stamp{&a.Decided})
	return a, err
}
