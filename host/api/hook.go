package api

import (
	"context"
	"net"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/service"
)

const (
	hookPath     = "/hooks"
	maxHookBytes = 256 << 10
	// The bounds of the webhooks under way: of one trigger's address, and from one
	// network address, which may be that of a proxy.
	maxHooksOfTrigger = 32
	maxHooksOfAddress = 64
)

// HookAnswer is what a webhook led to.
type HookAnswer struct {
	Run      *automation.Run `json:"run,omitempty" doc:"The run that it got; absent when it got none."`
	Skipped  bool            `json:"skipped,omitempty" doc:"The trigger's condition is false for it, so it got no run."`
	Repeated bool            `json:"repeated,omitempty" doc:"The delivery was taken before, and this is what it led to then."`
}

type hookOut struct {
	Status int `json:"-"`
	Body   HookAnswer
}

// hookIn is a webhook. The parameters are there for the document; what counts is
// the headers as they came, so that one that stands there twice is seen.
type hookIn struct {
	Trigger   string `path:"trigger" maxLength:"64" doc:"The trigger's identifier."`
	ID        string `header:"webhook-id" doc:"Scheme standard: the delivery's identifier, the same when it is sent again."`
	Timestamp string `header:"webhook-timestamp" doc:"Scheme standard: seconds since 1970, within 5 minutes of the host's clock."`
	Signature string `header:"webhook-signature" doc:"Scheme standard: v1, and the base64 of HMAC-SHA256 over id.timestamp.body; several are separated by blanks, and one that is right is enough."`
	GitHubID  string `header:"X-GitHub-Delivery" doc:"Scheme github: the delivery's identifier."`
	GitHubMAC string `header:"X-Hub-Signature-256" doc:"Scheme github: sha256= and the hexadecimal HMAC-SHA256 over the body."`

	headers map[string][]string
}

// Resolve keeps the request's headers; huma calls it.
func (in *hookIn) Resolve(hc huma.Context) []error {
	r, _ := humachi.Unwrap(hc)
	in.headers = make(map[string][]string, len(r.Header))
	for name, values := range r.Header {
		in.headers[strings.ToLower(name)] = values
	}
	return nil
}

func addHooks(a *API) {
	register(a, operation{
		id: "receive-webhook", method: http.MethodPost, path: hookPath + "/{trigger}", tag: "triggers", access: public, status: http.StatusAccepted,
		body: &bodySpec{media: []string{mediaJSON}, limit: maxHookBytes, free: "The event: a JSON object, up to 256 KiB."}, summary: "Receive a webhook",
		replays: true, bounded: hookBounds,
		about: "The signature is the authentication. A delivery gets one run, however often it is sent: 202 with the run, 200 when it was taken before or the trigger's condition is false (skipped). " +
			"401 for every signature that is not valid, whether there is such a trigger or not; 409 for a delivery's identifier with another body; 422 when the event makes no run.",
	}, a.receiveHook)
}

// hookBounds are the keys under which a webhook counts while it is under way.
func hookBounds(r *http.Request) []bound {
	address, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		address = r.RemoteAddr
	}
	return []bound{{"hook " + r.URL.Path, maxHooksOfTrigger}, {"from " + address, maxHooksOfAddress}}
}

func (a *API) receiveHook(ctx context.Context, in *hookIn) (*hookOut, error) {
	got, err := a.config.Service.Hook(ctx, service.HookRequest{Trigger: in.Trigger, Headers: in.headers, Body: payloadOf(ctx).raw})
	if err != nil {
		return nil, err //nolint:wrapcheck // problemOf reads the service's error
	}
	out := &hookOut{Status: http.StatusAccepted, Body: HookAnswer{Skipped: got.Skipped, Repeated: got.Repeated}}
	if !got.Skipped {
		out.Body.Run = &got.Run
	}
	if got.Skipped || got.Repeated {
		out.Status = http.StatusOK
	}
	return out, nil
}
