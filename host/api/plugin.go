package api

import (
	"context"
	"net/http"

	"opsconductor.dev/host/automation"
)

// Activation is the body of a plugin's activation.
type Activation struct {
	Grants         []automation.Grant `json:"grants" maxItems:"200" nullable:"false" doc:"All of the plugin's grants: those it had and that are not here are withdrawn."`
	ApproveChanges bool               `json:"approve_changes,omitempty" doc:"Approve that the version asks for more than the one that was active last was granted (see the version's review)."`
}

// DigestRef names a plugin version in a path.
type DigestRef struct {
	Digest string `path:"plugin" maxLength:"64" doc:"The plugin version's SHA-256."`
}

type pluginOut struct {
	Status   int    `json:"-"`
	ETag     string `header:"ETag" doc:"The version of the record, for If-Match."`
	Location string `header:"Location" doc:"Where the plugin version is."`
	Body     automation.Plugin
}

func answerPlugin(p automation.Plugin, status int) *pluginOut {
	return &pluginOut{Status: status, ETag: etag(p.RowNumber), Location: "/v1/plugins/" + string(p.Digest), Body: p}
}

func addPlugins(a *API) {
	const tag, all, one = "plugins", "/v1/plugins", "/v1/plugins/{plugin}"
	register(a, operation{
		id: "list-plugins", method: http.MethodGet, path: all, tag: tag, access: anyToken, summary: "List plugin versions by name: the catalog",
		about: "All of them at once: there are few.",
	}, a.listPlugins)
	register(a, operation{
		id: "upload-plugin", method: http.MethodPost, path: all, tag: tag, access: adminToken, status: http.StatusCreated,
		body: &bodySpec{media: []string{mediaWasm}}, summary: "Check a plugin and store it",
		about: "The body is the .wasm file. Nothing can use it before it is activated. 200 with the stored plugin when the same artifact is uploaded again.", replays: true,
	}, a.uploadPlugin)
	register(a, operation{
		id: "get-plugin", method: http.MethodGet, path: one, tag: tag, access: anyToken, summary: "Read a plugin version",
	}, a.getPlugin)
	register(a, operation{
		id: "review-plugin", method: http.MethodGet, path: one + "/review", tag: tag, access: anyToken,
		summary: "What a plugin version is, and how it differs from the active one",
	}, a.reviewPlugin)
	register(a, operation{
		id: "activate-plugin", method: http.MethodPost, path: one + "/activate", tag: tag, access: adminToken, body: jsonBody[Activation](),
		summary: "Let plans use a plugin version, with exactly these grants",
		about:   "409 with what is new when it asks for more than the version of the same plugin that was active last was granted, or an action has another effect, and approve_changes is not true.",
	}, a.activatePlugin)
	register(a, operation{
		id: "disable-plugin", method: http.MethodPost, path: one + "/disable", tag: tag, access: adminToken,
		summary: "Take a plugin version out of use", about: "No new plan pins it and no new attempt starts it. The request has no body.",
	}, a.disablePlugin)
}

func (a *API) listPlugins(ctx context.Context, _ *struct{}) (*listOut[automation.Plugin], error) {
	plugins, err := a.config.Service.Plugins(ctx, Principal(ctx))
	return listed("plugins", 0, plugins, nil), err
}

func (a *API) uploadPlugin(ctx context.Context, in *Idempotency) (*pluginOut, error) {
	p, created, err := a.config.Service.UploadPlugin(ctx, Principal(ctx), payloadOf(ctx).raw, in.Key)
	if err != nil {
		return nil, err //nolint:wrapcheck // problemOf reads the service's error
	}
	return answerPlugin(p, createdStatus(created, http.StatusCreated)), nil
}

func (a *API) getPlugin(ctx context.Context, in *struct {
	Plugin string `path:"plugin" maxLength:"256" doc:"The plugin version's digest, or NAME@VERSION, or NAME alone where it can mean one version only."`
},
) (*pluginOut, error) {
	p, err := a.config.Service.Plugin(ctx, Principal(ctx), in.Plugin)
	return answerPlugin(p, http.StatusOK), err //nolint:wrapcheck // problemOf reads the service's error
}

type reviewOut struct{ Body automation.PluginReview }

func (a *API) reviewPlugin(ctx context.Context, in *struct {
	Plugin string `path:"plugin" maxLength:"256" doc:"The plugin version's digest, or NAME@VERSION, or NAME alone where it can mean one version only."`
},
) (*reviewOut, error) {
	r, err := a.config.Service.ReviewPlugin(ctx, Principal(ctx), in.Plugin)
	return &reviewOut{Body: r}, err //nolint:wrapcheck // problemOf reads the service's error
}

func (a *API) activatePlugin(ctx context.Context, in *struct {
	DigestRef
	OptionalPrecondition
},
) (*pluginOut, error) {
	version, err := in.version()
	if err != nil {
		return nil, err
	}
	r, err := decode[Activation](ctx, a)
	if err != nil {
		return nil, err
	}
	activate := a.config.Service.ActivatePlugin
	if r.ApproveChanges {
		activate = a.config.Service.ActivateChangedPlugin
	}
	p, err := activate(ctx, Principal(ctx), automation.Digest(in.Digest), r.Grants, version)
	return answerPlugin(p, http.StatusOK), changed(err, version, a.pluginVersion(ctx, in.Digest))
}

func (a *API) disablePlugin(ctx context.Context, in *struct {
	DigestRef
	OptionalPrecondition
},
) (*pluginOut, error) {
	version, err := in.version()
	if err != nil {
		return nil, err
	}
	p, err := a.config.Service.DisablePlugin(ctx, Principal(ctx), automation.Digest(in.Digest), version)
	return answerPlugin(p, http.StatusOK), changed(err, version, a.pluginVersion(ctx, in.Digest))
}

func (a *API) pluginVersion(ctx context.Context, digest string) func() (int64, error) {
	return func() (int64, error) {
		p, err := a.config.Service.Plugin(ctx, Principal(ctx), digest)
		return p.RowNumber, err //nolint:wrapcheck // problemOf reads the service's error
	}
}
