package api

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"
	"github.com/go-chi/chi/v5"
)

// Config is what an API is built from. Service is required; every other field has
// a default.
type Config struct {
	Service Service
	// Ready reports why the host can't work now (database, leadership); nil: always ready.
	Ready func(ctx context.Context) error
	// Metrics serves /metrics; nil: there is none. It is behind a token (of any
	// role) unless PublicMetrics is set.
	Metrics       http.Handler
	PublicMetrics bool
	// Observer counts requests; nil: nobody.
	Observer Observer
	// Log takes the access log and internal errors; nil: nothing is logged.
	Log *slog.Logger
	// Version of the host, in the OpenAPI document and at /v1/version.
	Version string

	// MaxBodyBytes bounds a request's body: 0 is 2 MiB.
	MaxBodyBytes int64
	// MaxPluginBytes bounds an uploaded plugin: 0 is 24 MiB.
	MaxPluginBytes int64
	// BodyTimeout bounds how long a body may take to come: 0 is 1 minute.
	BodyTimeout time.Duration
	// MaxInFlight bounds the requests under way of one token, event streams
	// included: 0 is 256.
	MaxInFlight int
	// Heartbeat is the time between comments on a quiet event stream: 0 is 15 s.
	Heartbeat time.Duration
	// WriteTimeout bounds each write to an event stream: 0 is 10 s.
	WriteTimeout time.Duration
}

// Observer counts requests. It is called once a request, concurrently. route is
// the route's pattern, never the path; "none" for what no route has.
type Observer interface {
	Request(method, route string, status int, took time.Duration)
}

type nobody struct{}

func (nobody) Request(string, string, int, time.Duration) {}

func (c Config) withDefaults() Config {
	if c.Ready == nil {
		c.Ready = func(context.Context) error { return nil }
	}
	if c.Observer == nil {
		c.Observer = nobody{}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	c.MaxBodyBytes = or(c.MaxBodyBytes, 2<<20)
	c.MaxPluginBytes = or(c.MaxPluginBytes, 24<<20)
	c.BodyTimeout = or(c.BodyTimeout, time.Minute)
	c.MaxInFlight = or(c.MaxInFlight, 256)
	c.Heartbeat = or(c.Heartbeat, 15*time.Second)
	c.WriteTimeout = or(c.WriteTimeout, 10*time.Second)
	return c
}

func or[T int | int64 | time.Duration](v, otherwise T) T {
	if v <= 0 {
		return otherwise
	}
	return v
}

// API is the handler of the REST API. Make one with New; it is safe for
// concurrent use.
type API struct {
	config   Config
	router   *chi.Mux
	huma     huma.API
	underWay *inFlight
}

// New builds the API. It panics when an operation is put together wrongly, which
// the first test that builds one shows.
func New(c Config) *API {
	a := &API{config: c.withDefaults(), router: chi.NewMux()}
	a.underWay = &inFlight{byKey: map[string]int{}}
	a.router.NotFound(notFound)
	a.router.MethodNotAllowed(notAllowed)
	a.router.Use(withRequestID, a.withBodyDeadline, a.withAccessLog, a.withRecovery, withHeaders, withSameOrigin)
	a.huma = humachi.New(a.router, a.humaConfig())
	for _, add := range []func(*API){
		addPlans, addWorkflows, addRuns, addReruns, addTelling, addWhy, addResults, addEvents, addLines, addPlugins, addAssets, addCredentials,
		addSchedules, addWindows, addLimits, addTokens, addAudit, addHosts, addSystem,
	} {
		add(a)
	}
	finish(a.huma.OpenAPI())
	return a
}

// ServeHTTP answers a request.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.router.ServeHTTP(w, r) }

// OpenAPI returns the OpenAPI 3.1 document as YAML.
func (a *API) OpenAPI() ([]byte, error) {
	return a.huma.OpenAPI().YAML() //nolint:wrapcheck // there is nothing to add
}

// Undescribed lists the properties of the document's schemas that have no
// description, as Schema.property; a test wants none.
func (a *API) Undescribed() []string {
	var out []string
	for name, s := range a.schemas().Map() {
		for field, property := range s.Properties {
			if property.Description == "" {
				out = append(out, name+"."+field)
			}
		}
	}
	slices.Sort(out)
	return out
}

// Route is a route of the API: its method, its pattern, and who may use it
// ("public", "token" or "admin").
type Route struct{ Method, Path, Access string }

// Routes lists every route that the router serves, also one that was added past
// the operations: its Access is "", and a test refuses it.
func (a *API) Routes() ([]Route, error) {
	var out []Route
	err := chi.Walk(a.router, func(method, path string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		r := Route{Method: method, Path: path}
		if item := a.huma.OpenAPI().Paths[path]; item != nil {
			if op := operationOf(item, method); op != nil {
				r.Access, _ = op.Extensions["x-access"].(string)
			}
		}
		out = append(out, r)
		return nil
	})
	return out, err //nolint:wrapcheck // the callback has no error
}

func (a *API) humaConfig() huma.Config {
	return huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{
				Title: "OpsConductor", Version: apiVersion, Description: about,
				License: &huma.License{Name: "Apache-2.0", Identifier: "Apache-2.0"},
			},
			Components: &huma.Components{
				Schemas: huma.NewMapRegistry("#/components/schemas/", schemaName),
				SecuritySchemes: map[string]*huma.SecurityScheme{
					"bearer": {Type: "http", Scheme: "bearer", Description: "An API token."},
				},
			},
		},
		Formats:       map[string]huma.Format{mediaJSON: huma.DefaultJSONFormat, "json": huma.DefaultJSONFormat},
		DefaultFormat: mediaJSON,
		Transformers:  []huma.Transformer{a.transform},
	}
}

// transform turns the errors that huma makes by itself into problems.
func (a *API) transform(hc huma.Context, _ string, v any) (any, error) {
	if m, ok := v.(*huma.ErrorModel); ok {
		return fromHuma(hc.Context(), a.config.Log, m), nil
	}
	return v, nil
}
