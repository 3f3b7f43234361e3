package api

import (
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"

	"opsconductor.dev/host/automation"
)

const maxRequestID = 128

type requestIDKey struct{}

// requestID returns the identifier of the request that ctx belongs to.
func requestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}

// withRequestID takes the caller's X-Request-ID when it is harmless, else makes
// one, and answers with it.
func withRequestID(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := r.Header.Get("X-Request-ID")
		if !sane(id) {
			id = automation.NewID[string]()
		}
		w.Header().Set("X-Request-ID", id)
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), requestIDKey{}, id)))
	})
}

// sane reports whether a caller's identifier may stand in logs and headers.
func sane(id string) bool {
	if id == "" || len(id) > maxRequestID {
		return false
	}
	for i := range len(id) {
		switch c := id[i]; {
		case c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '.', c == '_', c == '-':
		default:
			return false
		}
	}
	return true
}

// withHeaders sets the headers that every answer has: nothing of the API is
// cached, sniffed, framed or run.
func withHeaders(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-store")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		h.Set("Referrer-Policy", "no-referrer")
		next.ServeHTTP(w, r)
	})
}

// withAccessLog logs and counts each request by its route's pattern: paths and
// queries hold what the caller wrote, and stay out.
func (a *API) withAccessLog(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		rec := &recorder{ResponseWriter: w}
		seen := &caller{}
		r = r.WithContext(context.WithValue(r.Context(), callerKey{}, seen))
		defer func() {
			took, route := time.Since(began), chi.RouteContext(r.Context()).RoutePattern()
			if route == "" {
				route = "none"
			}
			a.config.Observer.Request(r.Method, route, rec.code(), took)
			a.config.Log.InfoContext(r.Context(), "request",
				slog.String("request_id", requestID(r.Context())), slog.String("method", r.Method), slog.String("route", route),
				slog.Int("status", rec.code()), slog.Int64("bytes", rec.bytes), slog.Duration("took", took),
				slog.String("principal", seen.principal.Name), slog.String("tenant", string(seen.principal.Tenant)))
		}()
		next.ServeHTTP(rec, r)
	})
}

// withRecovery turns a panic of a handler into an internal problem. When the
// answer has begun it breaks the connection, so that nobody takes half an answer
// for a whole one.
func (a *API) withRecovery(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			cause := recover()
			if cause == nil {
				return
			}
			a.config.Log.ErrorContext(r.Context(), "a handler panicked", slog.String("request_id", requestID(r.Context())),
				slog.Any("cause", cause), slog.String("stack", stack()))
			if rec, ok := w.(*recorder); ok && rec.status != 0 {
				panic(http.ErrAbortHandler)
			}
			writeProblem(w, refuse(http.StatusInternalServerError, hidden()).in(r.Context()))
		}()
		next.ServeHTTP(w, r)
	})
}

// withSameOrigin refuses requests that change something and come from another
// site's page. The API takes no cookies, so this is a second fence.
func withSameOrigin(next http.Handler) http.Handler {
	guard := http.NewCrossOriginProtection()
	guard.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		writeProblem(w, refuse(http.StatusForbidden, &automation.Error{
			Code: automation.CodeForbidden, Message: "a page of another site may not send this request",
		}).in(r.Context()))
	}))
	return guard.Handler(next)
}

// notFound and notAllowed answer for what no route has.
func notFound(w http.ResponseWriter, r *http.Request) {
	writeProblem(w, refuse(http.StatusNotFound, &automation.Error{
		Code: automation.CodeNotFound, Message: "no such path", Suggestion: "GET /openapi.json lists the operations",
	}).in(r.Context()))
}

func notAllowed(w http.ResponseWriter, r *http.Request) {
	writeProblem(w, refuse(http.StatusMethodNotAllowed, &automation.Error{
		Code: automation.CodeBadRequest, Message: "the path has no such method", Suggestion: "GET /openapi.json lists the operations",
	}).in(r.Context()))
}

// writeProblem writes a problem where huma does not: outside an operation.
func writeProblem(w http.ResponseWriter, p *Problem) {
	body, err := json.Marshal(p)
	if err != nil {
		body = nil // strings, numbers and booleans always marshal
	}
	maps.Copy(w.Header(), p.header)
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	_, _ = w.Write(append(body, '\n'))
}

// recorder remembers what was answered.
type recorder struct {
	http.ResponseWriter
	status int
	bytes  int64
}

// Unwrap lets http.ResponseController reach the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// WriteHeader remembers the first status.
func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

// Write counts bytes.
func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	n, err := r.ResponseWriter.Write(b)
	r.bytes += int64(n)
	return n, err //nolint:wrapcheck // a ResponseWriter hands its error through
}

func (r *recorder) code() int {
	if r.status == 0 {
		return http.StatusOK
	}
	return r.status
}
