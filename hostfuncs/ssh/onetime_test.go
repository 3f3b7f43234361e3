package ssh_test

import (
	"context"
	"encoding/base32"
	"sync/atomic"
	"testing"
	"time"

	xssh "golang.org/x/crypto/ssh"

	"opsconductor.dev/hostfuncs"
	"opsconductor.dev/hostfuncs/ssh"
	"opsconductor.dev/hostfuncs/ssh/sshtest"
)

// What a prompt is that a credential must not answer: nothing is sent then.
func TestPromptsUnanswered(t *testing.T) {
	t.Parallel()
	type ask = sshtest.Ask
	const code = "Verification code: "
	for name, tc := range map[string]struct {
		asks    []ask
		seed    string
		answers []hostfuncs.Answer
		sent    int
		want    string
	}{
		"the old password, for a new one": {asks: []ask{{Prompt: "(current) UNIX password: "}}, want: "has expired"},
		"the current one":                 {asks: []ask{{Prompt: "Current password: "}}, want: "has expired"},
		"a new one":                       {asks: []ask{{Prompt: "New UNIX password: "}}, want: "has expired"},
		"once more":                       {asks: []ask{{Prompt: "Retype password: "}}, want: "has expired"},
		"and once more":                   {asks: []ask{{Prompt: "Re-enter your password: "}}, want: "has expired"},
		"another secret beside it":        {asks: []ask{{Prompt: "PIN: ", Same: true}, {Prompt: "Password: "}}, want: `it asks "PIN: "`},
		"another secret than the code":    {asks: []ask{{Prompt: "PIN: "}}, seed: seed, want: `it asks "PIN: "`},
		"another secret than an answer":   {asks: []ask{{Prompt: "PIN: "}}, answers: []hostfuncs.Answer{{Prompt: "colour:", Text: secret("blue")}}, want: `it asks "PIN: "`},
		"a code asked for twice":          {asks: []ask{{Prompt: code}, {Prompt: code}}, seed: seed, sent: 1, want: "gave it already"},
		"a code by a pattern, and twice":  {asks: []ask{{Prompt: "PIN: "}, {Prompt: code}}, seed: seed, answers: []hostfuncs.Answer{{Prompt: "pin:"}}, sent: 1, want: "gave it already"},
		"a code, and one by a pattern":    {asks: []ask{{Prompt: code}, {Prompt: "PIN: "}}, seed: seed, answers: []hostfuncs.Answer{{Prompt: "pin:"}}, sent: 1, want: "has no one-time code, or gave it already"},
		"a code that there is not":        {asks: []ask{{Prompt: "PIN: "}}, answers: []hostfuncs.Answer{{Prompt: "pin:"}}, want: "has no one-time code"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := fake(t, sshtest.FakeConfig{Asks: tc.asks})
			e := fakeEndpoint(f)
			if e.Credential.Answers = tc.answers; tc.seed != "" {
				e.Credential.OneTimeSeed = secret(tc.seed)
			}
			_, err := pool(t, ssh.Options{}).Exec(t.Context(), e, truth)
			wantError(t, err, hostfuncs.AuthFailed, hostfuncs.Before, tc.want)
			if got := f.Passwords(); len(got) != tc.sent {
				t.Errorf("%d answers were sent, want %d", len(got), tc.sent)
			}
		})
	}
}

// A code is spent at one server, for one credential of one tenant: the others have
// theirs of the same time.
func TestCodeIsSpentWhereItWasSent(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_010, 0) // 30 s before the next code
	want := ssh.Code(t, seed, now)
	ask := sshtest.FakeConfig{Asks: []sshtest.Ask{{Prompt: "OTP: "}}}
	first, second := fake(t, ask), fake(t, ask)
	p := pool(t, ssh.Options{Now: func() time.Time { return now }})
	login := func(f *sshtest.Fake, edit func(*ssh.Endpoint)) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		e := fakeEndpoint(f)
		e.Credential.Password, e.Credential.OneTimeSeed = nil, secret(seed)
		edit(&e)
		if _, err := p.Exec(ctx, e, truth); err != nil {
			t.Error(err)
		}
	}
	login(first, func(*ssh.Endpoint) {})
	login(first, func(e *ssh.Endpoint) { e.Tenant = "other" })
	login(first, func(e *ssh.Endpoint) { e.Credential.Name = "other" })
	login(second, func(*ssh.Endpoint) {})
	for _, got := range append(first.Passwords(), second.Passwords()...) {
		if got != want {
			t.Errorf("sent was %s, want %s", got, want)
		}
	}
}

// Codes of the past are forgotten, and those of now are not.
func TestCodesAreForgotten(t *testing.T) {
	t.Parallel()
	var now atomic.Int64
	now.Store(1_700_000_010)
	p := pool(t, ssh.Options{Now: func() time.Time { return time.Unix(now.Load(), 0) }})
	for i, want := range []int{1, 2, 1} {
		f := fake(t, sshtest.FakeConfig{Asks: []sshtest.Ask{{Prompt: "OTP: "}}})
		e := fakeEndpoint(f)
		e.Credential.OneTimeSeed = secret(seed)
		run(t, p, e, truth)
		if got := p.Codes(); got != want {
			t.Errorf("after login %d: %d are remembered, want %d", i+1, got, want)
		}
		now.Add(int64(i) * 60)
	}
}

// While a login waits for a code of its own no time of the server's runs; afterwards
// it does again.
func TestCodeIsWaitedFor(t *testing.T) {
	t.Parallel()
	const most, period = time.Second, 30 * time.Second
	start := time.Unix(1_700_000_010, 0).Add(period - most - 200*time.Millisecond)
	silent := make(chan struct{})
	logins := atomic.Int32{}
	d, e := serveDesk(t, func(_ *desk, c *xssh.ServerConfig) {
		c.KeyboardInteractiveCallback = func(_ xssh.ConnMetadata, ask xssh.KeyboardInteractiveChallenge) (*xssh.Permissions, error) {
			_, err := ask("", "", []string{"OTP: "}, []bool{false})
			if logins.Add(1) == 3 {
				<-silent
			}
			return nil, err
		}
	})
	t.Cleanup(func() { close(silent) })
	e.Credential.OneTimeSeed = secret(seed)
	var after atomic.Int64
	p := pool(t, ssh.Options{
		Now:              func() time.Time { return start.Add(time.Duration(after.Load())) },
		HandshakeTimeout: most, ConnectTimeout: most,
	})
	for i := range 2 { // the second one has to wait for longer than a handshake may take
		e.Credential.Version = int64(i + 2)
		_, err := p.Exec(t.Context(), e, truth)
		wantError(t, err, hostfuncs.Protocol, hostfuncs.Before, "refuses every session")
	}
	if n := d.count("keyboard-interactive"); n != 2 {
		t.Errorf("%d logins, want 2", n)
	}
	after.Store(int64(period + most + 100*time.Millisecond)) // the next code is near again
	e.Credential.Version = 4
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	_, err := p.Exec(ctx, e, truth)
	wantError(t, err, hostfuncs.Timeout, hostfuncs.Before, "it accepted the connection and then fell silent, authenticating for 1s")
}

// Which seeds are none, and which are at the edge.
func TestSeedBounds(t *testing.T) {
	t.Parallel()
	const uri = "otpauth://totp/x?secret=" + seed
	bytes := func(n int) string { return base32.StdEncoding.EncodeToString(make([]byte, n)) }
	for text, good := range map[string]bool{
		uri + "&digits=6": true, uri + "&digits=8": true, uri + "&digits=5": false, uri + "&digits=9": false, uri + "&digits=x": false,
		uri + "&period=10": true, uri + "&period=120": true, uri + "&period=9": false, uri + "&period=121": false, uri + "&period=x": false,
		bytes(10): true, bytes(128): true, bytes(9): false, bytes(129): false,
	} {
		if err := ssh.CheckSeed(text); (err == nil) != good {
			t.Errorf("seed %.80q: %v, want it taken: %t", text, err, good)
		}
	}
}
