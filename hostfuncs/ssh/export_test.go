package ssh

import (
	"context"
	"time"
)

// Wrap returns the exec request's command and the bytes that go before the
// command's standard input.
func Wrap(c Command, nonce string) (command string, stdin []byte) {
	w := wrap(c, nonce, false)
	return w.exec, w.stdin
}

// WrapBash is Wrap for an account whose login shell was bash.
func WrapBash(c Command, nonce string) (command string) { return wrap(c, nonce, true).exec }

// KnowsBash reports whether an account is known to log in with bash.
func (p *Pool) KnowsBash(e Endpoint) bool { return p.accounts.hasBash(e) }

// KillText is the shell text that ends a process group.
const KillText = killText

// Keep returns what is kept of a stream that arrives in the given parts.
func Keep(keep, slack int, redact func([]byte) []byte, parts ...[]byte) Output {
	c := &capture{keep: keep, slack: slack, floodAt: 1 << 40, flood: func() {}}
	for _, p := range parts {
		c.write(p)
	}
	return c.output(redact)
}

// Marked passes parts of standard error through the search for the wrapper's line,
// and returns what is left and what was found.
func Marked(nonce string, parts ...[]byte) (rest []byte, pid, group int, start string, found bool) {
	c := &capture{keep: 1 << 20, floodAt: 1 << 40, flood: func() {}}
	m := &marker{nonce: nonce, next: c, found: func(p process) { pid, group, start, found = p.pid, p.group, p.start, true }}
	for _, p := range parts {
		m.write(p)
	}
	m.flush()
	return c.buf, pid, group, start, found
}

// PassOn passes parts of standard output on, as of a command that then ends.
func PassOn(to Live, redact func([]byte) []byte, parts ...[]byte) {
	l := newLive(to, redact)
	for _, p := range parts {
		l.write("stdout", p)
	}
	l.end()
}

// Passing passes a command's output on.
type Passing struct{ l *live }

// NewPassing returns what passes a command's output on as it comes.
func NewPassing(to Live, redact func([]byte) []byte) Passing { return Passing{newLive(to, redact)} }

// Write passes a part on.
func (p Passing) Write(stream, part string) { p.l.write(stream, []byte(part)) }

// End is the command's end.
func (p Passing) End() { p.l.end() }

// JournalAge is journalAge.
func JournalAge(ago time.Duration) int64 { return journalAge(ago) }

// MaxJournals is maxJournals.
const MaxJournals = maxJournals

// GuardHash is guardHash.
func GuardHash(e Endpoint, c Command) string { return guardHash(e, c) }

// GuardFollow is the command that begins a guarded one under a token, or follows it,
// and the nonce of what it says.
func GuardFollow(o Options, token string, c Command) (follow Command, nonce string) {
	p := NewPool(o)
	defer func() { _ = p.Close() }()
	r := &guarded{pool: p, cmd: c, guard: Guard{Token: token}, hash: c.Hash(), nonce: newNonce()}
	r.telling = newTelling(c, r.nonce, r.keep())
	return r.follow(), r.nonce
}

// RemoteSum is the hash that a server makes of a file.
func (p *Pool) RemoteSum(ctx context.Context, e Endpoint, name string) (sum string, err error) {
	err = p.withFiles(ctx, e, func(ctx context.Context, f *files) error {
		sum = f.remoteSum(ctx, name)
		return nil
	})
	return sum, err
}

// EndAndAct lets a call for files end and begin to act, in that order or in the other,
// and returns what each says. The work then ends with the error did.
func (p *Pool) EndAndAct(ended context.Context, endFirst bool, did error) (end, act error) {
	f := &files{pool: p, broken: make(chan struct{})}
	done := make(chan error, 1)
	if !endFirst {
		act = f.enter(context.Background())
		done <- did
	}
	end = f.wait(ended, done)
	if endFirst {
		act = f.enter(ended)
	}
	return end, act
}

// Defaults are the options that o stands for.
func Defaults(o Options) Options { return o.withDefaults() }

// Remembers is how many endpoints and servers the pool knows.
func (p *Pool) Remembers() (endpoints, servers int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.groups), len(p.gates)
}

// KillArgv is the command that ends what a wrapper's line names.
func KillArgv(nonce, line string, grace int) []string {
	p, _ := parseMarker(line)
	return killArgv(nonce, p, grace)
}

// GateAfter is how many may be at a gate after connections of which each was dropped
// or got through.
func GateAfter(most int, dropped ...bool) int {
	g := &gate{most: most, bound: most, changed: make(chan struct{})}
	for _, d := range dropped {
		g.inside++
		g.exit(d)
	}
	return g.bound
}
