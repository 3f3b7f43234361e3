package store

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"opsconductor.dev/host/automation"
)

// Approvals is the record of decisions that runs ask for. The leader writes it in
// the commits of the facts that it follows from (Batch.Approvals).
type Approvals interface {
	// ListApprovals returns approvals, those of the newest run first (Page.After is
	// an automation.Approval's Key), of one state or (state "") of all. One that
	// still waits in a run that has ended is cancelled.
	ListApprovals(ctx context.Context, tenant automation.TenantID, state automation.ApprovalState, page automation.Page) ([]automation.Approval, error)
}

// ApprovalKey takes an approval's Key apart; "" is the place before all of them.
func ApprovalKey(key string) (run string, step, item int, err error) {
	if key == "" {
		return "~", 0, 0, nil // sorts after every identifier: hexadecimal digits and dashes
	}
	run, rest, _ := strings.Cut(key, ".")
	s, i, _ := strings.Cut(rest, ".")
	step, errStep := strconv.Atoi(s)
	item, errItem := strconv.Atoi(i)
	if errStep != nil || errItem != nil || step < 0 || item < 0 || step > 1<<30 || item > 1<<30 {
		return "", 0, 0, automation.Errorf(automation.CodeInvalid, "a page of approvals after what is no approval's key")
	}
	return run, step, item, nil
}

// EncodeTold returns the stored form of what a command says: its JSON, "" for nil.
func EncodeTold(t *automation.Told) (string, error) {
	if t == nil {
		return "", nil
	}
	b, err := json.Marshal(t)
	if err != nil {
		return "", fmt.Errorf("encode what a command says: %w", err)
	}
	return string(b), nil
}
