package service

import (
	"slices"

	"opsconductor.dev/host/automation"
)

// operation names what a principal asks for. It is the Action of the audit
// record, where the operation changes something.
type operation string

const (
	opPlanCreate       operation = "plan.create"
	opPlanRead         operation = "plan.read"
	opRunSubmit        operation = "run.submit"
	opRunRead          operation = "run.read"
	opRunCancel        operation = "run.cancel"
	opRunPause         operation = "run.pause"
	opRunResume        operation = "run.resume"
	opRunEvent         operation = "run.event"
	opItemResolve      operation = "item.resolve" // of one's own run, if one is no admin
	opApprovalRead     operation = "approval.read"
	opApprovalDecide   operation = "approval.decide" // not of one's own run
	opRunRerun         operation = "run.rerun"
	opWorkflowStore    operation = "workflow.store"
	opWorkflowRead     operation = "workflow.read"
	opWorkflowRetire   operation = "workflow.retire"
	opPluginUpload     operation = "plugin.upload"
	opPluginRead       operation = "plugin.read"
	opPluginActivate   operation = "plugin.activate"
	opPluginDisable    operation = "plugin.disable"
	opAssetCreate      operation = "asset.create"
	opAssetRead        operation = "asset.read"
	opAssetUpdate      operation = "asset.update"
	opAssetDelete      operation = "asset.delete"
	opCredentialCreate operation = "credential.create"
	opCredentialRead   operation = "credential.read"
	opCredentialUpdate operation = "credential.update"
	opCredentialDelete operation = "credential.delete"
	opScheduleCreate   operation = "schedule.create"
	opScheduleRead     operation = "schedule.read"
	opScheduleUpdate   operation = "schedule.update"
	opScheduleDelete   operation = "schedule.delete"
	opSchedulePause    operation = "schedule.pause"
	opScheduleResume   operation = "schedule.resume"
	opScheduleBackfill operation = "schedule.backfill"
	opScheduleFire     operation = "schedule.fire" // the host's own: nobody may ask for it
	opLimitCreate      operation = "limit.create"
	opLimitRead        operation = "limit.read"
	opLimitUpdate      operation = "limit.update"
	opLimitDelete      operation = "limit.delete"
	opWindowCreate     operation = "window.create"
	opWindowRead       operation = "window.read"
	opWindowUpdate     operation = "window.update"
	opWindowDelete     operation = "window.delete"
	opTriggerCreate    operation = "trigger.create"
	opTriggerRead      operation = "trigger.read"
	opTriggerUpdate    operation = "trigger.update"
	opTriggerDelete    operation = "trigger.delete"
	opTriggerRotate    operation = "trigger.rotate"
	opTriggerEnable    operation = "trigger.enable"
	opTriggerDisable   operation = "trigger.disable"
	opTokenCreate      operation = "token.create"
	opTokenRead        operation = "token.read"
	opTokenRevoke      operation = "token.revoke"
	opAuditRead        operation = "audit.read"
	opHostRead         operation = "host.read"
	opQueueRead        operation = "queue.read"
)

// permission is a row of the table: who may carry out an operation.
type permission struct {
	op    operation
	roles []automation.Role
}

// permissions is the one table of who may do what. What is not in it is denied
// to everybody.
func permissions() []permission {
	admin := []automation.Role{automation.RoleAdmin}
	everyone := []automation.Role{automation.RoleAdmin, automation.RoleSubmitter}
	return []permission{
		{opPlanCreate, everyone},
		{opPlanRead, everyone},
		{opRunSubmit, everyone},
		{opRunRead, everyone},
		{opRunCancel, everyone},
		{opRunPause, everyone},
		{opRunResume, everyone},
		{opRunEvent, everyone},
		{opItemResolve, everyone},
		{opApprovalRead, everyone},
		{opApprovalDecide, admin},
		{opRunRerun, everyone},
		{opWorkflowStore, admin},
		{opWorkflowRead, everyone},
		{opWorkflowRetire, admin},
		{opPluginUpload, admin},
		{opPluginRead, everyone},
		{opPluginActivate, admin},
		{opPluginDisable, admin},
		{opAssetCreate, admin},
		{opAssetRead, everyone},
		{opAssetUpdate, admin},
		{opAssetDelete, admin},
		{opCredentialCreate, admin},
		{opCredentialRead, admin},
		{opCredentialUpdate, admin},
		{opCredentialDelete, admin},
		{opScheduleCreate, admin},
		{opScheduleRead, everyone},
		{opScheduleUpdate, admin},
		{opScheduleDelete, admin},
		{opSchedulePause, admin},
		{opScheduleResume, admin},
		{opScheduleBackfill, admin},
		{opLimitCreate, admin},
		{opLimitRead, everyone},
		{opLimitUpdate, admin},
		{opLimitDelete, admin},
		{opWindowCreate, admin},
		{opWindowRead, everyone},
		{opWindowUpdate, admin},
		{opWindowDelete, admin},
		{opTriggerCreate, admin},
		{opTriggerRead, everyone},
		{opTriggerUpdate, admin},
		{opTriggerDelete, admin},
		{opTriggerRotate, admin},
		{opTriggerEnable, admin},
		{opTriggerDisable, admin},
		{opTokenCreate, admin},
		{opTokenRead, admin},
		{opTokenRevoke, admin},
		{opAuditRead, admin},
		{opHostRead, admin},
		{opQueueRead, admin},
	}
}

// permitTable turns the rows into a lookup.
func permitTable(rows []permission) map[operation][]automation.Role {
	out := make(map[operation][]automation.Role, len(rows))
	for _, r := range rows {
		out[r.op] = append(out[r.op], r.roles...)
	}
	return out
}

// authorise reports whether p may carry out op. A principal that lacks any part
// of its identity is nobody: nothing falls back to a default.
func (s *Service) authorise(p automation.Principal, op operation) error {
	if p.Tenant == "" || p.Name == "" || p.Role == "" || p.Token == "" {
		return unauthenticated()
	}
	roles := s.permits[op]
	if slices.Contains(roles, p.Role) {
		return nil
	}
	e := &automation.Error{
		Code:       automation.CodeForbidden,
		Message:    "the token's role does not allow " + string(op),
		Suggestion: "use a token whose role allows it",
	}
	for i, r := range roles {
		if i > 0 {
			e.Allowed += ", "
		}
		e.Allowed += "role " + string(r)
	}
	return e
}

// unauthenticated is the one answer to every token that is not valid: it does
// not say whether the token was unknown, revoked, expired or malformed.
func unauthenticated() *automation.Error {
	return &automation.Error{
		Code: automation.CodeUnauthenticated, Message: "no valid token",
		Suggestion: "send an API token that has neither expired nor been revoked, as: Authorization: Bearer ops_…",
	}
}
