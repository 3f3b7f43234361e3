package ssh

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"opsconductor.dev/hostfuncs"
)

// Input is what is sent in a dialog, and what is waited for.
type Input struct {
	// Mode is where to go first; "": stay.
	Mode Mode
	// Text is one line. It is sent with Enter, unless NoEnter. Secret is sent in place
	// of it. With Silent nothing is sent: only waited.
	Text    string
	Secret  hostfuncs.Secret
	Silent  bool
	NoEnter bool
	// Expect are patterns (RE2) of lines on which the other side waits, beside its prompt.
	Expect []string
	// Answers are given, each once, when a line comes that its pattern fits.
	Answers []DialogAnswer
	// Timeout is for all of it; 0: 30 s.
	Timeout time.Duration
	// MaxOutput is how many bytes of the output are kept; 0: as the dialog has it.
	MaxOutput int
	// Closes: the other side may end the session in answer, which is no error then.
	Closes bool
	// Begin commits the intent before anything is sent, as Command.Begin.
	Begin func(ctx context.Context, hash string) error

	slack int // of secrets that became known since the dialog was opened
}

// DialogAnswer answers a question.
type DialogAnswer struct {
	Question string // a pattern (RE2) of the line
	Text     string
	Secret   hostfuncs.Secret // in place of Text
}

// Reply is what came of an Input.
type Reply struct {
	// Output is what came before the line on which the other side waits: the echo,
	// control sequences, pages and blank lines around it are gone. It is Truncated, too,
	// where Closed is since the connection was lost: there may have been more.
	Output Output
	// Prompt is that line, and Mode what it says.
	Prompt string
	Mode   Mode
	// Matched is the index of the pattern in Input.Expect that it fits; -1: it is the prompt.
	Matched int
	// Refused is the line by which the platform says that it did not take what was
	// sent; "": it took it.
	Refused string
	// Closed: the other side has ended the session.
	Closed   bool
	Duration time.Duration
}

// The bounds of an input.
const (
	maxText    = 8 << 10
	maxAsked   = 16
	controlled = "the text has a line break or a control character; send one line at a time"
)

// Validate returns all that is wrong with an input.
func (in Input) Validate() error {
	var f faults
	_, err := in.move()
	switch in.Mode {
	case "", Exec, Privileged, Configure:
	default:
		f.add(true, "mode is not one of exec, privileged, config")
	}
	f.add(in.Text != "" && in.Secret != nil, "give one of a text and a secret")
	f.add(in.Silent && (in.Text != "" || in.Secret != nil || in.NoEnter), "nothing is sent, so a text, a secret and no_enter have no place")
	f.add(in.Timeout < 0 || in.MaxOutput < 0, "a limit is negative")
	return errors.Join(errors.Join(f...), err)
}

// move compiles an input.
func (in Input) move() (move, error) {
	var f faults
	m := move{text: in.Text, secret: in.Secret, silent: in.Silent, noEnter: in.NoEnter, keep: in.MaxOutput, closes: in.Closes}
	f.line(in.Text, in.Secret)
	f.add(len(in.Expect) > maxAsked || len(in.Answers) > maxAsked, "16 patterns to expect and 16 answers are the most")
	pattern := func(text string) *regexp.Regexp {
		re, err := compile(text)
		if err == nil && re == nil {
			err = errors.New("a pattern is empty")
		}
		if err != nil {
			f = append(f, err)
		}
		return re
	}
	for _, text := range in.Expect {
		m.expect = append(m.expect, pattern(text))
	}
	for _, a := range in.Answers {
		f.line(a.Text, a.Secret)
		m.answers = append(m.answers, answer{pattern(a.Question), a.Text, a.Secret})
	}
	return m, errors.Join(f...)
}

// line checks what is sent as one line. A control character would act like a key.
func (f *faults) line(text string, secret hostfuncs.Secret) {
	if secret != nil {
		f.add(strings.ContainsAny(string(secret.Reveal()), "\x00\r\n"), "the secret has a line break or a NUL character, which no prompt takes")
		return
	}
	f.add(len(text) > maxText, "the text is longer than 8192 bytes")
	f.add(strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }), controlled)
}

// hash is what the audit record has of an input: nothing of a secret.
func (in Input) hash(place string) string {
	sum := sha256.New()
	_, _ = fmt.Fprintf(sum, "%s\n%s\n%q\n%t", place, in.Mode, in.Text, in.Secret != nil)
	return hex.EncodeToString(sum.Sum(nil))
}

// Send sends in the dialog and returns what came until the other side waited again.
// An error of phase before means that the text did not leave. After one of timeout,
// cancelled, lost, output_limit and become_failed the dialog is closed: what was sent
// may have acted, and goes on where the other side does not end it with the session.
func (d *Dialog) Send(ctx context.Context, in Input) (Reply, error) {
	if err := in.Validate(); err != nil {
		return Reply{}, hostfuncs.Errorf(hostfuncs.BadRequest, hostfuncs.Before, "send to %s: %w", d.endpoint.place(), err)
	}
	m, _ := in.move()
	limit := in.Timeout
	if limit == 0 {
		limit = sendingTime
	}
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("the time of %s for it is over: %w", limit, context.DeadlineExceeded))
	defer cancel()
	select {
	case d.turn <- struct{}{}:
		defer func() { <-d.turn }()
	case <-ctx.Done():
		return Reply{}, hostfuncs.Ended(ctx, hostfuncs.Before, "send to %s: another exchange goes on, and nothing was sent", d.endpoint.place())
	}
	if d.over.Load() {
		return Reply{}, hostfuncs.Errorf(hostfuncs.BadRequest, hostfuncs.Before, "send to %s: the session is closed; open another one", d.endpoint.place())
	}
	if in.Begin != nil {
		if err := in.Begin(ctx, in.hash(d.endpoint.place())); err != nil {
			return Reply{}, asError(err)
		}
	}
	d.conf.Slack = max(d.conf.Slack, in.slack)
	began := time.Now()
	c, err := d.carry(ctx, in.Mode, m)
	if err != nil || c.closed {
		_ = d.Close()
	}
	if err != nil {
		return Reply{}, asError(err)
	}
	r := Reply{
		Output: c.output, Prompt: d.clean(c.prompt), Matched: c.matched, Closed: c.closed, Duration: time.Since(began),
		Refused: d.clean(d.platform.refusal(c.raw)),
	}
	if r.Matched < 0 && !r.Closed {
		r.Mode = d.platform.modes(c.prompt)
	}
	d.log(in, r)
	return r, nil
}

// carry goes to the mode and makes the move.
func (d *Dialog) carry(ctx context.Context, mode Mode, m move) (came, error) {
	if mode != "" {
		if err := d.enter(ctx, mode); err != nil {
			return came{}, err
		}
	}
	return d.exchange(ctx, m)
}

// log tells what was sent and what came.
func (d *Dialog) log(in Input, r Reply) {
	if d.conf.Live == nil {
		return
	}
	switch {
	case in.Silent:
	case in.Secret != nil:
		d.conf.Live.Line("sent", "(a secret)")
	default:
		d.conf.Live.Line("sent", d.clean(in.Text))
	}
	if len(r.Output.Bytes) == 0 {
		return
	}
	l := newLive(*d.conf.Live, d.conf.Redact)
	defer l.end()
	l.write("stdout", append(bytes.Clone(r.Output.Bytes), '\n'))
}

// enter goes to a mode. Its errors are of phase before: the text that was to be sent
// there was not.
func (d *Dialog) enter(ctx context.Context, want Mode) error {
	p, now := d.platform, d.platform.modes(d.prompt)
	if p.configure == "" {
		return hostfuncs.Errorf(hostfuncs.BadRequest, hostfuncs.Before, "%s: the platform generic has no modes; name the platform when the session is opened", d.endpoint.place())
	}
	// The steps on the way, at most: out of Configure, then down or up, then in again.
	for range 3 {
		if now == want || now == Privileged && want == Exec && p.disable == "" {
			return nil
		}
		m := move{text: p.leave, answers: []answer{{uncommitted, "no", nil}, {discards, "yes", nil}}}
		switch {
		case now == Configure:
		case now == Exec:
			if err := d.raise(ctx); err != nil {
				return err
			}
			now = d.platform.modes(d.prompt)
			continue
		case want == Exec:
			m = move{text: p.disable}
		default:
			m = move{text: p.configure}
		}
		c, err := d.exchange(ctx, m)
		if err != nil {
			return earlier(err)
		}
		was := now
		if now = p.modes(c.prompt); now == was {
			return hostfuncs.Errorf(hostfuncs.Protocol, hostfuncs.Before, "%s: %q did not lead to mode %s: it said %.200q, and its prompt is %.80q", d.endpoint.place(), m.text, want, strings.TrimSpace(string(c.output.Bytes)), d.clean(c.prompt))
		}
	}
	return nil
}

// Questions on the way out of a configuration that was not committed.
var (
	uncommitted = regexp.MustCompile(`(?i)uncommitted changes found.*\[?cancel\]?:? ?$`)
	discards    = regexp.MustCompile(`(?i)exit with uncommitted changes\? \[yes,no\] \(yes\) ?$`)
)

// earlier is an error of what was sent on the way to a mode.
func earlier(err error) error {
	he := *asError(err)
	return hostfuncs.Errorf(he.Code, hostfuncs.Before, "%s%w", he.Message, hushed{err})
}

// raise goes from Exec to Privileged. The password is sent once, to the question for
// it, and to nothing else.
func (d *Dialog) raise(ctx context.Context) error {
	p := d.platform
	if p.enable == "" {
		return hostfuncs.Errorf(hostfuncs.BecomeFailed, hostfuncs.Before, "%s: %s has no command that leads to mode privileged; log in as an account that may%w", d.endpoint.place(), d.conf.Platform, hushed{&BecomeError{NotAllowed}})
	}
	m := move{text: p.enable, expect: []*regexp.Regexp{asksSecret}}
	if d.conf.Enable != nil {
		m.answers = []answer{{question: asksSecret, secret: d.conf.Enable}}
	}
	c, err := d.exchange(ctx, m)
	if err != nil {
		return earlier(err)
	}
	said := strings.TrimSpace(string(c.output.Bytes))
	switch {
	case c.matched >= 0 && d.conf.Enable == nil:
		return d.notRaised(PasswordRequired, "it asks for a password, and there is none; give the credential that holds it", said)
	case c.matched >= 0 || p.modes(c.prompt) == Exec && wrongSecret.MatchString(said):
		return d.notRaised(WrongPassword, "it did not take the password; check the credential for it", said)
	case p.modes(c.prompt) == Exec:
		return d.notRaised(BecomeRefused, "its mode is exec still", said)
	}
	return nil
}

var wrongSecret = regexp.MustCompile(`(?i)access denied|bad (secret|password|enable)|authentication fail|incorrect|login invalid|permission denied`)

func (d *Dialog) notRaised(cause BecomeCause, why, said string) error {
	if said != "" {
		why += fmt.Sprintf(" (it said %.200q)", strings.Join(strings.Fields(said), " "))
	}
	return hostfuncs.Errorf(hostfuncs.BecomeFailed, hostfuncs.Before, "go to mode privileged on %s: %s: %s%w",
		d.endpoint.place(), strings.ReplaceAll(string(cause), "_", " "), why, hushed{&BecomeError{cause}})
}
