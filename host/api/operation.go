package api

import (
	"context"
	"net/http"
	"reflect"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"opsconductor.dev/host/automation"
)

// access says who may call an operation. The zero value is nobody: an operation
// that declares none stops the process when it is built.
type access int

const (
	undeclared access = iota
	public            // no token
	anyToken          // any valid token
	adminToken        // a token of the role admin
)

// allows reports whether a role has the access. It knows the roles by name, so
// that a new role has none until it is given one here.
func (a access) allows(role automation.Role) bool {
	switch role {
	case automation.RoleAdmin:
		return a == anyToken || a == adminToken
	case automation.RoleSubmitter:
		return a == anyToken
	}
	return false
}

// operation is one route.
type operation struct {
	id      string // of the OpenAPI operation
	method  string
	path    string
	tag     string
	summary string
	about   string // further description
	access  access
	status  int // of success; 0: 200
	body    *bodySpec
	media   string // of the answer, when it is not JSON
	replays bool   // it answers 200 when an Idempotency-Key repeats
	// bounded says under which keys a request of a public operation counts while it
	// is under way; nil: under none.
	bounded func(*http.Request) []bound
	later   bool // it answers 202 when the scheduler has not come to it yet
}

// bodySpec is the body that an operation takes.
type bodySpec struct {
	media []string
	model reflect.Type // of the JSON body; nil: bytes
	limit int64        // bytes; 0: that of the API
	free  string       // describes a JSON body that has no model
}

// jsonBody is a body that is the JSON of T.
func jsonBody[T any]() *bodySpec {
	return &bodySpec{media: []string{mediaJSON}, model: reflect.TypeFor[T]()}
}

// register adds an operation. fn gets the parameters; it reads the body with decode.
func register[I, O any](a *API, op operation, fn func(context.Context, *I) (*O, error)) {
	if op.access == undeclared {
		panic("operation " + op.id + " declares no access")
	}
	spec := a.describe(&op)
	huma.Register(a.huma, spec, func(ctx context.Context, in *I) (*O, error) {
		out, err := fn(ctx, in)
		if err != nil {
			return nil, problemOf(ctx, a.config.Log, err)
		}
		return out, nil
	})
	a.complete(&op)
}

// describe makes huma's operation, with the guard in front of it.
func (a *API) describe(op *operation) huma.Operation {
	if op.status == 0 {
		op.status = http.StatusOK
	}
	out := huma.Operation{
		OperationID: op.id, Method: op.method, Path: op.path, Summary: op.summary, Description: op.about, Tags: []string{op.tag},
		DefaultStatus:                op.status,
		RejectUnknownQueryParameters: true,
		Middlewares:                  huma.Middlewares{a.guard(op)},
		Security:                     []map[string][]string{},
		Extensions:                   map[string]any{"x-access": op.access.String()},
	}
	if op.access != public {
		out.Security = []map[string][]string{{"bearer": {}}}
	}
	return out
}

// complete adds what huma must not see when it registers: with a body in the
// operation huma would read and check it itself, without places and with values
// in its errors.
func (a *API) complete(op *operation) {
	spec := operationOf(a.huma.OpenAPI().Paths[op.path], op.method)
	if op.body != nil {
		spec.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{}}
		for _, media := range op.body.media {
			spec.RequestBody.Content[media] = &huma.MediaType{Schema: a.bodySchema(op.body, media)}
		}
	}
	if op.media != "" {
		spec.Responses[strconv.Itoa(op.status)].Content = map[string]*huma.MediaType{op.media: {Schema: &huma.Schema{Type: huma.TypeString}}}
	}
	if op.replays {
		again := *spec.Responses[strconv.Itoa(op.status)]
		again.Description = "OK: it had been created before"
		spec.Responses["200"] = &again
	}
	if op.later {
		accepted := *spec.Responses[strconv.Itoa(op.status)]
		accepted.Description = "Accepted: the scheduler has not come to it yet"
		spec.Responses["202"] = &accepted
	}
	problem := a.schemas().Schema(reflect.TypeFor[Problem](), true, "")
	spec.Responses["default"] = &huma.Response{
		Description: "Any error, as a problem (RFC 9457)",
		Content:     map[string]*huma.MediaType{"application/problem+json": {Schema: problem}},
	}
}

func (a *API) bodySchema(b *bodySpec, media string) *huma.Schema {
	switch {
	case media == mediaYAML:
		return &huma.Schema{Type: huma.TypeString, Description: "A workflow definition, without inputs."}
	case b.free != "":
		return &huma.Schema{Type: huma.TypeObject, AdditionalProperties: true, Description: b.free}
	case b.model == nil:
		return &huma.Schema{Type: huma.TypeString, Format: "binary"}
	}
	return a.schemas().Schema(b.model, true, "")
}

func (a *API) schemas() huma.Registry { return a.huma.OpenAPI().Components.Schemas }

// String returns the access as the OpenAPI document has it (x-access).
func (a access) String() string {
	switch a {
	case public:
		return "public"
	case anyToken:
		return "token"
	case adminToken:
		return "admin"
	case undeclared:
	}
	return "nobody"
}
