package api

import (
	"context"
	"net/http"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/service"
)

// AssetRequest is the body of an asset's creation and update. An update says all
// of it: what is left out is removed.
type AssetRequest struct {
	Name       string         `json:"name" doc:"Unique in the tenant."`
	Address    string         `json:"address" doc:"Host name or IP address."`
	Port       int            `json:"port,omitempty" minimum:"0" maximum:"65535" doc:"0 or left out: the protocol's own."`
	Protocol   string         `json:"protocol" enum:"ssh,winrm,none" doc:"How the asset is reached; none: only by probes."`
	OS         string         `json:"os,omitempty" doc:"linux, windows, unix, macos, network (a switch, a router, a firewall) or other."`
	Tags       []string       `json:"tags,omitempty" maxItems:"1000" nullable:"false" doc:"Words that selectors, grants and scopes use."`
	Vars       map[string]any `json:"vars,omitempty" doc:"Free-form values that expressions read as asset.vars."`
	HostKeys   []string       `json:"host_keys,omitempty" maxItems:"100" nullable:"false" doc:"Pinned SSH host keys: type and base64, as in authorized_keys."`
	Credential string         `json:"credential,omitempty" doc:"Identifier or name of the credential that sessions log in with."`
	SSH        SSHSettings    `json:"ssh,omitempty" doc:"How it is reached over SSH, beyond address, host keys and credential."`
	KnownHosts string         `json:"known_hosts,omitempty" maxLength:"1048576" doc:"Lines of a known_hosts file (hashed names, @cert-authority and @revoked too): what they say of the address and port is added to host_keys, ssh.authorities and ssh.revoked."`
	Queue      string         `json:"queue,omitempty" maxLength:"1000" doc:"Task queue of attempts on the asset: only hosts that serve it run them. Up to 63 lower-case letters, digits, - and _, a letter first; left out: default."`
}

// SSHSettings say how an asset is reached over SSH.
type SSHSettings struct {
	Profile     string   `json:"profile,omitempty" maxLength:"100" doc:"Which algorithms may be used: modern, compatible (the default) or legacy (SHA-1 and CBC, for devices that have nothing else)."`
	Authorities []string `json:"authorities,omitempty" maxItems:"100" nullable:"false" doc:"Public keys of authorities whose host certificates are taken: type and base64."`
	Revoked     []string `json:"revoked,omitempty" maxItems:"1000" nullable:"false" doc:"What is never taken: public keys, fingerprints (SHA256:…) and serial numbers of certificates (serial:7)."`
	KRL         []byte   `json:"krl,omitempty" maxLength:"65536" doc:"Key revocation list of OpenSSH, as ssh-keygen -k writes it (up to 32 KiB, in base64): keys and certificates of hosts, users and authorities that are never taken or offered."`
	FirstUse    *bool    `json:"first_use,omitempty" doc:"Take and pin the key that the asset shows first, while it has no pinned key and no authority. Left out: as the deployment has it (--ssh-first-use)."`
	Rotate      bool     `json:"rotate,omitempty" doc:"Pin keys too that the asset proves to have over a connection on which it showed a pinned one."`
	Jump        string   `json:"jump,omitempty" maxLength:"256" doc:"Identifier or name of the asset that it is reached through; that one may have a jump too, up to 5 in all."`
}

func (r SSHSettings) toAutomation() automation.AssetSSH {
	return automation.AssetSSH{
		Profile: r.Profile, Authorities: r.Authorities, Revoked: r.Revoked, KRL: r.KRL, FirstUse: r.FirstUse, Rotate: r.Rotate, Jump: automation.AssetID(r.Jump),
	}
}

func (r AssetRequest) toService() service.AssetRequest {
	return service.AssetRequest{
		Name: r.Name, Address: r.Address, Port: r.Port, Protocol: automation.Protocol(r.Protocol), OS: r.OS,
		Tags: r.Tags, Vars: r.Vars, HostKeys: r.HostKeys, Credential: r.Credential, Queue: r.Queue,
		SSH: r.SSH.toAutomation(), KnownHosts: r.KnownHosts,
	}
}

// AssetRef names an asset in a path.
type AssetRef struct {
	Asset string `path:"asset" maxLength:"256" doc:"Identifier or name of the asset."`
}

type assetOut struct {
	Status   int    `json:"-"`
	ETag     string `header:"ETag" doc:"The version, for If-Match."`
	Location string `header:"Location" doc:"Where the asset is."`
	Body     automation.Asset
}

func answerAsset(a automation.Asset, status int) *assetOut {
	return &assetOut{Status: status, ETag: etag(a.Version), Location: "/v1/assets/" + string(a.ID), Body: a}
}

func addAssets(a *API) {
	const tag, one = "assets", "/v1/assets/{asset}"
	register(a, operation{
		id: "list-assets", method: http.MethodGet, path: "/v1/assets", tag: tag, access: anyToken, summary: "List assets by name",
	}, a.listAssets)
	register(a, operation{
		id: "create-asset", method: http.MethodPost, path: "/v1/assets", tag: tag, access: adminToken, status: http.StatusCreated,
		body: jsonBody[AssetRequest](), summary: "Create an asset", about: "200 with the asset of the first time when the Idempotency-Key repeats.", replays: true,
	}, a.createAsset)
	register(a, operation{id: "get-asset", method: http.MethodGet, path: one, tag: tag, access: anyToken, summary: "Read an asset"}, a.getAsset)
	register(a, operation{
		id: "update-asset", method: http.MethodPut, path: one, tag: tag, access: adminToken, body: jsonBody[AssetRequest](),
		summary: "Replace what is known of an asset",
	}, a.updateAsset)
	register(a, operation{
		id: "delete-asset", method: http.MethodDelete, path: one, tag: tag, access: adminToken, status: http.StatusNoContent,
		summary: "Delete an asset",
	}, a.deleteAsset)
}

func (a *API) listAssets(ctx context.Context, in *Paging) (*listOut[automation.Asset], error) {
	page, err := in.page("assets")
	if err != nil {
		return nil, err
	}
	assets, err := a.config.Service.Assets(ctx, Principal(ctx), page)
	return listed("assets", in.Limit, assets, func(a automation.Asset) string { return a.Name }), err
}

func (a *API) createAsset(ctx context.Context, in *Idempotency) (*assetOut, error) {
	r, err := decode[AssetRequest](ctx, a)
	if err != nil {
		return nil, err
	}
	asset, created, err := a.config.Service.CreateAsset(ctx, Principal(ctx), r.toService(), in.Key)
	if err != nil {
		return nil, err //nolint:wrapcheck // problemOf reads the service's error
	}
	return answerAsset(asset, createdStatus(created, http.StatusCreated)), nil
}

func (a *API) getAsset(ctx context.Context, in *AssetRef) (*assetOut, error) {
	asset, err := a.config.Service.Asset(ctx, Principal(ctx), in.Asset)
	return answerAsset(asset, http.StatusOK), err //nolint:wrapcheck // problemOf reads the service's error
}

func (a *API) updateAsset(ctx context.Context, in *struct {
	AssetRef
	Precondition
},
) (*assetOut, error) {
	version, err := in.version()
	if err != nil {
		return nil, err
	}
	r, err := decode[AssetRequest](ctx, a)
	if err != nil {
		return nil, err
	}
	asset, err := a.config.Service.UpdateAsset(ctx, Principal(ctx), in.Asset, r.toService(), version)
	return answerAsset(asset, http.StatusOK), changed(err, version, a.assetVersion(ctx, in.Asset))
}

func (a *API) deleteAsset(ctx context.Context, in *struct {
	AssetRef
	Precondition
},
) (*struct{}, error) {
	version, err := in.version()
	if err != nil {
		return nil, err
	}
	err = a.config.Service.DeleteAsset(ctx, Principal(ctx), in.Asset, version)
	return nil, changed(err, version, a.assetVersion(ctx, in.Asset))
}

func (a *API) assetVersion(ctx context.Context, ref string) func() (int64, error) {
	return func() (int64, error) {
		asset, err := a.config.Service.Asset(ctx, Principal(ctx), ref)
		return asset.Version, err //nolint:wrapcheck // problemOf reads the service's error
	}
}
