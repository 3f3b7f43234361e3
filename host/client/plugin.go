package client

import (
	"context"
	"net/http"
)

// Plugins returns every plugin version: the catalog.
func (c *Client) Plugins(ctx context.Context) ([]Plugin, error) {
	var out List[Plugin]
	err := c.send(ctx, get("v1", "plugins"), &out)
	return out.Items, err
}

// Plugin returns the plugin version that ref names: a digest, NAME@VERSION,
// or NAME alone where it can mean one version only.
func (c *Client) Plugin(ctx context.Context, ref string) (Plugin, error) {
	var out Plugin
	err := c.send(ctx, get("v1", "plugins", segment(ref)), &out)
	return out, err
}

// UploadPlugin uploads a .wasm file. The server checks and stores it; nothing can
// use it before it is activated. The same file again gives the stored plugin.
func (c *Client) UploadPlugin(ctx context.Context, wasm []byte) (Plugin, error) {
	r := post("", "v1", "plugins")
	r.body, r.media = wasm, "application/wasm"
	var out Plugin
	err := c.send(ctx, r, &out)
	return out, err
}

// ReviewPlugin returns what the version that ref names is, and how it differs from
// the version of the same plugin that was active last.
func (c *Client) ReviewPlugin(ctx context.Context, ref string) (PluginReview, error) {
	var out PluginReview
	err := c.send(ctx, get("v1", "plugins", segment(ref), "review"), &out)
	return out, err
}

// ActivatePlugin lets plans use a plugin version, with exactly these grants.
// version is the record's that the change is made from; 0: whatever it is now.
func (c *Client) ActivatePlugin(ctx context.Context, digest Digest, grants []Grant, version int64) (Plugin, error) {
	return c.activate(ctx, digest, grants, version, false)
}

// ActivateChangedPlugin is ActivatePlugin by somebody who has seen what the version
// asks for on top of the active one's, and approves it.
func (c *Client) ActivateChangedPlugin(ctx context.Context, digest Digest, grants []Grant, version int64) (Plugin, error) {
	return c.activate(ctx, digest, grants, version, true)
}

func (c *Client) activate(ctx context.Context, digest Digest, grants []Grant, version int64, approve bool) (Plugin, error) {
	if grants == nil {
		grants = []Grant{}
	}
	body := struct {
		Grants         []Grant `json:"grants"`
		ApproveChanges bool    `json:"approve_changes,omitempty"`
	}{grants, approve}
	var out Plugin
	err := c.send(ctx, match(http.MethodPost, version, "v1", "plugins", segment(string(digest)), "activate").json(body), &out)
	return out, err
}

// DisablePlugin takes a plugin version out of use; version is as for ActivatePlugin.
func (c *Client) DisablePlugin(ctx context.Context, digest Digest, version int64) (Plugin, error) {
	var out Plugin
	err := c.send(ctx, match(http.MethodPost, version, "v1", "plugins", segment(string(digest)), "disable"), &out)
	return out, err
}
