package client

import (
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"opsconductor.dev/host/automation"
)

// Config says which server to talk to, and as whom.
type Config struct {
	// URL of the server, like http://127.0.0.1:8080; a path in it is kept as a prefix.
	URL string
	// Token is the API token's secret; empty: none is sent.
	Token automation.Secret
	// HTTP sends the requests; nil: a client with bounds on connecting and on the
	// time to an answer. Redirects are never followed: a token goes to one place.
	HTTP *http.Client
	// Retries is how often a request that may be sent again is; 0 is 6, below 0 none.
	Retries int
	// Backoff is the first pause before a retry, doubled each time; 0 is 100 ms.
	Backoff time.Duration
	// Quiet is how long an event stream may be silent before it is taken for dead
	// and opened again; 0 is 45 s, three of the server's heartbeats.
	Quiet time.Duration
	// UserAgent is sent with every request; "": "opsconductor-client".
	UserAgent string
}

// Client talks to one server. Make one with New; it is safe for concurrent use.
type Client struct {
	base      *url.URL
	token     automation.Secret
	http      *http.Client
	retries   int
	backoff   time.Duration
	quiet     time.Duration
	userAgent string
}

// New checks c and returns a client. Nothing is sent yet.
func New(c Config) (*Client, error) {
	base, err := url.Parse(strings.TrimRight(c.URL, "/"))
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return nil, &automation.Error{
			Code: automation.CodeInvalid, Message: "that is not the URL of a server", Allowed: "http://HOST:PORT or https://HOST",
		}
	}
	if base.User != nil || base.RawQuery != "" || base.Fragment != "" {
		return nil, &automation.Error{
			Code: automation.CodeInvalid, Message: "the server's URL has a user, a query or a fragment", Suggestion: "leave it out; the token goes apart",
		}
	}
	out := &Client{
		base: base, token: c.Token, http: sender(c.HTTP), retries: c.Retries, backoff: c.Backoff, quiet: c.Quiet, userAgent: c.UserAgent,
	}
	out.defaults()
	return out, nil
}

func (c *Client) defaults() {
	if c.retries == 0 {
		c.retries = 6
	}
	if c.backoff <= 0 {
		c.backoff = 100 * time.Millisecond
	}
	if c.quiet <= 0 {
		c.quiet = 45 * time.Second
	}
	if c.userAgent == "" {
		c.userAgent = "opsconductor-client"
	}
}

// sender returns the HTTP client to use: the given one or a bounded one, and in
// either case one that follows no redirects.
func sender(given *http.Client) *http.Client {
	out := http.Client{Transport: &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: 2 * time.Minute, // a wait takes up to one
		MaxIdleConnsPerHost:   16,
		IdleConnTimeout:       90 * time.Second,
		ForceAttemptHTTP2:     true,
	}}
	if given != nil {
		out = *given
	}
	out.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &out
}
