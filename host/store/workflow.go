package store

import (
	"context"
	"math"
	"strconv"
	"strings"

	"opsconductor.dev/host/automation"
)

// Workflows is the stored workflows.
type Workflows interface {
	// CreateWorkflow stores a definition under its name and w.Version, which must be
	// one more than the name's last (1 for the first); conflict when it is not, or
	// when the name has the same digest already. For a repeated act.Key it returns
	// the version of that time and false.
	CreateWorkflow(ctx context.Context, w automation.Workflow, act automation.Act) (automation.Workflow, bool, error)
	// RetireWorkflow makes a version retired at act.At; conflict when it is retired,
	// or while an active version of another name includes it.
	RetireWorkflow(ctx context.Context, tenant automation.TenantID, id automation.WorkflowID, act automation.Act) (automation.Workflow, error)
	// Workflow returns a version of a name, with its definition; version 0 is the
	// newest that is active.
	Workflow(ctx context.Context, tenant automation.TenantID, name string, version int) (automation.Workflow, error)
	// ListWorkflows returns the versions of all names (name ""), or of one, without
	// their definitions: by name, the newest version first (Page.After is NAME@VERSION).
	ListWorkflows(ctx context.Context, tenant automation.TenantID, name string, page automation.Page) ([]automation.Workflow, error)
}

// AfterWorkflow takes Page.After of a list of workflows apart: what follows has a
// later name, or the same and a lower version.
func AfterWorkflow(page automation.Page) (name string, version int) {
	name, text, _ := strings.Cut(page.After, "@")
	version, err := strconv.Atoi(text)
	if err != nil || version > math.MaxInt32 {
		version = math.MaxInt32
	}
	return name, version
}
