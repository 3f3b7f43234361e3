package ssh

import (
	"bytes"
	"context"
	"fmt"
	"regexp"
	"strings"
	"time"

	"opsconductor.dev/hostfuncs"
)

// move is one exchange within a dialog: what is sent, and what ends the wait.
type move struct {
	text    string
	secret  hostfuncs.Secret // in place of text; it is not looked for as an echo
	silent  bool             // nothing is sent
	noEnter bool
	expect  []*regexp.Regexp
	answers []answer
	keep    int // bytes of the output; 0: as the dialog has it
	closes  bool
}

// answer is given once, to the question that the pattern fits.
type answer struct {
	question *regexp.Regexp
	text     string
	secret   hostfuncs.Secret
}

// came is what an exchange brought.
type came struct {
	output  Output
	raw     string // not redacted
	prompt  string // the line on which the other side waits now
	matched int    // index in move.expect; -1: it is the prompt
	closed  bool
}

// await waits until look says that it has seen enough, or nothing more can come
// (ended). look is called under mu, with how long nothing has come.
func (d *Dialog) await(ctx context.Context, look func(quiet time.Duration) bool) (ended bool, err error) {
	tick := time.NewTicker(max(d.pool.opt.DialogQuiet/4, time.Millisecond))
	defer tick.Stop()
	for {
		d.mu.Lock()
		seen, flooded, ended := look(time.Since(d.heard)), d.flooded, d.ended
		d.mu.Unlock()
		switch {
		case flooded:
			return false, d.tooMuch()
		case seen:
			return false, nil
		case ended:
			return true, nil
		}
		select {
		case <-d.news:
		case <-tick.C:
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
}

// send writes in the background, so that a server that does not read holds nobody
// up but the exchange.
func (d *Dialog) send(text []byte) {
	d.pool.wg.Go(func() { _, _ = d.ch.Write(text) })
}

// learn finds out what the prompt is: a line that fits the pattern, or that comes
// again after Enter.
func (d *Dialog) learn(ctx context.Context) error {
	quiet := d.pool.opt.DialogQuiet
	seen, sentAt, sent, nudges := "", int64(0), time.Now(), 0
	ended, err := d.await(ctx, func(silence time.Duration) bool {
		if d.page() {
			return false
		}
		line := strings.TrimRight(d.screen.last(), " ")
		if d.pattern != nil {
			d.prompt = d.screen.last()
			return d.pattern.MatchString(d.prompt)
		}
		lines := d.screen.done.total
		if line != "" && line == seen && lines > sentAt {
			d.prompt = d.screen.last()
			return true
		}
		// Without an echo there is no new line: the prompt comes again beside itself.
		if n := len(seen); n > 0 && lines == sentAt && len(line) >= 2*n && strings.HasSuffix(line, seen) {
			d.prompt, d.echoes = strings.TrimPrefix(d.screen.last()[strings.LastIndex(line, seen):], " "), echoless
			return true
		}
		// A device that was slow to wake answers all that was sent meanwhile at once.
		if one := repeated(d.screen.last()); nudges > 0 && one != "" && silence >= quiet {
			d.prompt = one
			return true
		}
		wait := quiet
		switch {
		case line == "":
			wait = 4 * quiet << min(nudges, 4) // not all in vain: it may be slow to wake
		case likePrompt.MatchString(line):
			wait = quiet / 5
		}
		if silence < wait || time.Since(sent) < wait || nudges >= maxNudges {
			return false
		}
		if line != seen || line == "" {
			seen, sentAt, sent = line, lines, time.Now()
			nudges++
			d.send([]byte("\n"))
		}
		return false
	})
	if err != nil || ended {
		return d.unlearned(ctx, err)
	}
	if d.pattern == nil {
		d.pattern = learned(d.prompt)
	}
	return nil
}

// repeated returns the prompt of which a line holds several, one beside the other, and
// nothing else; "": it is no such line.
func repeated(line string) string {
	for n := 2; n <= len(line)/2; n++ {
		if one := line[:n]; len(line)%n == 0 && line == strings.Repeat(one, len(line)/n) && likePrompt.MatchString(one) {
			return one
		}
	}
	return ""
}

// maxNudges is how often Enter is sent to bring the prompt.
const maxNudges = 10

// unlearned is the error of a dialog whose prompt did not come.
func (d *Dialog) unlearned(ctx context.Context, err error) error {
	d.mu.Lock()
	last := d.clean(d.screen.last())
	d.mu.Unlock()
	switch {
	case err != nil && ctx.Err() == nil:
		return err
	case err != nil:
		return hostfuncs.Ended(ctx, hostfuncs.Before, "open a dialog with %s: no prompt came (the last line is %.120q); name the prompt as a pattern, or check what the account gets", d.endpoint.place(), last)
	}
	return hostfuncs.Errorf(hostfuncs.Lost, hostfuncs.Before, "%s closed the session before it had shown a prompt (the last line is %.120q); check what the account gets", d.endpoint.place(), last)
}

// page goes on where a pager waits, all the same. Under mu.
func (d *Dialog) page() bool {
	if !d.screen.pager() {
		return false
	}
	d.send([]byte(" "))
	return true
}

// exchange sends and waits for the prompt, or for what is expected. Whoever calls it
// has the turn. On an error nothing further can be done with the dialog.
func (d *Dialog) exchange(ctx context.Context, m move) (came, error) {
	began := time.Now()
	if m.closes { // whether the session or the connection ends it counts
		defer d.conn.wire.tail.await()()
	}
	d.mu.Lock()
	if !m.silent {
		d.fresh(m.keep)
	}
	d.mu.Unlock()
	if text := m.bytes(); text != nil {
		d.send(text)
	}
	w := &watch{d: d, move: m, began: began, matched: -1, echo: m.text == "" || m.secret != nil || m.silent}
	ended, err := d.await(ctx, w.look)
	d.mu.Lock()
	defer d.mu.Unlock()
	if err != nil || ended {
		if ended && m.closes {
			out := came{output: d.keptOf(m), closed: true, matched: -1}
			if d.cut {
				out.output = out.output.cutOff(d.conf.Slack, nil)
			}
			return out, nil
		}
		return came{}, d.broken(ctx, err, ended)
	}
	if !w.echo && d.echoes == echoUnknown {
		d.echoes = echoless
	}
	out := came{prompt: d.screen.last(), matched: w.matched}
	if w.matched < 0 {
		d.prompt = out.prompt
	}
	out.raw = string(d.screen.done.buf)
	out.output = d.keptOf(m)
	d.heard = time.Now()
	return out, nil
}

// bytes returns what a move sends; nil: nothing.
func (m move) bytes() []byte {
	if m.silent {
		return nil
	}
	text := []byte(m.text)
	if m.secret != nil {
		text = bytes.Clone(m.secret.Reveal())
	}
	if m.noEnter {
		return text
	}
	return append(text, '\n')
}

// watch looks for the end of an exchange.
type watch struct {
	d       *Dialog
	move    move
	began   time.Time
	echo    bool // what was sent has been shown, or need not be
	given   []bool
	matched int
}

// look is called under mu.
func (w *watch) look(quiet time.Duration) bool {
	d := w.d
	if d.page() {
		return false
	}
	if !w.echo && shown(d.screen, w.move.text) {
		w.echo, d.echoes = true, echoed
	}
	line, settled := d.screen.last(), quiet >= d.pool.opt.DialogQuiet && time.Since(w.began) >= d.pool.opt.DialogQuiet
	if strings.TrimSpace(line) == "" || !w.echo && d.echoes != echoless && !settled {
		return false
	}
	if i := firstMatch(line, w.questions()); i >= 0 && !w.given[i] {
		w.given[i] = true
		w.reply(w.move.answers[i])
		return false
	}
	if w.matched = firstMatch(line, w.move.expect); w.matched >= 0 {
		return true
	}
	if d.pattern.MatchString(line) {
		return true
	}
	// What came before did not end its line.
	if settled && d.prompt != "" && strings.HasSuffix(line, d.prompt) {
		d.screen.done.write([]byte(strings.TrimSuffix(line, d.prompt) + "\n"))
		d.screen.line = []rune(d.prompt)
		return true
	}
	// Another prompt than the one that was learned: the name was changed, or the place.
	if d.conf.Prompt == "" && quiet >= 2*d.pool.opt.DialogQuiet && likePrompt.MatchString(line) {
		d.pattern = learned(line)
		return true
	}
	return false
}

func (w *watch) questions() []*regexp.Regexp {
	if w.given == nil {
		w.given = make([]bool, len(w.move.answers))
	}
	out := make([]*regexp.Regexp, len(w.move.answers))
	for i, a := range w.move.answers {
		if out[i] = a.question; w.given[i] {
			out[i] = never
		}
	}
	return out
}

// never matches nothing.
var never = regexp.MustCompile(`^$.`)

// reply answers a question. The line stays in the output; what is typed there is not
// shown, or is redacted.
func (w *watch) reply(a answer) {
	s := w.d.screen
	s.newLine()
	m := move{text: a.text, secret: a.secret}
	w.d.send(m.bytes())
}

// shown reports whether a text has come back, as a terminal shows it: blanks and
// line ends are not compared, since it may break the line.
func shown(s *screen, text string) bool {
	const room = 8 << 10
	head := s.done.buf[:min(len(s.done.buf), room+4*len(text))]
	return strings.Contains(squeeze(string(head)+string(s.line)), squeeze(text))
}

func squeeze(text string) string { return strings.Join(strings.Fields(text), "") }

// withoutEcho cuts off the line that shows what was sent, and what was left of the
// prompt before it. What came between (a message of the device's) stays.
func withoutEcho(text, sent string) string {
	want := squeeze(sent)
	if want == "" {
		return text
	}
	lines := strings.SplitAfter(text, "\n")
	const near = 200 // lines that may come before the echo
	var so strings.Builder
	for j := range lines[:min(near, len(lines))] {
		if so.WriteString(squeeze(lines[j])); !strings.Contains(so.String(), want) {
			continue
		}
		i, part := j, squeeze(lines[j])
		for i > 0 && !strings.Contains(part, want) {
			i--
			part = squeeze(lines[i]) + part
		}
		return strings.Join(lines[:i], "") + strings.Join(lines[j+1:], "")
	}
	return text
}

// keptOf returns the output of a move: without echo, prompt and the blank lines
// around it. Under mu.
func (d *Dialog) keptOf(m move) Output {
	c := d.screen.done
	if m.secret == nil && !m.silent {
		rest := withoutEcho(string(c.buf), m.text)
		c.total -= int64(len(c.buf) - len(rest))
		c.buf = []byte(rest)
	}
	return d.kept()
}

func (d *Dialog) kept() Output {
	out := d.screen.done.output(d.conf.Redact)
	out.Bytes = bytes.Trim(out.Bytes, "\n")
	if !out.Truncated && d.conf.Platform == Junos {
		if i := bytes.LastIndexByte(out.Bytes, '\n'); bytes.HasPrefix(out.Bytes[i+1:], []byte("[edit")) {
			out.Bytes = bytes.Trim(out.Bytes[:i+1], "\n")
		}
	}
	return out
}

// clean redacts a text for an error.
func (d *Dialog) clean(text string) string {
	if d.conf.Redact != nil {
		text = string(d.conf.Redact([]byte(text)))
	}
	return text
}

// broken says why an exchange ended without its prompt; whoever has the turn closes
// the dialog. Under mu.
func (d *Dialog) broken(ctx context.Context, err error, ended bool) error {
	place, last := d.endpoint.place(), d.clean(d.screen.last())
	waits := fmt.Sprintf("what was sent may have acted; the session is closed (the last line is %.120q)", last)
	if !ended {
		if ctx.Err() == nil {
			return err
		}
		return hostfuncs.Ended(ctx, hostfuncs.After, "%s: neither its prompt nor what was expected came: %s", place, waits)
	}
	return hostfuncs.Errorf(hostfuncs.Lost, hostfuncs.After, "%s ended the session, or the connection was lost, before its prompt came: %s", place, waits)
}

func (d *Dialog) tooMuch() *hostfuncs.Error {
	return hostfuncs.Errorf(hostfuncs.OutputLimit, hostfuncs.After,
		"%s: it wrote more than %d bytes before its prompt came (max_output_bytes and %d more), so the session was closed; ask for less", d.endpoint.place(), d.screen.done.floodAt, d.pool.opt.Discard)
}
