package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"opsconductor.dev/host/automation"
)

const (
	mediaJSON = "application/json"
	mediaYAML = "application/yaml"
	mediaWasm = "application/wasm"
)

// payload is a request's body, read whole.
type payload struct {
	media string
	raw   []byte
}

type payloadKey struct{}

// payloadOf returns the body of the request that ctx belongs to.
func payloadOf(ctx context.Context) payload {
	p, _ := ctx.Value(payloadKey{}).(payload)
	return p
}

// readBody reads the body that an operation takes, under its bound and a
// deadline. An operation that takes none refuses one: nothing that was sent is
// ignored.
func (a *API) readBody(op *operation, w http.ResponseWriter, r *http.Request) (payload, error) {
	if op.body == nil {
		if r.ContentLength != 0 {
			return payload{}, refuse(http.StatusBadRequest, &automation.Error{
				Code: automation.CodeBadRequest, Message: "the operation takes no body", Suggestion: "send the request without one",
			})
		}
		return payload{}, nil
	}
	media, err := mediaOf(r, op.body.media)
	if err != nil {
		return payload{}, err
	}
	limit := a.config.MaxBodyBytes
	if media == mediaWasm {
		limit = a.config.MaxPluginBytes
	}
	if op.body.limit > 0 {
		limit = min(limit, op.body.limit)
	}
	if r.ContentLength > limit {
		return payload{}, tooLarge(limit)
	}
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	if err != nil {
		return payload{}, bodyError(err, limit) // the deadline stays: net/http reads on
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{}) // the handler takes the time that it needs
	return payload{media: media, raw: raw}, nil
}

// withBodyDeadline bounds how long a request's body may take, also where nobody
// reads it: net/http reads what is left of a body before it answers, and would
// wait for it without end. A request without a body gets no deadline, so that
// streams and waits go on.
func (a *API) withBodyDeadline(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength != 0 {
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(a.config.BodyTimeout)) // a test's recorder has no connection
		}
		next.ServeHTTP(w, r)
	})
}

func bodyError(err error, limit int64) error {
	var over *http.MaxBytesError
	switch {
	case errors.As(err, &over):
		return tooLarge(limit)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return refuse(http.StatusRequestTimeout, &automation.Error{
			Code: automation.CodeTimeout, Message: "the body did not come in time", CanRetry: true,
		})
	}
	return refuse(http.StatusBadRequest, &automation.Error{Code: automation.CodeBadRequest, Message: "the body broke off", CanRetry: true})
}

func tooLarge(limit int64) error {
	return refuse(http.StatusRequestEntityTooLarge, &automation.Error{
		Code: automation.CodeLimit, Message: fmt.Sprintf("the body is larger than %d bytes", limit),
		Allowed: fmt.Sprintf("up to %d bytes (%g MiB)", limit, float64(limit)/(1<<20)),
	})
}

// mediaOf returns the request's media type if it is one of those allowed. UTF-8 is
// the only charset, and a body that is compressed or otherwise encoded is refused:
// there is one way to read a body.
func mediaOf(r *http.Request, allowed []string) (string, error) {
	media, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	charset := params["charset"]
	delete(params, "charset")
	switch {
	case err != nil, !slices.Contains(allowed, media), len(r.Header.Values("Content-Type")) != 1:
	case len(params) != 0, charset != "" && !strings.EqualFold(charset, "utf-8"):
	case r.Header.Get("Content-Encoding") != "":
	default:
		return media, nil
	}
	e := automation.Errorf(automation.CodeBadRequest, "the body's media type is not one that the operation takes")
	e.Allowed = "Content-Type: " + strings.Join(allowed, " or ") + ", without Content-Encoding"
	return "", refuse(http.StatusUnsupportedMediaType, e)
}

// checkQuery refuses a query that can be read in two ways: one that is not well
// formed, or that gives a parameter twice.
func checkQuery(r *http.Request) error {
	e := &automation.Error{Code: automation.CodeBadRequest, Message: "the query is not well formed"}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return refuse(http.StatusBadRequest, e)
	}
	for _, values := range query {
		if len(values) > 1 {
			e.Message = "a query parameter stands there twice"
			return refuse(http.StatusBadRequest, e)
		}
	}
	return nil
}
