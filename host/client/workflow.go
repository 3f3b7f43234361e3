package client

import (
	"context"

	"opsconductor.dev/host/automation"
)

// Workflow is a stored version of a workflow.
type Workflow = automation.Workflow

// StoreWorkflow stores a definition as the next version of its name. The same
// bytes again give the version that has them.
func (c *Client) StoreWorkflow(ctx context.Context, definition []byte) (Workflow, error) {
	if err := check(definition, nil); err != nil {
		return Workflow{}, err
	}
	var out Workflow
	err := c.send(ctx, post("", "v1", "workflows").json(submission{Definition: string(definition)}), &out)
	return out, err
}

// Workflow returns the stored version that ref names, NAME@VERSION, or the newest
// active one of a NAME, with its definition.
func (c *Client) Workflow(ctx context.Context, ref string) (Workflow, error) {
	var out Workflow
	err := c.send(ctx, get("v1", "workflows", segment(ref)), &out)
	return out, err
}

// Workflows lists stored versions without their definitions, of one name or ("")
// of all: by name, the newest first.
func (c *Client) Workflows(ctx context.Context, name string, page Page) (List[Workflow], error) {
	var out List[Workflow]
	err := c.send(ctx, get("v1", "workflows").page(page).with("name", name), &out)
	return out, err
}

// RetireWorkflow lets no new plan be made of a stored version, NAME@VERSION.
func (c *Client) RetireWorkflow(ctx context.Context, ref string) (Workflow, error) {
	var out Workflow
	err := c.send(ctx, post("", "v1", "workflows", segment(ref), "retire"), &out)
	return out, err
}
