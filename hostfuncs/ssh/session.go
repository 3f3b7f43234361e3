package ssh

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	xssh "golang.org/x/crypto/ssh"

	"opsconductor.dev/hostfuncs"
)

// session is one command on one channel.
type session struct {
	pool     *Pool
	group    *group
	conn     *conn
	ch       channel
	endpoint Endpoint
	cmd      Command
	nonce    string
	started  time.Time

	out, err *capture
	came     atomic.Int64  // bytes of both streams
	pumps    atomic.Int32  // that have not ended
	drained  chan struct{} // closed when both pumps have ended
	exited   chan struct{} // closed when exit is set
	gone     chan struct{} // closed when the server has closed the channel
	announce chan struct{} // closed when proc is set
	flooded  chan struct{} // closed when a stream is past what is discarded
	reply    chan error    // of the exec request

	exit exit
	proc process

	opening *opening      // nil: the shell is not waited for
	refused chan error    // at most one: why the command could not be begun
	silent  chan struct{} // closed when nothing came for Command.IdleTimeout
	lull    *time.Timer   // nil: it may be silent
	last    bool          // it kills another session's command: nobody kills it in turn

	live *live // nil: nobody is told the output as it comes

	whole atomic.Bool // the server has ended the streams, or the channel
	cut   bool        // the rest of the output is not waited for, though there is more, or may be
	rest  func()      // the session's end need not be waited for any more

	closing sync.Once
}

// exit is how the server says that the command ended (RFC 4254 section 6.10).
type exit struct {
	code   int
	signal string
	none   bool // the server did not say
}

// String says it for people.
func (e exit) String() string {
	switch {
	case e.signal != "":
		return "signal " + e.signal
	case e.none:
		return "no exit code"
	}
	return fmt.Sprintf("exit code %d", e.code)
}

func newSession(p *Pool, g *group, c *conn, ch channel, e Endpoint, cmd Command) *session {
	keep := cmd.MaxOutput
	if keep == 0 {
		keep = defaultMaxOutput
	}
	s := &session{
		pool: p, group: g, conn: c, ch: ch, endpoint: e, cmd: cmd, nonce: newNonce(), started: time.Now(),
		drained: make(chan struct{}), exited: make(chan struct{}), gone: make(chan struct{}),
		announce: make(chan struct{}), flooded: make(chan struct{}), reply: make(chan error, 1),
	}
	flood := sync.OnceFunc(func() { close(s.flooded) })
	stream := func() *capture {
		return &capture{keep: keep, slack: cmd.Slack, floodAt: int64(keep) + p.opt.Discard, flood: flood}
	}
	s.out, s.err = stream(), stream()
	if cmd.Live != nil {
		s.live = newLive(*cmd.Live, cmd.Redact)
		s.out.also = func(b []byte) { s.live.write("stdout", b) }
		s.err.also = func(b []byte) { s.live.write("stderr", b) }
	}
	s.refused, s.silent = make(chan error, 1), make(chan struct{})
	if cmd.IdleTimeout > 0 {
		s.lull = time.AfterFunc(cmd.IdleTimeout, sync.OnceFunc(func() { close(s.silent) }))
		s.lull.Stop()
	}
	s.rest = func() {}
	if !cmd.follows {
		s.rest = c.wire.tail.await()
	}
	p.wg.Go(s.listen)
	return s
}

// listen reads the server's requests on the channel until it is closed.
func (s *session) listen() {
	defer close(s.gone)
	var once sync.Once
	end := func(e exit) { once.Do(func() { s.exit = e; close(s.exited) }) }
	for req := range s.ch.requests {
		switch req.Type {
		case "exit-status":
			var m struct{ Status uint32 }
			if xssh.Unmarshal(req.Payload, &m) == nil {
				end(exit{code: int(m.Status)})
			}
		case "exit-signal":
			var m struct {
				Signal     string
				CoreDumped bool
				Message    string
				Language   string
			}
			if xssh.Unmarshal(req.Payload, &m) == nil {
				end(exit{signal: m.Signal})
			}
		}
		if req.WantReply {
			_ = req.Reply(false, nil)
		}
	}
	s.over()
}

// over is called as the channel, or both of its streams, have ended.
func (s *session) over() {
	if s.conn.wire.tail.whole() {
		s.whole.Store(true)
	}
	s.rest()
}

// run sends the command and waits for its end.
func (s *session) run(ctx context.Context) (Result, error) {
	s.send()
	select {
	case err := <-s.reply:
		if err != nil {
			return Result{}, err
		}
	case <-ctx.Done():
		return Result{}, s.stop(ctx, nil)
	}
	s.touch()
	select {
	case <-s.exited:
	case <-s.gone:
		return s.vanished(ctx)
	case err := <-s.refused:
		return Result{}, err
	case <-s.silent:
		return Result{}, s.stop(ctx, s.tooQuiet())
	case <-s.flooded:
		return Result{}, s.stop(ctx, s.tooMuch())
	case <-ctx.Done():
		select {
		case <-s.exited: // it was faster
		default:
			return Result{}, s.stop(ctx, nil)
		}
	}
	s.drain(ctx)
	return s.result()
}

// send starts the pumps and sends the exec request and standard input. Where the
// server does not answer, the connection is cut.
func (s *session) send() {
	w := wrap(s.cmd, s.nonce, s.pool.accounts.hasBash(s.endpoint))
	s.read()
	s.pool.wg.Go(func() {
		if s.cmd.terminal() {
			if err := s.terminal(); err != nil {
				s.reply <- err
				return
			}
		}
		ok, err := s.conn.request(s.ch, "exec", xssh.Marshal(struct{ Command string }{w.exec}))
		if err != nil || !ok {
			s.reply <- s.notStarted(err)
			return
		}
		s.reply <- nil
		s.supply(w.stdin)
	})
}

// read starts the pumps. The wrapper's line comes on standard error, which in a
// terminal is on the other stream.
func (s *session) read() {
	found := func(p process) {
		p.within = s.cmd.terminal() && p.group > 1
		s.proc = p
		s.learnShell(p)
		close(s.announce)
	}
	out, err := s.out.write, s.err.write
	m := &marker{nonce: s.nonce, next: s.err, found: found}
	marked, ended := m.write, m.flush
	if s.cmd.terminal() {
		m.next = s.out
	}
	if s.cmd.telling != nil {
		m.next = &chunks{of: s.cmd.telling, next: m.next}
	}
	if s.cmd.staged() {
		s.opening = newOpening(s.nonce, s.cmd.Become, m.write)
		marked, ended = s.opening.write, func() { s.opening.flush(); m.flush() }
	}
	if s.cmd.terminal() {
		out, marked = marked, err
	}
	s.pumps.Store(2)
	s.pool.wg.Go(func() {
		defer s.pumped()
		pump(s.ch, s.touched(out))
		if s.cmd.terminal() {
			ended()
		}
	})
	s.pool.wg.Go(func() {
		defer s.pumped()
		pump(s.ch.Stderr(), s.touched(marked))
		if !s.cmd.terminal() {
			ended()
		}
	})
}

// pumped is called as a pump ends.
func (s *session) pumped() {
	if s.pumps.Add(-1) == 0 {
		s.over()
		close(s.drained)
	}
}

// feed writes standard input. An error means that the command does not read it
// or is gone, which its exit says better.
func (s *session) feed(b []byte) {
	if len(b) > 0 {
		_, _ = s.ch.Write(b)
	}
}

// notStarted is the error of an exec request without a good answer.
func (s *session) notStarted(err error) error {
	if err == nil {
		return hostfuncs.Errorf(hostfuncs.Protocol, hostfuncs.Before, "%s refuses to run commands for user %s; check what the account and the SSH server allow", s.endpoint.place(), s.endpoint.Credential.Username)
	}
	return s.conn.unanswered(s.endpoint, hostfuncs.After, "to run the command", ": whether the command ran is not known", err)
}

// result reads what has been gathered.
func (s *session) result() (Result, error) {
	select {
	case <-s.announce:
	default:
		return Result{}, s.notRun()
	}
	r := Result{Duration: time.Since(s.started), Signal: s.exit.signal, Terminal: s.cmd.terminal()}
	if r.Signal == "" && !s.exit.none {
		code := s.exit.code
		r.ExitCode = &code
	}
	r.Stdout, r.Stderr = s.out.output(s.cmd.Redact), s.err.output(s.cmd.Redact)
	if r.Cut = s.isCut(); r.Cut {
		c := s.cmd
		r.Stdout, r.Stderr = r.Stdout.cutOff(c.Slack, c.Unfinished), r.Stderr.cutOff(c.Slack, c.Unfinished)
	}
	return r, nil
}

// notRun is the error of a command that ended without the wrapper's line: it is
// not our command that ran.
func (s *session) notRun() error {
	if s.isCut() {
		return s.unheard()
	}
	if s.cmd.Become != nil {
		if isReady, said := s.opening.state(); !isReady {
			return s.notBecome("", said)
		}
	}
	if bytes.Contains(s.err.output(nil).Bytes, []byte(s.nonce+tooLongMark)) || bytes.Contains(s.out.output(nil).Bytes, []byte(s.nonce+tooLongMark)) {
		return tooLong(s.endpoint.place(), s.cmd)
	}
	s.pool.accounts.learn(s.endpoint, false) // perhaps it has another login shell now, which could not read the request
	said := strings.TrimSpace(string(s.err.output(s.cmd.Redact).Bytes) + " " + string(s.out.output(s.cmd.Redact).Bytes))
	return hostfuncs.Errorf(hostfuncs.Protocol, hostfuncs.After,
		"%s did not run the command but something else (%s, %.200q): the account's login shell, a forced command, or no /bin/sh and dd there; check what the account is allowed to run", s.endpoint.place(), s.exit, said)
}

// tooLong is the error of a command that the target would not start.
func tooLong(place string, c Command) *hostfuncs.Error {
	longest := 0
	for _, a := range c.Argv {
		longest = max(longest, len(a))
	}
	for name, value := range c.Env {
		longest = max(longest, len(name)+1+len(value))
	}
	return hostfuncs.Errorf(hostfuncs.BadRequest, hostfuncs.Before,
		"%s takes no arguments and environment of this length: %d bytes in all, the longest %d (Linux takes less than 131072 in one, and 2 MB in all where nothing else is set); give what is long as standard input or as a file. The command did not run", place, c.size(), longest)
}

// vanished is the end of a session whose channel closed. The exit may have come
// just before that.
func (s *session) vanished(ctx context.Context) (Result, error) {
	select {
	case <-s.exited:
		s.drain(ctx)
		return s.result()
	default:
	}
	if s.conn.answers() {
		s.exit.none = true
		s.drain(ctx)
		return s.result()
	}
	return Result{}, hostfuncs.Errorf(hostfuncs.Lost, hostfuncs.After,
		"%s: the connection was lost %s after the command was sent, before it had ended: whether it goes on there is not known%s", s.endpoint.place(), seconds(time.Since(s.started)), s.conn.because())
}

func (s *session) tooMuch() *hostfuncs.Error {
	return hostfuncs.Errorf(hostfuncs.OutputLimit, hostfuncs.After,
		"%s: the command wrote more than %d bytes to one stream (max_output_bytes and %d more), so it was stopped; let it write less, or to a file", s.endpoint.place(), s.out.floodAt, s.pool.opt.Discard)
}

// close closes the channel and gives the slot back once the server has closed it
// too.
func (s *session) close() {
	s.closing.Do(func() {
		s.rest()
		if s.lull != nil {
			s.lull.Stop()
		}
		s.pool.hangUp(s.conn, s.ch, s.gone)
	})
}

// hangUp closes a channel and gives its slot back once gone is closed. A server
// that does not close it in time gets no further session on this connection.
func (p *Pool) hangUp(c *conn, ch channel, gone <-chan struct{}) {
	select {
	case <-gone:
		p.release(c)
		return
	default:
	}
	giveBack := sync.OnceFunc(func() { p.release(c) })
	p.wg.Go(func() {
		late := time.AfterFunc(p.opt.OpenTimeout, func() { p.retire(c); giveBack() })
		_ = ch.Close()
		<-gone
		late.Stop()
		giveBack()
	})
}
