package service

import (
	"context"
	"encoding/json"
	"fmt"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/workflow"
)

// build plans a definition. (The planner of host/workflow is wired here.)
func (s *Service) build(context.Context, automation.TenantID, PlanRequest) (*workflow.Plan, []byte, automation.Digest, error) {
	return nil, nil, "", &automation.Error{Code: automation.CodeUnavailable, Message: "this build cannot plan yet"}
}

// decodePlan reads a stored plan.
func decodePlan(text []byte) (*workflow.Plan, error) {
	var p workflow.Plan
	if err := json.Unmarshal(text, &p); err != nil {
		return nil, fmt.Errorf("decode a stored plan: %w", err)
	}
	return &p, nil
}
