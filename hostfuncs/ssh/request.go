package ssh

import (
	"errors"
	"sync/atomic"
	"time"

	xssh "golang.org/x/crypto/ssh"

	"opsconductor.dev/hostfuncs"
)

// errShut: the server closed the channel in place of an answer, and the connection
// stands.
var errShut = errors.New("the server closed the session")

// request asks for something on a channel, and waits for the answer. A server that
// gives none within Options.StartTimeout loses the connection, and the error is
// errSlow; it is errShut where the channel alone was closed.
func (c *conn) request(ch xssh.Channel, kind string, payload []byte) (bool, error) {
	var late atomic.Bool
	limit := time.AfterFunc(c.pool.opt.StartTimeout, func() { late.Store(true); c.abort() })
	ok, err := ch.SendRequest(kind, true, payload)
	limit.Stop()
	switch {
	case err == nil:
		return ok, nil
	case late.Load():
		return false, errSlow
	case c.answers():
		return false, errShut
	}
	return false, err //nolint:wrapcheck // the caller words it
}

// unanswered is the error of a request that got no answer, by why. what names it; then
// is what follows for what was asked for.
func (c *conn) unanswered(e Endpoint, phase hostfuncs.Phase, what, then string, why error) *hostfuncs.Error {
	switch {
	case errors.Is(why, errSlow):
		return hostfuncs.Errorf(hostfuncs.Timeout, phase, "%s: %w to the request %s within %s, and the connection was closed%s", e.place(), why, what, c.pool.opt.StartTimeout, then)
	case errors.Is(why, errShut):
		return hostfuncs.Errorf(hostfuncs.Lost, phase, "%s did not answer the request %s: %w, and the connection stands%s; its log may say why", e.place(), what, why, then)
	}
	return hostfuncs.Errorf(hostfuncs.Lost, phase, "%s did not answer the request %s, and the connection is closed%s%s: %w", e.place(), what, then, c.because(), why)
}
