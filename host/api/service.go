package api

import (
	"context"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/service"
)

// Service is what the API stands on: service.Service has all of it.
type Service interface {
	Runs
	Results
	Control
	Workflows
	Telling
	Plugins
	Assets
	Credentials
	Schedules
	Backfills
	Windows
	Limits
	Hosts
	Triggers
	Hooks
	Tokens
}

var _ Service = (*service.Service)(nil)

// Runs is the use cases of plans and runs.
type Runs interface {
	Plan(ctx context.Context, p automation.Principal, r service.PlanRequest) (service.PlanResult, error)
	StoredPlan(ctx context.Context, p automation.Principal, hash automation.Digest) (service.PlanResult, error)
	Submit(ctx context.Context, p automation.Principal, r service.SubmitRequest) (automation.Run, bool, error)
	Run(ctx context.Context, p automation.Principal, id automation.RunID) (automation.Run, error)
	ListRuns(ctx context.Context, p automation.Principal, q service.RunQuery, page automation.Page) ([]automation.Run, error)
	Wait(ctx context.Context, p automation.Principal, id automation.RunID, timeout time.Duration) (automation.Run, error)
}

// Control is what can be asked of a run that goes on.
type Control interface {
	Cancel(ctx context.Context, p automation.Principal, id automation.RunID, reason, key string) (automation.Run, error)
	Pause(ctx context.Context, p automation.Principal, id automation.RunID, reason, key string) (automation.Run, error)
	Rerun(ctx context.Context, p automation.Principal, id automation.RunID, r service.RerunRequest) (automation.Run, bool, error)
	Resume(ctx context.Context, p automation.Principal, id automation.RunID, reason, key string) (automation.Run, error)
}

// Telling is what can be said to a run about one of its items, or for them.
type Telling interface {
	Decide(ctx context.Context, p automation.Principal, r service.DecideRequest) (service.Item, bool, error)
	Resolve(ctx context.Context, p automation.Principal, r service.ResolveRequest) (service.Item, bool, error)
	SendEvent(ctx context.Context, p automation.Principal, r service.EventRequest) (service.EventReceipt, error)
	ListApprovals(ctx context.Context, p automation.Principal, state automation.ApprovalState, page automation.Page) ([]automation.Approval, error)
}

// Results is what runs leave to read.
type Results interface {
	Steps(ctx context.Context, p automation.Principal, id automation.RunID) ([]service.Step, int64, error)
	Failures(ctx context.Context, p automation.Principal, id automation.RunID) (service.Failures, error)
	Items(ctx context.Context, p automation.Principal, id automation.RunID, q service.ItemQuery) (service.ItemPage, error)
	Logs(ctx context.Context, p automation.Principal, id automation.RunID, q service.LogQuery) (service.LogPage, error)
	CheckLines(ctx context.Context, p automation.Principal, id automation.RunID, step string) error
	Lines(ctx context.Context, p automation.Principal, id automation.RunID, step string, yield func(service.Line) error) error
	Why(ctx context.Context, p automation.Principal, id automation.RunID) ([]service.Reason, error)
	Events(ctx context.Context, p automation.Principal, id automation.RunID, after service.Cursor, yield func(service.Event) error) error
}

// Workflows is the use cases of stored workflows.
type Workflows interface {
	StoreWorkflow(ctx context.Context, p automation.Principal, definition []byte, key string) (automation.Workflow, bool, error)
	RetireWorkflow(ctx context.Context, p automation.Principal, ref string) (automation.Workflow, error)
	Workflow(ctx context.Context, p automation.Principal, ref string) (automation.Workflow, error)
	Workflows(ctx context.Context, p automation.Principal, name string, page automation.Page) ([]automation.Workflow, error)
}

// Plugins is the use cases of plugins.
type Plugins interface {
	UploadPlugin(ctx context.Context, p automation.Principal, wasm []byte, key string) (automation.Plugin, bool, error)
	Plugins(ctx context.Context, p automation.Principal) ([]automation.Plugin, error)
	Plugin(ctx context.Context, p automation.Principal, ref string) (automation.Plugin, error)
	ActivatePlugin(ctx context.Context, p automation.Principal, digest automation.Digest, grants []automation.Grant, version int64) (automation.Plugin, error)
	ActivateChangedPlugin(ctx context.Context, p automation.Principal, digest automation.Digest, grants []automation.Grant, version int64) (automation.Plugin, error)
	ReviewPlugin(ctx context.Context, p automation.Principal, ref string) (automation.PluginReview, error)
	DisablePlugin(ctx context.Context, p automation.Principal, digest automation.Digest, version int64) (automation.Plugin, error)
}

// Assets is the use cases of the inventory.
type Assets interface {
	CreateAsset(ctx context.Context, p automation.Principal, r service.AssetRequest, key string) (automation.Asset, bool, error)
	UpdateAsset(ctx context.Context, p automation.Principal, ref string, r service.AssetRequest, version int64) (automation.Asset, error)
	DeleteAsset(ctx context.Context, p automation.Principal, ref string, version int64) error
	Asset(ctx context.Context, p automation.Principal, ref string) (automation.Asset, error)
	Assets(ctx context.Context, p automation.Principal, page automation.Page) ([]automation.Asset, error)
}

// Credentials is the use cases of credentials.
type Credentials interface {
	CreateCredential(ctx context.Context, p automation.Principal, r service.CredentialRequest, key string) (automation.Credential, bool, error)
	UpdateCredential(ctx context.Context, p automation.Principal, ref string, r service.CredentialRequest, version int64) (automation.Credential, error)
	DeleteCredential(ctx context.Context, p automation.Principal, ref string, version int64) error
	Credential(ctx context.Context, p automation.Principal, ref string) (automation.Credential, error)
	Credentials(ctx context.Context, p automation.Principal, page automation.Page) ([]automation.Credential, error)
}

// Schedules is the use cases of schedules.
type Schedules interface {
	CreateSchedule(ctx context.Context, p automation.Principal, r service.ScheduleRequest, key string) (automation.Schedule, bool, error)
	UpdateSchedule(ctx context.Context, p automation.Principal, ref string, r service.ScheduleRequest, version int64) (automation.Schedule, error)
	DeleteSchedule(ctx context.Context, p automation.Principal, ref string, version int64) error
	PauseSchedule(ctx context.Context, p automation.Principal, ref string, version int64) (automation.Schedule, error)
	ResumeSchedule(ctx context.Context, p automation.Principal, ref string, version int64) (automation.Schedule, error)
	Schedule(ctx context.Context, p automation.Principal, ref string) (automation.Schedule, error)
	Schedules(ctx context.Context, p automation.Principal, page automation.Page) ([]automation.Schedule, error)
	NextTimes(ctx context.Context, p automation.Principal, ref string, count int) ([]time.Time, error)
}

// Backfills is the use case of times that are over.
type Backfills interface {
	Backfill(ctx context.Context, p automation.Principal, ref string, r service.BackfillRequest) ([]service.BackfillTime, error)
}

// Limits is the use cases of limits.
type Limits interface {
	CreateLimit(ctx context.Context, p automation.Principal, r service.LimitRequest, key string) (automation.Limit, bool, error)
	UpdateLimit(ctx context.Context, p automation.Principal, id string, r service.LimitRequest, version int64) (automation.Limit, error)
	DeleteLimit(ctx context.Context, p automation.Principal, id string, version int64) error
	Limit(ctx context.Context, p automation.Principal, id string) (automation.Limit, error)
	Limits(ctx context.Context, p automation.Principal, page automation.Page) ([]automation.Limit, error)
	LimitFor(ctx context.Context, p automation.Principal, kind automation.LimitKind, match string) (automation.Limit, error)
}

// Windows is the use cases of maintenance windows.
type Windows interface {
	CreateWindow(ctx context.Context, p automation.Principal, r service.WindowRequest, key string) (automation.Window, bool, error)
	UpdateWindow(ctx context.Context, p automation.Principal, ref string, r service.WindowRequest, version int64) (automation.Window, error)
	DeleteWindow(ctx context.Context, p automation.Principal, ref string, version int64) error
	Window(ctx context.Context, p automation.Principal, ref string) (automation.Window, error)
	Windows(ctx context.Context, p automation.Principal, page automation.Page) ([]automation.Window, error)
}

// Triggers is the use cases of triggers.
type Triggers interface {
	CreateTrigger(ctx context.Context, p automation.Principal, r service.TriggerRequest) (automation.Trigger, automation.Secret, error)
	UpdateTrigger(ctx context.Context, p automation.Principal, ref string, r service.TriggerRequest, version int64) (automation.Trigger, error)
	DeleteTrigger(ctx context.Context, p automation.Principal, ref string, version int64) error
	RotateTrigger(ctx context.Context, p automation.Principal, ref string, r service.RotateRequest, version int64) (automation.Trigger, automation.Secret, error)
	EnableTrigger(ctx context.Context, p automation.Principal, ref string, version int64) (automation.Trigger, error)
	DisableTrigger(ctx context.Context, p automation.Principal, ref string, version int64) (automation.Trigger, error)
	Trigger(ctx context.Context, p automation.Principal, ref string) (automation.Trigger, error)
	Triggers(ctx context.Context, p automation.Principal, page automation.Page) ([]automation.Trigger, error)
}

// Hooks is what webhooks reach, without a principal.
type Hooks interface {
	Hook(ctx context.Context, r service.HookRequest) (service.HookResult, error)
}

// Tokens is the use cases of tokens and the audit log.
type Tokens interface {
	Authenticate(ctx context.Context, secret string) (automation.Principal, error)
	CreateToken(ctx context.Context, p automation.Principal, r service.TokenRequest) (automation.Token, automation.Secret, error)
	RevokeToken(ctx context.Context, p automation.Principal, id automation.TokenID) error
	Tokens(ctx context.Context, p automation.Principal, page automation.Page) ([]automation.Token, error)
	Audit(ctx context.Context, p automation.Principal, after int64, limit int) ([]automation.AuditEntry, error)
	VerifyAudit(ctx context.Context, p automation.Principal) (service.AuditVerdict, error)
}
