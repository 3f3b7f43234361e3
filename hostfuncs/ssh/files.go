package ssh

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pkg/sftp"
	xssh "golang.org/x/crypto/ssh"

	"opsconductor.dev/hostfuncs"
)

// files is one SFTP session (draft-ietf-secsh-filexfer-02) on one channel.
type files struct {
	pool     *Pool
	endpoint Endpoint
	conn     *conn
	ch       channel
	gone     chan struct{} // closed when the server has closed the channel
	client   *sftp.Client  // the worker's own

	pipe  *io.PipeReader // what the server sends, until it is cut off
	feed  *io.PipeWriter
	quiet *time.Timer // cuts when the server has been silent for too long

	opening *opening // nil: nobody becomes another user
	nonce   string
	lead    threshold // in the stream

	words  *capture      // standard error
	hushed chan struct{} // closed at its end

	stage    atomic.Int32 // looking, acting or left
	ended    atomic.Bool  // the server ended the stream
	received atomic.Int64
	budget   atomic.Int64 // of received bytes; beyond it, overflow is called
	overflow atomic.Pointer[func()]

	broken chan struct{} // closed when the stream was cut off, for cause
	once   sync.Once
	cause  error
}

// The stages of a session. From looking it goes on to one of the others, and whoever
// comes first decides: the work that is to change something, or the end of the call.
const (
	looking int32 = iota // nothing that changes the target was asked
	acting
	left // the call has ended before, so nothing may be changed any more
)

// Causes for which a stream is cut off.
var (
	errSilent = errors.New("the server gave no answer")
	errFlood  = errors.New("the server sent far more than was asked for")
)

// chatter is how many bytes a server may send in a session beside contents and
// lists.
const chatter = 1 << 20

// readAhead is how many bytes of the server's are taken from the connection at a time.
const readAhead = 64 << 10

// shutTries is how often a session is begun that the server shuts in place of an answer.
const shutTries = 4

// withFiles opens an SFTP session and lets do work with it. When ctx is done a do
// that has not acted is left behind; one that has is given time to clean up. A
// server that closes the channel in place of an answer, and keeps the connection, is
// asked again: dropbear does so at times, soon after another session's end.
func (p *Pool) withFiles(ctx context.Context, e Endpoint, do func(ctx context.Context, f *files) error) error {
	for try := 1; ; try++ {
		var shut atomic.Bool
		err := p.withStream(ctx, e, func(ctx context.Context, f *files) error {
			if err := f.start(ctx); err != nil {
				shut.Store(errors.Is(err, errShut))
				return err
			}
			return do(ctx, f)
		})
		if !shut.Load() || try == shutTries || !breathe(ctx, time.Duration(try)*200*time.Millisecond) {
			return err
		}
	}
}

// withStream opens a channel on which a server is asked for files.
func (p *Pool) withStream(ctx context.Context, e Endpoint, do func(ctx context.Context, f *files) error) error {
	if err := e.validate(); err != nil {
		return err
	}
	if err := e.badActor(); err != nil {
		return err
	}
	if err := p.begin(); err != nil {
		return err
	}
	defer p.wg.Done()
	g := p.hold(e)
	defer p.drop(g)
	c, ch, err := p.channel(ctx, g, e)
	if err != nil {
		return asError(err)
	}
	f := p.newFiles(e, c, ch)
	defer f.close()
	done := make(chan error, 1)
	p.wg.Go(func() {
		done <- do(ctx, f)
		if f.client != nil {
			_ = f.client.Close()
		}
	})
	return f.wait(ctx, done)
}

func (p *Pool) newFiles(e Endpoint, c *conn, ch channel) *files {
	f := &files{pool: p, endpoint: e, conn: c, ch: ch, gone: make(chan struct{}), broken: make(chan struct{}), hushed: make(chan struct{})}
	f.words = &capture{keep: maxWords, floodAt: math.MaxInt64}
	said := f.words.write
	if e.actor != nil {
		f.nonce = newNonce()
		f.lead.mark, f.opening = f.nonce+readyMark, newOpening(f.nonce, e.actor, said)
		said = f.opening.write
	}
	f.pipe, f.feed = io.Pipe()
	f.lift(0, func() { f.cut(errFlood) })
	f.quiet = time.AfterFunc(p.opt.FileTimeout, func() { f.cut(errSilent) })
	p.wg.Go(func() { xssh.DiscardRequests(ch.requests); close(f.gone) })
	p.wg.Go(func() { defer close(f.hushed); pump(ch.Stderr(), said) })
	p.wg.Go(f.pump)
	return f
}

// pump hands on what the server sends. It ends with the channel.
func (f *files) pump() {
	buf := make([]byte, readAhead)
	for {
		n, err := f.ch.Read(buf)
		if n > 0 {
			if f.received.Add(int64(n)) > f.budget.Load() {
				(*f.overflow.Load())()
			}
			if b := f.lead.after(buf[:n]); len(b) > 0 {
				f.quiet.Reset(f.pool.opt.FileTimeout)
				_, _ = f.feed.Write(b)
			}
		}
		if err != nil {
			f.ended.Store(true)
			_ = f.feed.CloseWithError(io.EOF)
			return
		}
	}
}

// cut ends the stream from the server, and with it every wait for an answer.
func (f *files) cut(cause error) {
	f.once.Do(func() {
		f.cause = cause
		close(f.broken)
		_ = f.feed.CloseWithError(cause)
	})
}

// cutBy returns for what the stream was cut off; nil: it was not.
func (f *files) cutBy() error {
	select {
	case <-f.broken:
		return f.cause
	default:
		return nil
	}
}

// lift lets the server send so many bytes more than until now, beside chatter;
// when it sends more over is called, from another goroutine and maybe often.
func (f *files) lift(bytes int64, over func()) {
	f.overflow.Store(&over)
	f.budget.Store(f.received.Load() + chatter + bytes)
}

// start asks for SFTP and for its version.
func (f *files) start(ctx context.Context) error {
	if f.endpoint.actor != nil {
		if err := f.startAs(ctx); err != nil {
			return err
		}
		return f.hello(ctx)
	}
	ok, err := f.conn.request(f.ch, "subsystem", xssh.Marshal(struct{ Name string }{"sftp"}))
	switch {
	case err != nil:
		return f.conn.unanswered(f.endpoint, hostfuncs.Before, "for SFTP", "", err)
	case !ok:
		return hostfuncs.Errorf(hostfuncs.Protocol, hostfuncs.Before, "%s has %w for user %s; enable its sftp subsystem, or send contents by ssh_exec", f.endpoint.place(), errNoSFTP, f.endpoint.Credential.Username)
	}
	return f.hello(ctx)
}

// hello asks for the version.
func (f *files) hello(ctx context.Context) error {
	var err error
	f.client, err = sftp.NewClientPipe(bufio.NewReaderSize(f.pipe, readAhead), &private{to: f.ch}, sftp.UseConcurrentWrites(true), sftp.MaxPacket(packet))
	if err == nil {
		return nil
	}
	f.client = nil
	switch {
	case f.cutBy() == nil && f.ended.Load() && !f.conn.answers():
		return hostfuncs.Errorf(hostfuncs.Lost, hostfuncs.Before, "%s granted SFTP, and then the connection was lost: %w", f.endpoint.place(), err)
	case f.cutBy() == nil && f.endpoint.actor != nil:
		return hostfuncs.Errorf(hostfuncs.Protocol, hostfuncs.Before, "%s has %w as %s: the SFTP server that was started did not speak it (%.200q)%s", f.endpoint.place(), errNoSFTP, f.endpoint.who(), err.Error(), f.complaint())
	case f.cutBy() == nil:
		return hostfuncs.Errorf(hostfuncs.Protocol, hostfuncs.Before, "%s granted SFTP and then did not speak it (%.200q): there is %w, no program behind the subsystem, a forced command, or text that the login shell prints", f.endpoint.place(), err.Error(), errNoSFTP)
	}
	return f.fail(ctx, "begin SFTP", err)
}

// wait returns do's error, or that of ctx or a cut when do does not come back.
func (f *files) wait(ctx context.Context, done <-chan error) error {
	var t *time.Timer
	select {
	case err := <-done:
		return err
	case <-f.broken: // do hears of it too, unless the server does not even read
		t = time.NewTimer(time.Second)
	case <-ctx.Done():
		if f.stage.CompareAndSwap(looking, left) {
			return hostfuncs.Ended(ctx, hostfuncs.Before, "work with files on %s", f.endpoint.place())
		}
		t = time.NewTimer(f.pool.opt.KillGrace + killSlack)
	}
	defer t.Stop()
	select {
	case err := <-done:
		return err
	case <-t.C:
		return f.fail(ctx, "work with files", errSilent)
	}
}

// maxWords is how much of standard error an error quotes, in bytes.
const maxWords = 200

// complaint returns what the server wrote to standard error, for a message.
func (f *files) complaint() string {
	late := time.NewTimer(f.pool.opt.DrainGrace)
	defer late.Stop()
	select {
	case <-f.hushed:
	case <-late.C:
		return ""
	}
	if said := strings.TrimSpace(string(f.words.output(nil).Bytes)); said != "" {
		return fmt.Sprintf(" (%q)", said)
	}
	return ""
}

// close ends the session and gives the slot back.
func (f *files) close() {
	f.quiet.Stop()
	_ = f.pipe.CloseWithError(io.ErrClosedPipe)
	f.pool.hangUp(f.conn, f.ch, f.gone)
}

// act is called right before the first request that may change the target.
func (f *files) act(ctx context.Context, begin Begin, hash string) error {
	if err := ctx.Err(); err != nil {
		return hostfuncs.Ended(ctx, hostfuncs.Before, "on %s nothing was changed", f.endpoint.place())
	}
	if begin != nil {
		if err := begin(ctx, f.endpoint.hashAs(hash)); err != nil {
			return asError(err)
		}
	}
	return f.enter(ctx)
}

// enter begins to act, once, unless the call has ended.
func (f *files) enter(ctx context.Context) error {
	if f.stage.CompareAndSwap(looking, acting) {
		return nil
	}
	return hostfuncs.Ended(ctx, hostfuncs.Before, "on %s nothing was changed", f.endpoint.place())
}

func (f *files) phase() hostfuncs.Phase {
	if f.stage.Load() == acting {
		return hostfuncs.After
	}
	return hostfuncs.Before
}

// fail turns what went wrong into an error; doing says what was tried, with the path.
func (f *files) fail(ctx context.Context, doing string, err error) *hostfuncs.Error {
	var he *hostfuncs.Error
	if errors.As(err, &he) {
		return he
	}
	phase, at := f.phase(), doing+" on "+f.endpoint.place()
	var status *sftp.StatusError
	cause := f.cutBy()
	switch {
	case ctx.Err() != nil:
		return hostfuncs.Ended(ctx, phase, "%s", at)
	case errors.Is(cause, errFlood):
		return hostfuncs.Errorf(hostfuncs.Protocol, phase, "%s: %w; its SFTP server is not to be trusted", at, cause)
	case cause != nil || errors.Is(err, errSilent):
		return hostfuncs.Errorf(hostfuncs.Timeout, phase, "%s: %w for %s", at, errSilent, seconds(f.pool.opt.FileTimeout))
	case errors.Is(err, os.ErrNotExist):
		return hostfuncs.Errorf(hostfuncs.BadRequest, phase, "%s: there is no such file or folder", at)
	case errors.Is(err, os.ErrPermission):
		return hostfuncs.Errorf(hostfuncs.Denied, phase, "%s: user %s may not do that there; check owner and mode of the file and its folder", at, f.endpoint.who())
	case errors.Is(err, sftp.ErrSSHFxConnectionLost) && f.ended.Load(), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return hostfuncs.Errorf(hostfuncs.Lost, phase, "%s: the connection or its SFTP server ended before the answer", at)
	case errors.As(err, &status):
		return hostfuncs.Errorf(hostfuncs.Protocol, phase, "%s: the server refuses, with SFTP status %d (%.200q)", at, status.Code, status.Error())
	default:
		return hostfuncs.Errorf(hostfuncs.Protocol, phase, "%s: the answer is not SFTP as it should be (%.200q)", at, err.Error())
	}
}

// private is the way to the server. The client opens new files without a mode,
// so for a moment others could open them: here the request is given mode 0600. The
// client writes one packet after the other, each whole or in parts.
type private struct {
	to   io.Writer
	left int64 // bytes of a packet that has begun
}

// Of an SFTP packet: its type, and flags of SSH_FXP_OPEN and of attributes.
const (
	typeOpen    = 3
	openCreate  = 0x08
	openExcl    = 0x20
	attrsMode   = 0x04
	privateMode = 0o600
)

// Write sends a packet or a part of one. What follows the first part is content, whatever
// it looks like.
func (p *private) Write(b []byte) (int, error) {
	n := len(b)
	begins := p.left == 0 && n >= 4
	if begins {
		p.left = 4 + int64(binary.BigEndian.Uint32(b))
	}
	p.left = max(0, p.left-int64(n))
	if !begins || p.left > 0 || n < 13 || b[4] != typeOpen {
		return p.to.Write(b) //nolint:wrapcheck // the channel's own error
	}
	flags := binary.BigEndian.Uint32(b[n-8:])
	if flags&(openCreate|openExcl) != openCreate|openExcl || binary.BigEndian.Uint32(b[n-4:]) != 0 {
		return p.to.Write(b) //nolint:wrapcheck // the channel's own error
	}
	out := binary.BigEndian.AppendUint32(nil, binary.BigEndian.Uint32(b)+4)
	out = append(out, b[4:n-4]...)
	out = binary.BigEndian.AppendUint32(out, attrsMode)
	out = binary.BigEndian.AppendUint32(out, privateMode)
	if _, err := p.to.Write(out); err != nil {
		return 0, fmt.Errorf("send an SFTP request: %w", err)
	}
	return n, nil
}

// Close does nothing: the session closes the channel.
func (p *private) Close() error { return nil }
