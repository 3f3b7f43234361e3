package service

import (
	"context"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/workflow"
)

// build plans a definition. (The planner of host/workflow is wired here.)
func (s *Service) build(context.Context, automation.TenantID, PlanRequest) (*workflow.Plan, []byte, automation.Digest, error) {
	return nil, nil, "", &automation.Error{Code: automation.CodeUnavailable, Message: "this build cannot plan yet"}
}

func decodePlan([]byte) (*workflow.Plan, error) {
	return nil, &automation.Error{Code: automation.CodeUnavailable, Message: "this build cannot read plans yet"}
}
