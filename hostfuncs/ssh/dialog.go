package ssh

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	xssh "golang.org/x/crypto/ssh"

	"opsconductor.dev/hostfuncs"
)

// DialogConfig says what a dialog is with. The zero value is with any program that
// prompts.
type DialogConfig struct {
	Platform Platform
	// Prompt is a pattern (RE2) of the line on which the other side waits; "": it is
	// learned, as the line that comes again when nothing but Enter is sent.
	Prompt string
	// Terminal is what the server is asked for; zero rows and columns: 24 and 511.
	Terminal Terminal
	// Enable answers the platform's question for a password on the way to Privileged;
	// nil: there is none.
	Enable hostfuncs.Secret
	// Privileged: go there at once.
	Privileged bool
	// Timeout is for the opening, until the dialog can be used; 0: 60 s.
	Timeout time.Duration
	// MaxOutput is how many bytes of each reply are kept; 0: 1 MiB.
	MaxOutput int
	// Redact takes secrets out of what is returned; nil: nothing is. Slack is the
	// length of the longest of them. Live is told what is sent and what comes back,
	// redacted, without secrets; nil: nobody is.
	Redact func([]byte) []byte
	Slack  int
	Live   *Live
}

// openingTime is DialogConfig.Timeout when nobody says; sendingTime is Input.Timeout.
const (
	openingTime = 60 * time.Second
	sendingTime = 30 * time.Second
)

// Dialog is an interactive session: a terminal with a program that prompts, like the
// command line of a network device. Safe for concurrent use; one exchange goes on at
// a time, and others wait. Close ends it.
type Dialog struct {
	// Greeting is what the other side said before its first prompt.
	Greeting Output

	pool     *Pool
	conn     *conn
	ch       channel
	endpoint Endpoint
	conf     DialogConfig
	platform platform
	pattern  *regexp.Regexp
	turn     chan struct{} // whoever has put something in has the turn
	gone     chan struct{} // closed when the server has closed the channel
	news     chan struct{} // capacity 1: something has come
	closing  sync.Once
	over     atomic.Bool // no further exchange is possible

	// Of the one who has the turn:
	prompt string
	echoes echo

	mu      sync.Mutex
	screen  *screen
	heard   time.Time // when something last came
	ended   bool      // nothing more will come
	cut     bool      // since the connection ended, and not the session
	flooded bool
}

// echo says whether the other side shows what it is sent.
type echo int

const (
	echoUnknown echo = iota
	echoed
	echoless
)

// Open opens a dialog with an endpoint: a terminal, its shell, the first prompt, no
// pager, and Privileged where that is asked for. It changes nothing there, so its
// errors are of phase before. The dialog outlives ctx; its connection is one of the
// pool's, on which it takes a session's place until Close.
func (p *Pool) Open(ctx context.Context, e Endpoint, c DialogConfig) (*Dialog, error) {
	if err := e.validate(); err != nil {
		return nil, err
	}
	if err := c.Validate(); err != nil {
		return nil, hostfuncs.Errorf(hostfuncs.BadRequest, hostfuncs.Before, "open a dialog with %s: %w", e.place(), err)
	}
	if err := p.begin(); err != nil {
		return nil, err
	}
	defer p.wg.Done()
	limit := c.Timeout
	if limit <= 0 {
		limit = openingTime
	}
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("the time of %s for opening it is over: %w", limit, context.DeadlineExceeded))
	defer cancel()
	g := p.hold(e)
	defer p.drop(g)
	cn, ch, err := p.channel(ctx, g, e)
	if err != nil {
		return nil, asError(err)
	}
	d := p.newDialog(e, cn, ch, c)
	if err := d.start(ctx); err != nil {
		_ = d.Close()
		return nil, earlier(err)
	}
	return d, nil
}

// Validate returns all that is wrong with the settings.
func (c DialogConfig) Validate() error {
	errs := c.Terminal.validate()
	if _, ok := c.Platform.of(); !ok {
		errs = append(errs, fmt.Errorf("the platform is not one of %v", Platforms()))
	}
	if _, err := compile(c.Prompt); err != nil {
		errs = append(errs, fmt.Errorf("prompt: %w", err))
	}
	if c.Privileged && (c.Platform == "" || c.Platform == Generic) {
		errs = append(errs, errors.New("privileged: the platform generic has no modes; name the platform"))
	}
	if c.Enable != nil && strings.ContainsAny(string(c.Enable.Reveal()), "\x00\r\n") {
		errs = append(errs, errors.New("the password for enable has a line break or a NUL character, which no prompt takes"))
	}
	return errors.Join(errs...)
}

// maxPattern bounds a pattern, in bytes.
const maxPattern = 512

// compile reads a pattern; "" is nil.
func compile(pattern string) (*regexp.Regexp, error) {
	if pattern == "" {
		return nil, nil //nolint:nilnil // no pattern is none
	}
	if len(pattern) > maxPattern {
		return nil, fmt.Errorf("the pattern is longer than %d bytes", maxPattern)
	}
	re, err := regexp.Compile(pattern)
	if err != nil {
		return nil, errors.New("the pattern is no regular expression (RE2)")
	}
	if re.MatchString("") {
		return nil, errors.New("the pattern fits an empty line, so it would fit before anything has come")
	}
	return re, nil
}

func (p *Pool) newDialog(e Endpoint, c *conn, ch channel, conf DialogConfig) *Dialog {
	if conf.Terminal.Cols == 0 {
		conf.Terminal.Cols = 511
	}
	d := &Dialog{
		pool: p, conn: c, ch: ch, endpoint: e, conf: conf, turn: make(chan struct{}, 1), gone: make(chan struct{}), news: make(chan struct{}, 1), heard: time.Now(),
	}
	d.platform, _ = conf.Platform.of()
	d.pattern, _ = compile(conf.Prompt)
	d.screen = &screen{}
	d.fresh(0)
	p.wg.Go(func() { xssh.DiscardRequests(ch.requests); close(d.gone) })
	return d
}

// fresh empties the screen. Under mu, or before anybody else has the dialog.
func (d *Dialog) fresh(keep int) {
	if keep <= 0 {
		keep = d.conf.MaxOutput
	}
	if keep <= 0 {
		keep = defaultMaxOutput
	}
	d.screen.done = &capture{keep: keep, slack: d.conf.Slack, floodAt: int64(keep) + d.pool.opt.Discard, flood: func() { d.flooded = true }}
	d.screen.heard = 0
	d.screen.dropLast()
}

// read takes what comes until the channel ends. Both streams are one on a terminal;
// a server that uses the second all the same is read too.
func (d *Dialog) read() {
	take := func(b []byte) {
		d.mu.Lock()
		if len(b) > 0 {
			d.heard = time.Now()
			if d.screen.write(b); d.screen.heard > d.screen.done.floodAt {
				d.flooded = true
			}
		}
		d.mu.Unlock()
		d.tell()
	}
	d.pool.wg.Go(func() {
		pump(d.ch, take)
		cut := !d.conn.wire.tail.whole()
		d.mu.Lock()
		d.ended, d.cut = true, cut
		d.mu.Unlock()
		d.tell()
	})
	d.pool.wg.Go(func() { pump(d.ch.Stderr(), take) })
}

func (d *Dialog) tell() {
	select {
	case d.news <- struct{}{}:
	default:
	}
}

// start asks for the terminal and the shell, and gets as far as the first prompt.
func (d *Dialog) start(ctx context.Context) error {
	d.read()
	for _, r := range []struct {
		name    string
		payload []byte
		hint    string
	}{
		{"pty-req", d.conf.Terminal.request(), "gives no terminal; check what the account is allowed"},
		{"shell", nil, "starts no shell in a terminal; check what the account is allowed, or use ssh_exec"},
	} {
		if err := d.request(ctx, r.name, r.payload, r.hint); err != nil {
			return err
		}
	}
	if err := d.learn(ctx); err != nil {
		return err
	}
	d.mu.Lock()
	d.Greeting = d.kept()
	d.mu.Unlock()
	for _, text := range d.platform.prepare {
		if _, err := d.exchange(ctx, move{text: text}); err != nil {
			return err
		}
	}
	if d.conf.Privileged {
		return d.enter(ctx, Privileged)
	}
	return nil
}

// request asks the server for something on the channel. A server that does not
// answer loses the connection.
func (d *Dialog) request(ctx context.Context, name string, payload []byte, hint string) error {
	type answer struct {
		ok  bool
		err error
	}
	answered := make(chan answer, 1)
	d.pool.wg.Go(func() {
		ok, err := d.conn.request(d.ch, name, payload)
		answered <- answer{ok, err}
	})
	select {
	case a := <-answered:
		switch {
		case a.err != nil:
			return d.conn.unanswered(d.endpoint, hostfuncs.Before, "for a terminal", "", a.err)
		case !a.ok:
			return hostfuncs.Errorf(hostfuncs.Protocol, hostfuncs.Before, "%s %s", d.endpoint.place(), hint)
		}
		return nil
	case <-ctx.Done():
		return hostfuncs.Ended(ctx, hostfuncs.Before, "open a dialog with %s", d.endpoint.place())
	}
}

// Close closes the dialog's session. An exchange that goes on ends with an error. It
// does not wait for the server, and more than one call does no harm.
func (d *Dialog) Close() error {
	d.over.Store(true)
	d.closing.Do(func() {
		d.mu.Lock()
		d.ended = true
		d.mu.Unlock()
		d.tell()
		d.pool.hangUp(d.conn, d.ch, d.gone)
	})
	return nil
}

// Endpoint returns what the dialog is with.
func (d *Dialog) Endpoint() Endpoint { return d.endpoint }
