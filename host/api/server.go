package api

import (
	"net/http"
	"runtime/debug"
	"time"
)

// The bounds of a connection. Bodies have a deadline of their own (BodyTimeout),
// and so has each write of an event stream.
const (
	headerTimeout  = 10 * time.Second
	answerTimeout  = 90 * time.Second // a wait takes up to a minute
	idleTimeout    = 2 * time.Minute
	maxHeaderBytes = 32 << 10
)

// Server returns an http.Server for a handler with the timeouts and bounds that a
// server open to a network needs. The caller listens, serves and shuts it down.
// No ReadTimeout is set: it would end event streams; bodies are bounded one by one.
func Server(addr string, handler http.Handler) *http.Server {
	return &http.Server{
		Addr: addr, Handler: handler,
		ReadHeaderTimeout: headerTimeout,
		WriteTimeout:      answerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
	}
}

func stack() string { return string(debug.Stack()) }
