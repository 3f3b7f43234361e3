package ssh

import (
	"context"
	"io"
	"strings"
	"time"

	xssh "golang.org/x/crypto/ssh"

	"opsconductor.dev/hostfuncs"
)

// fate is what is known of a process that was to be killed.
type fate int

const (
	unknown fate = iota // nobody could look
	alive               // it is still there
	dead                // it is gone, and all of its process group
	leader              // the process is gone; it had no group of its own, so its children may not be
)

// killSlack is how long, beyond the grace between TERM and KILL, stopping a
// command may take: reaching the server and looking whether it is gone.
const killSlack = 5 * time.Second

// stop kills the remote command and returns the error of the call: err, or that
// of ctx when err is nil, with what became of the command.
func (s *session) stop(ctx context.Context, err *hostfuncs.Error) error {
	detached, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), s.pool.opt.KillGrace+killSlack, context.DeadlineExceeded)
	defer cancel()
	f := s.kill(detached)
	s.close()
	if err == nil {
		err = hostfuncs.Ended(ctx, hostfuncs.After, "run on %s, %s after the command was sent", s.endpoint.place(), seconds(time.Since(s.started)))
	}
	err.Stopped = f == dead
	err.Message += ". " + map[fate]string{
		dead:    "The remote process was killed, with its process group; it is confirmed dead",
		leader:  "The remote process is confirmed dead; the server gave it no process group of its own, so children of it may go on",
		alive:   "The remote process could not be killed: it is still there",
		unknown: "Whether the remote process still runs is not known: the server did not say",
	}[f]
	return err
}

// kill stops the command's process group by a second session.
func (s *session) kill(ctx context.Context) fate {
	select {
	case <-s.announce:
	case <-s.drained: // all that came has been read
	case <-ctx.Done():
		s.conn.abort() // it has not even started the wrapper
		return unknown
	}
	select {
	case <-s.announce:
	default:
		return unknown
	}
	grace := int(s.pool.opt.KillGrace / (50 * time.Millisecond))
	nonce := newNonce()
	said, ok := s.pool.ask(ctx, s, killCommand(nonce, s.proc, grace))
	if !ok {
		return unknown
	}
	switch _, word, _ := strings.Cut(said, nonce+" "); strings.TrimSpace(word) {
	case "dead":
		if !s.proc.leader() {
			return leader
		}
		return dead
	case "alive":
		return alive
	}
	return unknown
}

// ask runs a small text on the session's server and returns its standard output.
// It goes over the session's own connection, beyond the usual number of sessions
// on it, and over another one when the server does not take it there.
func (p *Pool) ask(ctx context.Context, s *session, text string) (string, bool) {
	p.mu.Lock()
	standing := !s.conn.gone
	if standing {
		s.conn.inFlight++
	}
	p.mu.Unlock()
	if standing {
		ch, err := s.conn.openChannel(ctx)
		if err == nil {
			return p.answer(ctx, s.conn, ch, text)
		}
		if ctx.Err() != nil {
			s.conn.abort() // it does not answer
			return "", false
		}
	}
	c, ch, err := p.channel(ctx, s.group, s.endpoint)
	if err != nil {
		return "", false
	}
	return p.answer(ctx, c, ch, text)
}

// answer runs a text on an open channel and returns up to 64 KiB of its output.
func (p *Pool) answer(ctx context.Context, c *conn, ch channel, text string) (string, bool) {
	ended := make(chan struct{})
	p.wg.Go(func() { xssh.DiscardRequests(ch.requests); close(ended) })
	defer p.hangUp(c, ch, ended)
	said := make(chan string, 1)
	p.wg.Go(func() {
		late := time.AfterFunc(p.opt.StartTimeout, c.abort)
		ok, err := ch.SendRequest("exec", true, xssh.Marshal(struct{ Command string }{text}))
		late.Stop()
		if err != nil || !ok {
			said <- ""
			return
		}
		_ = ch.CloseWrite()
		b, _ := io.ReadAll(io.LimitReader(ch, 64<<10))
		said <- string(b)
	})
	select {
	case out := <-said:
		return out, true
	case <-ctx.Done():
		return "", false
	}
}
