package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"opsconductor.dev/host/automation"
)

const (
	maxAnswer  = 64 << 20 // bytes of an answer that are read
	maxBackoff = 5 * time.Second
	mediaJSON  = "application/json"
)

// request is one operation's request.
type request struct {
	method string
	path   []string // segments behind /v1, or one absolute path
	query  url.Values
	header http.Header
	body   []byte
	media  string // of the body
	again  bool   // may be sent again
}

// get makes the request of a read.
func get(path ...string) request { return request{method: http.MethodGet, path: path, again: true} }

// post makes the request of a creation: it has a key, so that it may be sent again.
func post(key string, path ...string) request {
	if key == "" {
		key = automation.NewID[string]()
	}
	r := request{method: http.MethodPost, path: path, header: http.Header{}, again: true}
	r.header.Set("Idempotency-Key", key)
	return r
}

// json sets the body.
func (r request) json(v any) request {
	r.body, r.media = encode(v), mediaJSON
	return r
}

func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		return nil // callers pass structs of strings, numbers and checked JSON
	}
	return b
}

// send sends a request and decodes the answer into out (nil: it is dropped).
func (c *Client) send(ctx context.Context, r request, out any) error {
	body, err := c.fetch(ctx, r)
	if err != nil || out == nil {
		return err
	}
	if err := json.Unmarshal(body, out); err != nil {
		return &automation.Error{
			Code: automation.CodeProtocol, Message: "the server's answer is not what the API answers", Err: err,
			Suggestion: "check that the URL is that of an OpsConductor server of this version",
		}
	}
	return nil
}

// fetch sends a request, again where it may, and returns the answer's body.
func (c *Client) fetch(ctx context.Context, r request) ([]byte, error) {
	for attempt := 0; ; attempt++ {
		body, pause, err := c.once(ctx, r)
		if err == nil {
			return body, nil
		}
		if pause < 0 || !r.again || attempt >= c.retries || ctx.Err() != nil {
			return nil, err
		}
		if err := sleep(ctx, max(pause, c.pause(attempt))); err != nil {
			return nil, gone(ctx)
		}
	}
}

// once sends a request one time. pause is negative when sending it again is no
// use, else the least time before that.
func (c *Client) once(ctx context.Context, r request) (body []byte, pause time.Duration, err error) {
	res, err := c.open(ctx, r)
	if err != nil {
		return nil, 0, err
	}
	defer func() { _ = res.Body.Close() }()
	body, err = io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, 0, c.unreachable(ctx, err)
	case len(body) > maxAnswer:
		return nil, -1, automation.Errorf(automation.CodeLimit, "the server's answer is larger than %d bytes", maxAnswer)
	case res.StatusCode >= http.StatusMultipleChoices:
		return nil, again(res), statusError(res, body)
	}
	return body, 0, nil
}

// open sends a request and returns the answer, whose body is open.
func (c *Client) open(ctx context.Context, r request) (*http.Response, error) {
	u := *c.base
	u = *u.JoinPath(r.path...)
	u.RawQuery = r.query.Encode()
	req, err := http.NewRequestWithContext(ctx, r.method, u.String(), bytes.NewReader(r.body))
	if err != nil {
		return nil, &automation.Error{Code: automation.CodeInvalid, Message: "the request can't be made", Err: err}
	}
	maps.Copy(req.Header, r.header)
	req.Header.Set("User-Agent", c.userAgent)
	if r.media != "" {
		req.Header.Set("Content-Type", r.media)
	}
	if !c.token.Empty() {
		req.Header.Set("Authorization", "Bearer "+string(c.token.Reveal()))
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, c.unreachable(ctx, err)
	}
	return res, nil
}

// again returns the least pause before a refused request may be sent again, below
// 0 when it may not.
func again(res *http.Response) time.Duration {
	if res.StatusCode != http.StatusTooManyRequests && res.StatusCode != http.StatusServiceUnavailable {
		return -1
	}
	seconds, err := strconv.Atoi(res.Header.Get("Retry-After"))
	if err != nil || seconds < 0 {
		return 0
	}
	return min(time.Duration(seconds)*time.Second, maxBackoff)
}

// pause is the backoff after an attempt (from 0): between half and all of it, so
// that clients that broke off together don't come back together.
func (c *Client) pause(attempt int) time.Duration {
	full := min(c.backoff<<min(attempt, 10), maxBackoff)
	return full/2 + rand.N(full/2+1) //nolint:gosec // jitter
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// unreachable is the error of a request that got no answer. The error of net/http
// has the URL, which has no secrets: the token is a header.
func (c *Client) unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return gone(ctx)
	}
	return &automation.Error{
		Code: automation.CodeUnavailable, Message: "the server at " + c.base.String() + " does not answer", Err: err, CanRetry: true,
		Suggestion: "check that it runs and that the URL is right: " + cause(err),
	}
}

func cause(err error) string {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err.Error()
	}
	return err.Error()
}

// gone is the error of a call whose context is done.
func gone(ctx context.Context) error {
	e := &automation.Error{Code: automation.CodeCancelled, Message: "the call was given up", Err: context.Cause(ctx)}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		e.Code, e.Message = automation.CodeTimeout, "the time for the call was up"
	}
	return e
}
