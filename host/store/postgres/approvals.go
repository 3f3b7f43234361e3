package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
)

const (
	// A decision is final: only what is pending changes.
	putApprovals = `INSERT INTO approvals AS a (run_id, step, item, tenant, step_id, state, message, requested_at, expires_at, by, reason, decided_at)
		SELECT * FROM unnest($1::text[], $2::int[], $3::int[], $4::text[], $5::text[], $6::text[], $7::text[], $8::timestamptz[], $9::timestamptz[],
			$10::text[], $11::text[], $12::timestamptz[])
		ON CONFLICT (run_id, step, item) DO UPDATE SET state = excluded.state, by = excluded.by, reason = excluded.reason,
			decided_at = excluded.decided_at WHERE a.state = 'pending'`

	selectApproval = `SELECT a.tenant, a.run_id, a.step, a.step_id, a.item, r.workflow, r.submitted_by,
		CASE WHEN a.state = 'pending' AND r.ended_at IS NOT NULL THEN 'cancelled' ELSE a.state END,
		a.message, a.requested_at, a.expires_at, a.by, a.reason, a.decided_at FROM approvals a JOIN runs r ON r.id = a.run_id`
	listApprovals        = selectApproval + ` WHERE a.tenant = $1 AND (a.run_id, a.step, a.item) < ($2, $3::int, $4::int) ORDER BY a.run_id DESC, a.step DESC, a.item DESC LIMIT $5`
	listApprovalsByState = selectApproval + ` WHERE a.tenant = $1 AND a.state = $2 AND (a.state <> 'pending' OR r.ended_at IS NULL)
		AND (a.run_id, a.step, a.item) < ($3, $4::int, $5::int) ORDER BY a.run_id DESC, a.step DESC, a.item DESC LIMIT $6`
)

// queueApprovals adds the records of decisions.
func queueApprovals(p *pgx.Batch, list []automation.Approval) {
	if len(list) == 0 {
		return
	}
	var runs, tenants, ids, states, messages, by, reasons []string
	var steps, items []int32
	var requested, expires, decided []*time.Time
	for _, a := range list {
		runs, tenants, ids = append(runs, string(a.Run)), append(tenants, string(a.Tenant)), append(ids, a.Step)
		steps, items = append(steps, int32(a.StepIndex)), append(items, int32(a.Item)) //nolint:gosec // bounded by the limits of a workflow
		states, messages = append(states, string(a.State)), append(messages, a.Message)
		by, reasons = append(by, a.By), append(reasons, a.Reason)
		requested, expires, decided = append(requested, moment(a.Requested)), append(expires, moment(a.Expires)), append(decided, moment(a.Decided))
	}
	p.Queue(putApprovals, runs, steps, items, tenants, ids, states, messages, requested, expires, by, reasons, decided)
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

func scanApproval(row pgx.Row) (automation.Approval, error) {
	var a automation.Approval
	err := row.Scan(&a.Tenant, &a.Run, &a.StepIndex, &a.Step, &a.Item, &a.Workflow, &a.Submitted, &a.State, &a.Message,
		stamp{&a.Requested}, stamp{&a.Expires}, &a.By, &a.Reason, stamp{&a.Decided})
	return a, err
}
