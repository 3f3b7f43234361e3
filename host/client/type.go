package client

import (
	"encoding/json"
	"iter"
	"time"

	"opsconductor.dev/host/automation"
)

// The nouns that callers need, by the names that automation gives them.
type (
	// Error is the one error type of the host.
	Error = automation.Error
	// Errors is several errors about one input.
	Errors = automation.Errors
	// Code says what kind of error an Error is.
	Code = automation.Code
	// Secret is bytes that must not be printed.
	Secret = automation.Secret
	// Run is one execution of a plan.
	Run = automation.Run
	// RunID names a run.
	RunID = automation.RunID
	// RunState is the state of a run.
	RunState = automation.RunState
	// ItemState is the state of an item, and of a step as a whole.
	ItemState = automation.ItemState
	// Digest names a plugin artifact or a plan.
	Digest = automation.Digest
	// Asset is a machine or device of the inventory.
	Asset = automation.Asset
	// AssetID identifies an asset.
	AssetID = automation.AssetID
	// AssetSSH says how an asset is reached over SSH.
	AssetSSH = automation.AssetSSH
	// Credential is a sealed secret, without the secret.
	Credential = automation.Credential
	// CredentialScope says where a credential may be used.
	CredentialScope = automation.CredentialScope
	// Plugin is one version of a plugin.
	Plugin = automation.Plugin
	// PluginReview is what a plugin version is, and how it differs from the active one.
	PluginReview = automation.PluginReview
	// Grant is an operator's leave for a plugin to call a host function.
	Grant = automation.Grant
	// Token is an API token, without its secret.
	Token = automation.Token
	// TokenID names an API token.
	TokenID = automation.TokenID
	// AuditEntry is an act in the audit log.
	AuditEntry = automation.AuditEntry
	// Wait is what an item waits for that somebody has to give.
	Wait = automation.Wait
	// Answer is who told an item what.
	Answer = automation.Answer
	// Approval is a decision that a run asks for.
	Approval = automation.Approval
	// ApprovalState is the state of an approval.
	ApprovalState = automation.ApprovalState
	// Decision is what was decided about an approval.
	Decision = automation.Decision
	// Resolution says what became of an unknown item.
	Resolution = automation.Resolution
	// LogLine is a line that an action logged.
	LogLine = automation.LogLine
	// Protocol is how an asset is reached.
	Protocol = automation.Protocol
	// CredentialKind says what a credential holds.
	CredentialKind = automation.CredentialKind
	// PromptAnswer is what a credential answers to a prompt of a server.
	PromptAnswer = automation.PromptAnswer
	// Role says what a token may do.
	Role = automation.Role
)

// The codes that a program tells apart at its exit.
const (
	CodeUnauthenticated = automation.CodeUnauthenticated
	CodeForbidden       = automation.CodeForbidden
	CodePolicy          = automation.CodePolicy
	CodeDenied          = automation.CodeDenied
	CodeTimeout         = automation.CodeTimeout
	CodeCancelled       = automation.CodeCancelled
	CodeUnavailable     = automation.CodeUnavailable
	CodeNotFound        = automation.CodeNotFound
	CodeConflict        = automation.CodeConflict
	CodeInvalid         = automation.CodeInvalid
	CodeInternal        = automation.CodeInternal
)

// The states of a run.
const (
	RunAwaitingApproval = automation.RunAwaitingApproval
	RunQueued           = automation.RunQueued
	RunRunning          = automation.RunRunning
	RunPaused           = automation.RunPaused
	RunSucceeded        = automation.RunSucceeded
	RunFailed           = automation.RunFailed
	RunCancelled        = automation.RunCancelled
	RunRejected         = automation.RunRejected
)

// What can be said about an approval, and about an unknown item.
const (
	DecisionApprove     = automation.DecisionApprove
	DecisionReject      = automation.DecisionReject
	ResolutionRan       = automation.ResolutionRan
	ResolutionDidNotRun = automation.ResolutionDidNotRun
	ResolutionAbandon   = automation.ResolutionAbandon
	WaitForApproval     = automation.WaitForApproval
	WaitForEvent        = automation.WaitForEvent
	ItemUnknown         = automation.ItemUnknown
	ItemSucceeded       = automation.ItemSucceeded
	ItemFailed          = automation.ItemFailed
)

// NewSecret returns a Secret that owns b.
func NewSecret(b []byte) Secret { return automation.NewSecret(b) }

// Page asks for a part of a list: Cursor is NextCursor of the page before, Limit 1
// to 1000, 0 for the server's default of 100.
type Page struct {
	Cursor string
	Limit  int
}

// List is a page of a list; NextCursor is "" on the last one.
type List[T any] struct {
	Items      []T    `json:"items"`
	NextCursor string `json:"next_cursor"`
}

// All walks a list page by page; fetch gets each page. It ends after the first error.
func All[T any](fetch func(Page) (List[T], error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		page := Page{Limit: 1000}
		for {
			list, err := fetch(page)
			if err != nil {
				var none T
				yield(none, err)
				return
			}
			for _, item := range list.Items {
				if !yield(item, nil) {
					return
				}
			}
			if list.NextCursor == "" {
				return
			}
			page.Cursor = list.NextCursor
		}
	}
}

// PlanResult is a plan that the server has stored under its hash.
type PlanResult struct {
	PlanHash Digest          `json:"plan_hash"`
	Plan     json.RawMessage `json:"plan"`
	// Templates are the plans of the sub-workflows, by their hash.
	Templates map[Digest]json.RawMessage `json:"templates,omitempty"`
}

// Step is a step of a run, as a whole.
type Step struct {
	ID     string            `json:"id"`
	Uses   string            `json:"uses"`
	State  ItemState         `json:"state"`
	FanOut bool              `json:"fan_out"` // it has for_each; without it has one item
	Items  int               `json:"items"`   // 0 before the fan-out is known
	Counts map[ItemState]int `json:"counts"`
	Needs  []string          `json:"needs"`
}

// Steps is a run's steps, and the sequence number that they reflect.
type Steps struct {
	Items []Step `json:"items"`
	Seq   int64  `json:"seq"`
}

// Item is one element of a step's fan-out.
type Item struct {
	Step       string          `json:"step"`
	Index      int             `json:"index"`
	Target     string          `json:"target,omitempty"`
	Value      json.RawMessage `json:"value,omitempty"`
	State      ItemState       `json:"state"`
	Attempt    int             `json:"attempt"`
	Kept       bool            `json:"kept,omitempty"` // the outcome is the run's that this one runs again
	Host       string          `json:"host,omitempty"`
	Granted    time.Time       `json:"granted_at,omitzero"`
	Started    time.Time       `json:"started_at,omitzero"`
	Ended      time.Time       `json:"ended_at,omitzero"`
	DurationMS float64         `json:"duration_ms"`
	Output     json.RawMessage `json:"output,omitempty"`
	Child      RunID           `json:"child_run_id,omitempty"`
	Due        time.Time       `json:"due_at,omitzero"`
	Error      *Error          `json:"error,omitempty"`
	Reason     string          `json:"reason,omitempty"`
	WaitsFor   *Wait           `json:"waits_for,omitempty"`
	Answer     *Answer         `json:"answer,omitempty"`
}

// Items is a page of items, and the sequence number that it reflects.
type Items struct {
	List[Item]
	Seq int64 `json:"seq"`
}

// AttemptLog is what one attempt logged.
type AttemptLog struct {
	Step    string    `json:"step"`
	Item    int       `json:"item"`
	Attempt int       `json:"attempt"`
	Lines   []LogLine `json:"lines"`
	// Partial: the attempt is at work, or was lost with its host.
	Partial bool `json:"partial,omitempty"`
}

// Line is one line that an attempt logged. N is its number in the attempt, from 1.
type Line struct {
	Step    string `json:"step"`
	Item    int    `json:"item"`
	Target  string `json:"target,omitempty"`
	Attempt int    `json:"attempt"`
	N       int    `json:"n"`
	LogLine
}

// Event is a change of a run's or an item's state. ID is its place, for Events.
type Event struct {
	ID       string    `json:"-"`
	Seq      int64     `json:"seq"`
	Index    int       `json:"index"`
	At       time.Time `json:"at"`
	Kind     string    `json:"kind"` // run or item
	RunState RunState  `json:"run_state,omitempty"`
	Step     string    `json:"step,omitempty"`
	Item     int       `json:"item"`
	Target   string    `json:"target,omitempty"`
	State    ItemState `json:"state,omitempty"`
	Attempt  int       `json:"attempt,omitempty"`
	WaitsFor *Wait     `json:"waits_for,omitempty"`
	Error    *Error    `json:"error,omitempty"`
}

// End is how a run ended, the last of its events.
type End struct {
	Run   RunID    `json:"run"`
	State RunState `json:"state"`
	Seq   int64    `json:"seq"`
}
