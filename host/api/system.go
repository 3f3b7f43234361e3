package api

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"

	"opsconductor.dev/host/automation"
)

// Health is the answer of the health checks.
type Health struct {
	Status string `json:"status" enum:"ok" doc:"ok; anything else is a problem with a status of 503."`
}

// Version says what answers.
type Version struct {
	Version string `json:"version" doc:"Of the host."`
	API     string `json:"api" doc:"Of this API."`
}

type healthOut struct{ Body Health }

type versionOut struct{ Body Version }

// rawOut is an answer that the handler writes itself.
type rawOut struct{ Body func(huma.Context) }

func addSystem(a *API) {
	const tag = "system"
	get := func(id, path, summary string) operation {
		return operation{id: id, method: http.MethodGet, path: path, tag: tag, access: public, summary: summary}
	}
	register(a, get("healthz", "/healthz", "Whether the process answers"), func(context.Context, *struct{}) (*healthOut, error) {
		return &healthOut{Body: Health{Status: "ok"}}, nil
	})
	register(a, get("readyz", "/readyz", "Whether the host can work: its database answers and its scheduler runs"), a.ready)
	version := get("version", "/v1/version", "What answers")
	version.access = anyToken
	register(a, version, func(context.Context, *struct{}) (*versionOut, error) {
		return &versionOut{Body: Version{Version: a.config.Version, API: apiVersion}}, nil
	})
	a.addDocument(get("openapi-json", "/openapi.json", "This document as JSON"), func() ([]byte, error) { return a.huma.OpenAPI().MarshalJSON() })
	a.addDocument(get("openapi-yaml", "/openapi.yaml", "This document as YAML"), a.OpenAPI)
	a.addMetrics(get("metrics", "/metrics", "Metrics in the Prometheus text format"))
}

func (a *API) ready(ctx context.Context, _ *struct{}) (*healthOut, error) {
	if err := a.config.Ready(ctx); err != nil {
		a.config.Log.WarnContext(ctx, "not ready", slog.Any("cause", err))
		return nil, &automation.Error{Code: automation.CodeUnavailable, Message: "the host can't work now; its log has the cause", CanRetry: true}
	}
	return &healthOut{Body: Health{Status: "ok"}}, nil
}

func (a *API) addDocument(op operation, document func() ([]byte, error)) {
	op.media = map[string]string{"openapi-json": "application/openapi+json", "openapi-yaml": "application/openapi+yaml"}[op.id]
	register(a, op, func(context.Context, *struct{}) (*rawOut, error) {
		body, err := document()
		return &rawOut{Body: func(hc huma.Context) {
			hc.SetHeader("Content-Type", op.media)
			hc.SetStatus(http.StatusOK)
			_, _ = hc.BodyWriter().Write(body)
		}}, err
	})
}

func (a *API) addMetrics(op operation) {
	if a.config.Metrics == nil {
		return
	}
	op.media = "text/plain"
	if !a.config.PublicMetrics {
		op.access = anyToken
	}
	register(a, op, func(context.Context, *struct{}) (*rawOut, error) {
		return &rawOut{Body: func(hc huma.Context) {
			r, w := humachi.Unwrap(hc)
			a.config.Metrics.ServeHTTP(w, r)
		}}, nil
	})
}
