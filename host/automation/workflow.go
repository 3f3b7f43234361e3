package automation

import (
	"strconv"
	"time"
)

// WorkflowID names one stored version of a workflow.
type WorkflowID string

// WorkflowState is the state of a stored version of a workflow.
type WorkflowState string

// The states of a stored version.
const (
	WorkflowActive  WorkflowState = "active"  // plans may be made of it, and other workflows may include it
	WorkflowRetired WorkflowState = "retired" // no new plan is made of it; plans that pin it go on
)

// WorkflowPlugin is the word before the dot in a step's `uses` that names a stored
// workflow instead of a plugin's action.
const WorkflowPlugin = "workflow"

// Workflow is a definition that is stored under its name and a version, which the
// host counts from 1. What is stored is never changed.
type Workflow struct {
	ID          WorkflowID `json:"id"`
	Tenant      TenantID   `json:"tenant"`
	Name        string     `json:"name"` // the definition's own
	Version     int        `json:"version"`
	Digest      Digest     `json:"digest"` // of the definition's bytes
	Description string     `json:"description,omitempty"`
	// Definition is YAML or JSON, as it was given; "" in lists.
	Definition string `json:"definition,omitempty"`
	// Includes are the stored workflows that its steps use, NAME@VERSION, each once.
	Includes []string      `json:"includes,omitempty"`
	State    WorkflowState `json:"state"`
	By       string        `json:"by"` // who stored it
	Created  time.Time     `json:"created_at"`
	Retired  time.Time     `json:"retired_at,omitzero"`
}

// Ref returns NAME@VERSION.
func (w Workflow) Ref() string { return w.Name + "@" + strconv.Itoa(w.Version) }
