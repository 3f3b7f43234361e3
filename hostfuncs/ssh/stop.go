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
	leader              // the process is gone; it was not in the group that was to be ended, so its children may not be
	unborn              // the command had not begun, and now cannot
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
	err.Stopped = f == dead || f == unborn
	err.Message += ". " + map[fate]string{
		dead:    "The remote process was killed, with its process group; it is confirmed dead",
		leader:  "The remote process is confirmed dead; the server gave it no process group of its own, so children of it may go on",
		alive:   "The remote process could not be killed: it is still there",
		unborn:  "The command had not begun, and cannot any more: its text was not sent",
		unknown: "Whether the remote process still runs is not known: the server did not say",
	}[f]
	return err
}

// kill stops the command's process group by a second session.
func (s *session) kill(ctx context.Context) fate {
	if s.last || s.cmd.follows {
		return unknown
	}
	if s.opening != nil && s.opening.abandon() {
		return unborn
	}
	patience := time.NewTimer(s.pool.opt.KillGrace)
	defer patience.Stop()
	select {
	case <-s.announce:
	case <-s.drained: // all that came has been read
	case <-patience.C: // it has not even started the wrapper
	case <-ctx.Done():
	}
	select {
	case <-s.announce:
	default:
		return s.signal(ctx)
	}
	grace := int(s.pool.opt.KillGrace / (50 * time.Millisecond))
	nonce := newNonce()
	said, ok := s.pool.ask(ctx, s, killArgv(nonce, s.proc, grace))
	if !ok {
		return unknown
	}
	switch _, word, _ := strings.Cut(said, nonce+" "); strings.TrimSpace(word) {
	case "dead":
		if !s.proc.within && !s.proc.leader() {
			return leader
		}
		return dead
	case "leader":
		return leader
	case "alive":
		return alive
	}
	return unknown
}

// ask runs a command on the session's server and returns its standard output. It
// goes over the session's own connection, beyond the usual number of sessions on
// it, and over another one when the server does not take it there. What became
// another user is asked about as that user.
func (p *Pool) ask(ctx context.Context, s *session, argv []string) (string, bool) {
	c, ch, ok := p.beside(ctx, s)
	if !ok {
		return "", false
	}
	if s.cmd.Become != nil {
		k := newSession(p, s.group, c, ch, s.endpoint, Command{Argv: argv, Become: s.cmd.Become, MaxOutput: 64 << 10})
		k.last = true
		defer k.close()
		res, err := k.run(ctx)
		return string(res.Stdout.Bytes), err == nil
	}
	return p.answer(ctx, c, ch, "exec "+Join(argv))
}

// beside opens one more channel for what concerns a session.
func (p *Pool) beside(ctx context.Context, s *session) (*conn, channel, bool) {
	if ch, ok := p.beyond(ctx, s.conn); ok {
		return s.conn, ch, true
	}
	c, ch, err := p.channel(ctx, s.group, s.endpoint)
	return c, ch, err == nil
}

// beyond opens a channel beyond the usual number of sessions on a connection that
// stands. One that gives no answer until ctx is done is cut.
func (p *Pool) beyond(ctx context.Context, c *conn) (channel, bool) {
	p.mu.Lock()
	standing := !c.gone
	if standing {
		c.inFlight++
	}
	p.mu.Unlock()
	if !standing {
		return channel{}, false
	}
	ch, err := c.openChannel(ctx)
	if err != nil && ctx.Err() != nil {
		c.abort()
	}
	return ch, err == nil
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
