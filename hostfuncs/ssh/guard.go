package ssh

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"time"

	"opsconductor.dev/hostfuncs"
)

// Guard names the journal on the target that keeps a command from running twice.
type Guard struct {
	// Token is the journal's name: 32 to 64 hexadecimal digits that nobody can guess,
	// the same each time that the same command is to be run once.
	Token string
	// Since is when an earlier call with the token may have begun the command; zero:
	// none did. A target that was restarted since may have lost the journal.
	Since time.Time
	// Heard is called once the target has said what became of the command; nil:
	// nobody is told.
	Heard func()
	// Leave reports whether a command is left at work when the context ends with a
	// cause; nil: it is always killed.
	Leave func(cause error) bool
}

// The bounds of journals.
const (
	maxJournals   = 10_000
	releaseAfter  = 10 * time.Minute   // a result that this old is taken for stored
	maxReleased   = 64                 // journals that one call names
	maxRemembered = 1024               // in all
	followTries   = 60                 // calls of the wrapper in one call of ExecGuarded
	journalsKept  = 6 * 24 * time.Hour // less than guardClean keeps one
	restartSlack  = time.Minute        // by which the clocks of two hosts may differ
)

// token is what a journal may be named.
var token = regexp.MustCompile(`^[0-9a-f]{32,64}$`) //nolint:gochecknoglobals // a constant

// ExecGuarded runs a command on an endpoint with a POSIX shell once, however often
// it is called with the same token: a journal on the target names the one process
// that may run it, and keeps its output and exit code. A call that finds the
// command begun waits for its end and returns that. A lost connection is made
// again for up to Options.Reattach.
//
// Its errors are *hostfuncs.Error. Journaled says that another call with the token
// may find out what became of the command, which may be at work. When ctx is done
// the command is killed, as by Exec, unless Guard.Leave says otherwise. What a
// command writes is passed to Command.Live from its beginning and while it runs, each
// byte once in a call, as far as it is kept; PTY and IdleTimeout can't be had.
func (p *Pool) ExecGuarded(ctx context.Context, e Endpoint, c Command, g Guard) (Result, error) {
	if err := c.guardable(g); err != nil {
		return Result{}, hostfuncs.Errorf(hostfuncs.BadRequest, hostfuncs.Before, "run on %s: %w", e.place(), err)
	}
	if c.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, c.Timeout, fmt.Errorf("the call's timeout of %s is over", c.Timeout))
		defer cancel()
	}
	r := &guarded{pool: p, endpoint: e, cmd: c, guard: g, hash: guardHash(e, c), nonce: newNonce(), began: time.Now()}
	r.telling = newTelling(c, r.nonce, r.keep())
	defer r.telling.end()
	res, err := r.run(ctx)
	if err != nil {
		r.telling.cut()
		return Result{}, asError(err)
	}
	return res, nil
}

// carryOut runs a command as the session has to have it.
func (p *Pool) carryOut(ctx context.Context, s *hostfuncs.Session, e Endpoint, c Command) (Result, error) {
	g := s.Guard
	if g == nil {
		return p.Exec(ctx, e, c)
	}
	return p.ExecGuarded(ctx, e, c, Guard{Token: g.Next(), Since: g.Since, Heard: g.Hear, Leave: g.Leave})
}

// guardHash is the command's hash with the account that runs it: a journal lies
// with its account, and is not found by another one.
func guardHash(e Endpoint, c Command) string {
	sum := sha256.Sum256([]byte(c.Hash() + " " + strconv.Quote(e.Credential.Username) + " " + hostfuncs.HostPort(e.Host, e.port())))
	return hex.EncodeToString(sum[:])
}

// guardable returns all that keeps a command from being guarded.
func (c Command) guardable(g Guard) error {
	errs := []error{c.Validate()}
	if !token.MatchString(g.Token) {
		errs = append(errs, errors.New("the journal's token is not 32 to 64 hexadecimal digits"))
	}
	if c.PTY != nil {
		errs = append(errs, errors.New("a command with a terminal ends with its connection and can't be guarded: leave pty out, or give the step another effect"))
	}
	if c.IdleTimeout > 0 {
		errs = append(errs, errors.New("a guarded command writes into its journal, so nobody sees that it is silent: leave idle_timeout_ms out, or give the step another effect"))
	}
	return errors.Join(errs...)
}

// guarded is one call of ExecGuarded.
type guarded struct {
	pool     *Pool
	endpoint Endpoint
	cmd      Command
	guard    Guard
	hash     string
	nonce    string
	began    time.Time
	sent     time.Time // zero: no request has left
	telling  *telling
}

// run calls the wrapper until it has said what became of the command.
func (r *guarded) run(ctx context.Context) (Result, error) {
	var down time.Time // since when the target is not there
	for try := 1; ; try++ {
		res, err := r.pool.Exec(ctx, r.endpoint, r.follow())
		if err == nil {
			if said, ok := parseReport(res.Stdout.Bytes, r.nonce); ok && !said.short() {
				return r.judge(ctx, said)
			}
			err = hostfuncs.Errorf(hostfuncs.Lost, hostfuncs.After, "%s: what follows the command there ended without a word, or in the middle of what it said", r.endpoint.place())
		}
		he := asError(err)
		if r.sent.IsZero() && r.guard.Since.IsZero() {
			return Result{}, he
		}
		if down.IsZero() || he.Phase == hostfuncs.After {
			down = time.Now()
		}
		if ctx.Err() == nil && (try >= followTries || !passing(he.Code) || time.Since(down) > r.pool.opt.Reattach) {
			return Result{}, r.left(he)
		}
		if !breathe(ctx, min(time.Duration(try)*200*time.Millisecond, 5*time.Second)) {
			return Result{}, r.stop(ctx, he)
		}
	}
}

// breathe waits; false: ctx was done first.
func breathe(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// passing reports whether an error may not be there when the connection is made again.
func passing(code hostfuncs.Code) bool {
	switch code {
	case hostfuncs.Unreachable, hostfuncs.Timeout, hostfuncs.Throttled, hostfuncs.Quota, hostfuncs.Lost, hostfuncs.Protocol:
		return true
	case hostfuncs.Denied, hostfuncs.BadRequest, hostfuncs.AuthFailed, hostfuncs.HostKeyMismatch, hostfuncs.HostKeyUnknown,
		hostfuncs.AlgorithmMismatch, hostfuncs.BecomeFailed, hostfuncs.OutputLimit, hostfuncs.Cancelled:
	}
	return false
}

// keep is how many bytes of a stream the journal keeps.
func (r *guarded) keep() int {
	keep := r.cmd.MaxOutput
	if keep == 0 {
		keep = defaultMaxOutput
	}
	return keep + r.cmd.Slack + 1
}

// base is the folder of the journals that the account's shell finds.
func (r *guarded) base() string { return r.pool.opt.Journals }

// wrapper is a text of the guard's as a command: its arguments begin with those
// of guardBase. The account's own number is put behind the base on the target.
func (r *guarded) wrapper(text string, args ...string) Command {
	own := `_gv=$1; _gw=$2-$(id -u) || exit 125; shift 2; set -- "$_gv" "$_gw" "$@"; `
	return Command{
		Argv:   append([]string{"/bin/sh", "-c", own + text, "sh", r.nonce, r.base(), "g-" + r.guard.Token}, args...),
		Become: r.cmd.Become,
	}
}

// follow is the command that begins the guarded one or finds it, and follows it.
func (r *guarded) follow() Command {
	text := script(Command{Argv: r.cmd.Argv, Env: r.cmd.Env}, r.hash, "", `exec "$@"`)
	keep := r.keep()
	c := r.wrapper(r.telling.text(), append([]string{
		r.hash, strconv.Itoa(len(text) + len(r.cmd.Stdin)), strconv.Itoa((keep + 511) / 512), strconv.Itoa(keep),
		strconv.FormatInt(int64(keep)+r.pool.opt.Discard, 10), r.age(), strconv.Itoa(maxJournals),
		guardRecorder, guardChild + fmt.Sprintf(fetch, len(text)), r.telling.claim(),
	}, r.pool.released(r.endpoint)...)...)
	c.Stdin = append([]byte(text), r.cmd.Stdin...)
	c.MaxOutput = 2*keep + 64<<10
	c.follows, c.telling = true, r.telling
	c.Begin = r.begin
	return c
}

// age is how many seconds a target must have been up for the lack of a journal to prove
// that no earlier try began the command; 0: there was none.
func (r *guarded) age() string {
	first := r.guard.Since
	if first.IsZero() {
		first = r.sent
	}
	if first.IsZero() {
		return "0"
	}
	return strconv.FormatInt(journalAge(time.Since(first)), 10)
}

// journalAge returns how many seconds a target must have been up for the lack of a
// journal to prove that a command did not begin so long ago: more than any has
// where the journal may have been removed by its age.
func journalAge(ago time.Duration) int64 {
	if ago += restartSlack; ago < journalsKept {
		return int64(ago.Seconds())
	}
	return math.MaxInt32
}

// begin commits the intent before the first request leaves.
func (r *guarded) begin(ctx context.Context, _ string) error {
	if !r.sent.IsZero() {
		return nil
	}
	if r.cmd.Begin != nil {
		if err := r.cmd.Begin(ctx, r.hash); err != nil {
			return err
		}
	}
	r.sent = time.Now()
	return nil
}

// left is the error of a command of which nobody knows what became, as the target
// can't be asked.
func (r *guarded) left(he *hostfuncs.Error) *hostfuncs.Error {
	code := he.Code
	if code == hostfuncs.Unreachable || code == hostfuncs.Throttled || code == hostfuncs.Quota {
		code = hostfuncs.Lost
	}
	since, who := r.sent, "the command was handed over"
	if since.IsZero() {
		since, who = r.guard.Since, "an earlier attempt may have begun the command"
	}
	e := hostfuncs.Errorf(code, hostfuncs.After, "%s: %s %s ago, and then contact was lost: %w. It may be at work there; its journal there will tell",
		r.endpoint.place(), who, seconds(time.Since(since)), he)
	e.Journaled = true
	return e
}

// stop ends a command whose call is over, or leaves it at work, and returns the
// call's error.
func (r *guarded) stop(ctx context.Context, he *hostfuncs.Error) *hostfuncs.Error {
	if r.guard.Leave != nil && r.guard.Leave(context.Cause(ctx)) {
		return r.left(hostfuncs.Errorf(hostfuncs.Lost, hostfuncs.After, "this host stops: %w", context.Cause(ctx)))
	}
	e := hostfuncs.Ended(ctx, hostfuncs.After, "run on %s, %s after the call began", r.endpoint.place(), seconds(time.Since(r.began)))
	return r.kill(ctx, e, " ("+he.Message+")")
}

// kill sees to it that the command does not run any more, and puts what became of
// it into the call's error. why says, in brackets, why the target was not reached
// until now.
func (r *guarded) kill(ctx context.Context, e *hostfuncs.Error, why string) *hostfuncs.Error {
	f, word := r.end(ctx)
	switch word {
	case "":
		word = "the target could not be asked" + why
	case "removed":
		word = "somebody removed its journal while it ran"
	case "young":
		word = "the target was restarted after it may have begun, and its journal may have been lost with that"
	default:
		word = "there is no journal of it that tells"
	}
	e.Stopped = f == dead || f == unborn
	e.Message += ". " + map[fate]string{
		dead:    "The remote process was killed, with its process group; it is confirmed dead",
		alive:   "The remote process could not be killed: it is still there",
		unborn:  "The command had not begun, and cannot any more",
		unknown: "Whether the remote process still runs is not known: " + word,
	}[f]
	return e
}

// end ends the command by what its journal says, or by its claim where this call has
// seen that. It returns the target's word, too; "": it said nothing.
func (r *guarded) end(ctx context.Context) (fate, string) {
	grace, since := r.pool.opt.KillGrace, "0"
	if !r.guard.Since.IsZero() {
		since = r.age()
	}
	ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), grace+killSlack, context.DeadlineExceeded)
	defer cancel()
	for try := 1; ; try++ {
		c := r.wrapper(guardKill, strconv.Itoa(int(grace/(50*time.Millisecond))), killText, since, r.telling.claim())
		c.follows = true
		res, err := r.pool.Exec(ctx, r.endpoint, c)
		if err == nil {
			said, _ := parseReport(res.Stdout.Bytes, r.nonce)
			return map[string]fate{"dead": dead, "alive": alive, "unborn": unborn}[said.word], said.word
		}
		if !passing(asError(err).Code) || !breathe(ctx, time.Duration(try)*100*time.Millisecond) {
			return unknown, ""
		}
	}
}
