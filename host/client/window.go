package client

import (
	"context"
	"net/http"

	"opsconductor.dev/host/automation"
)

// Window says when attempts on some assets may start.
type Window = automation.Window

// WindowRequest is what is said of a maintenance window; an update says all of it.
type WindowRequest struct {
	Name string `json:"name"`
	automation.WindowSpec
}

// Windows lists windows by name.
func (c *Client) Windows(ctx context.Context, page Page) (List[Window], error) {
	var out List[Window]
	err := c.send(ctx, get("v1", "windows").page(page), &out)
	return out, err
}

// Window returns the window that ref names: an identifier or a name.
func (c *Client) Window(ctx context.Context, ref string) (Window, error) {
	var out Window
	err := c.send(ctx, get("v1", "windows", segment(ref)), &out)
	return out, err
}

// CreateWindow creates a window. key is the Idempotency-Key; "": one is made.
func (c *Client) CreateWindow(ctx context.Context, r WindowRequest, key string) (Window, error) {
	var out Window
	err := c.send(ctx, post(key, "v1", "windows").json(r), &out)
	return out, err
}

// UpdateWindow replaces what is known of a window; version is as for UpdateAsset.
func (c *Client) UpdateWindow(ctx context.Context, ref string, r WindowRequest, version int64) (Window, error) {
	var out Window
	err := c.send(ctx, match(http.MethodPut, version, "v1", "windows", segment(ref)).json(r), &out)
	return out, err
}

// DeleteWindow deletes a window; version is as for UpdateAsset.
func (c *Client) DeleteWindow(ctx context.Context, ref string, version int64) error {
	return c.send(ctx, match(http.MethodDelete, version, "v1", "windows", segment(ref)), nil)
}
