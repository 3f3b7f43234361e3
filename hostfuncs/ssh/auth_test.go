package ssh_test

import (
	"context"
	"crypto/rand"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	xssh "golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"opsconductor.dev/hostfuncs"
	"opsconductor.dev/hostfuncs/ssh"
	"opsconductor.dev/hostfuncs/ssh/sshtest"
)

// signer reads a PEM private key.
func signer(t *testing.T, private string) xssh.Signer {
	t.Helper()
	s, err := xssh.ParsePrivateKey([]byte(private))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// certificate returns a certificate for a private key's public half, signed by ca.
func certificate(t *testing.T, ca, private string, edit func(*xssh.Certificate)) *xssh.Certificate {
	t.Helper()
	c := &xssh.Certificate{
		Key: signer(t, private).PublicKey(), Serial: 7, CertType: xssh.UserCert, KeyId: "test", ValidPrincipals: []string{"nobody"},
		ValidAfter: uint64(time.Now().Add(-time.Hour).Unix()), ValidBefore: uint64(time.Now().Add(time.Hour).Unix()),
		Permissions: xssh.Permissions{Extensions: map[string]string{"permit-pty": ""}},
	}
	edit(c)
	if err := c.SignCert(rand.Reader, signer(t, ca)); err != nil {
		t.Fatal(err)
	}
	return c
}

func line(k xssh.PublicKey) string { return strings.TrimSpace(string(xssh.MarshalAuthorizedKey(k))) }

// file writes a file that sshd reads.
func file(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestUserCertificate(t *testing.T) {
	t.Parallel()
	ca, key := sshtest.NewKey(), sshtest.NewKey()
	srv := server(t, sshtest.Config{Options: []string{"TrustedUserCAKeys " + file(t, "ca.pub", mustPublic(t, ca)+"\n")}})
	hour := func(n int) uint64 { return uint64(time.Now().Add(time.Duration(n) * time.Hour).Unix()) }
	for name, tc := range map[string]struct {
		edit func(*xssh.Certificate)
		want []string // of the error; nil: it works
	}{
		"good":              {edit: func(*xssh.Certificate) {}},
		"expired":           {edit: func(c *xssh.Certificate) { c.ValidAfter, c.ValidBefore = hour(-3), hour(-2) }, want: []string{"has expired", "nothing was sent"}},
		"not valid yet":     {edit: func(c *xssh.Certificate) { c.ValidAfter, c.ValidBefore = hour(2), hour(3) }, want: []string{"not valid yet", "nothing was sent"}},
		"another principal": {edit: func(c *xssh.Certificate) { c.ValidPrincipals = []string{"deploy"} }, want: []string{"is for deploy", "logs in as", "nothing was sent"}},
		"no principal":      {edit: func(c *xssh.Certificate) { c.ValidPrincipals = nil }, want: []string{"no principals"}},
		"a host's":          {edit: func(c *xssh.Certificate) { c.CertType = xssh.HostCert }, want: []string{"a host's"}},
		"of another key":    {edit: func(c *xssh.Certificate) { c.Key = signer(t, sshtest.NewKey()).PublicKey() }, want: []string{"another key"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := endpoint(srv)
			e.Credential.Name, e.Credential.PrivateKey = name, secret(key)
			e.Credential.Certificate = line(certificate(t, ca, key, func(c *xssh.Certificate) {
				c.ValidPrincipals = []string{srv.User}
				tc.edit(c)
			}))
			_, err := pool(t, ssh.Options{}).Exec(t.Context(), e, ssh.Command{Argv: []string{"true"}})
			if tc.want != nil {
				wantError(t, err, hostfuncs.AuthFailed, hostfuncs.Before, tc.want...)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
	e := endpoint(srv)
	e.Credential.PrivateKey, e.Credential.Certificate = secret(key), mustPublic(t, key)
	_, err := pool(t, ssh.Options{}).Exec(t.Context(), e, ssh.Command{Argv: []string{"true"}})
	wantError(t, err, hostfuncs.AuthFailed, hostfuncs.Before, "a plain public key")
	// RSA certificates sign by rsa-sha2.
	rsaKey := pemKey(t, "rsa", "")
	e.Credential.PrivateKey = secret(rsaKey)
	e.Credential.Certificate = line(certificate(t, ca, rsaKey, func(c *xssh.Certificate) { c.ValidPrincipals = []string{srv.User} }))
	run(t, pool(t, ssh.Options{}), e, ssh.Command{Argv: []string{"true"}})
}

// agentWith starts an agent that holds keys, at a socket.
func agentWith(t *testing.T, keys ...string) string {
	t.Helper()
	ring := agent.NewKeyring()
	for _, k := range keys {
		raw, err := xssh.ParseRawPrivateKey([]byte(k))
		if err != nil {
			t.Fatal(err)
		}
		if err := ring.Add(agent.AddedKey{PrivateKey: raw}); err != nil {
			t.Fatal(err)
		}
	}
	return serveAgent(t, ring)
}

// serveAgent serves an agent at a socket.
func serveAgent(t *testing.T, ring agent.Agent) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "agent") //nolint:usetesting // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { _ = agent.ServeAgent(ring, c); _ = c.Close() })
		}
	})
	t.Cleanup(func() { _ = l.Close(); wg.Wait() })
	return l.Addr().String()
}

// An agent with 20 keys, of which the last is right: named, it logs in; not
// named, the server is never offered more than it bears.
func TestAgent(t *testing.T) {
	t.Parallel()
	srv := server(t, sshtest.Config{Options: []string{"MaxAuthTries 6", "LogLevel DEBUG2"}})
	var keys []string
	for range 19 {
		keys = append(keys, sshtest.NewKey())
	}
	p := pool(t, ssh.Options{Agent: agentWith(t, append(keys, srv.ClientKey)...)})
	e := endpoint(srv)
	e.Credential = hostfuncs.Credential{Name: "agent", Version: 1, Kind: "ssh_agent", Username: srv.User}
	_, err := p.Exec(t.Context(), e, ssh.Command{Argv: []string{"true"}})
	wantError(t, err, hostfuncs.AuthFailed, hostfuncs.Before, "20 keys of the agent", "15 more keys were not offered", "MaxAuthTries")
	log, _ := os.ReadFile(srv.LogFile)
	if n := strings.Count(string(log), "Failed publickey"); n > 5 {
		t.Errorf("the server was offered %d keys, want 5 at the most", n)
	}
	for _, named := range []string{fingerprint(t, mustPublic(t, srv.ClientKey)), mustPublic(t, srv.ClientKey)} {
		e.Credential.PublicKey, e.Credential.Version = named, e.Credential.Version+1
		run(t, p, e, ssh.Command{Argv: []string{"true"}})
	}
	// It is never forwarded.
	r := run(t, p, e, ssh.Command{Argv: []string{"sh", "-c", "echo ${SSH_AUTH_SOCK-none}"}})
	if got := string(r.Stdout.Bytes); got != "none\n" {
		t.Errorf("SSH_AUTH_SOCK there is %q, want none", got)
	}
	e.Credential.PublicKey, e.Credential.Version = fingerprint(t, mustPublic(t, sshtest.NewKey())), 9
	_, err = p.Exec(t.Context(), e, ssh.Command{Argv: []string{"true"}})
	wantError(t, err, hostfuncs.AuthFailed, hostfuncs.Before, "does not have the key", "nothing was sent")
	_, err = pool(t, ssh.Options{}).Exec(t.Context(), e, ssh.Command{Argv: []string{"true"}})
	wantError(t, err, hostfuncs.AuthFailed, hostfuncs.Before, "--ssh-agent")
	_, err = pool(t, ssh.Options{Agent: "/nonexistent/agent"}).Exec(t.Context(), e, ssh.Command{Argv: []string{"true"}})
	wantError(t, err, hostfuncs.AuthFailed, hostfuncs.Before, "does not answer")
	_, err = pool(t, ssh.Options{Agent: agentWith(t)}).Exec(t.Context(), hostedBy(e), ssh.Command{Argv: []string{"true"}})
	wantError(t, err, hostfuncs.AuthFailed, hostfuncs.Before, "has no keys")
}

func hostedBy(e ssh.Endpoint) ssh.Endpoint {
	e.Credential.PublicKey = ""
	return e
}

const seed = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"

// asking returns what a server asks by keyboard-interactive, in order.
func TestPrompts(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	code := ssh.Code(t, seed, now)
	answer := func(prompt, text string, visible bool) hostfuncs.Answer {
		return hostfuncs.Answer{Prompt: prompt, Visible: visible, Text: secret(text)}
	}
	type ask = sshtest.Ask
	for name, tc := range map[string]struct {
		asks    []ask
		seed    string
		answers []hostfuncs.Answer
		want    []string
	}{
		"password and code":         {asks: []ask{{Prompt: "Password: ", Want: sshtest.Password}, {Prompt: "Verification code: ", Want: code}}, seed: seed},
		"both at once":              {asks: []ask{{Prompt: "Password: ", Want: sshtest.Password, Same: true}, {Prompt: "OTP: ", Want: code}}, seed: seed},
		"a visible code":            {asks: []ask{{Prompt: "Passcode: ", Want: code, Visible: true}}, seed: seed},
		"fixed":                     {asks: []ask{{Prompt: "Password:", Want: sshtest.Password}, {Prompt: "Favourite colour [a-z]? ", Want: "blue"}}, answers: []hostfuncs.Answer{answer("*colour [a-z]?", "blue", false)}},
		"a pattern for the code":    {asks: []ask{{Prompt: "Enter PIN/key: ", Want: code}}, seed: seed, answers: []hostfuncs.Answer{{Prompt: "enter pin/*"}}},
		"a visible question":        {asks: []ask{{Prompt: "Site: ", Want: "north", Visible: true}}, answers: []hostfuncs.Answer{answer("site:", "north", true)}},
		"not to a visible one":      {asks: []ask{{Prompt: "Site: ", Want: "north", Visible: true}}, answers: []hostfuncs.Answer{answer("site:", "north", false)}, want: []string{`it asks "Site: "`, "would show it"}},
		"no answer":                 {asks: []ask{{Prompt: "Password:", Want: sshtest.Password}, {Prompt: "Shoe size: ", Want: "43"}}, want: []string{`it asks "Shoe size: "`, "no answer"}},
		"asked again":               {asks: []ask{{Prompt: "Colour: ", Want: "blue"}, {Prompt: "Colour: ", Want: "blue"}}, answers: []hostfuncs.Answer{answer("colour:", "blue", false)}, want: []string{"gave it already"}},
		"an expired password":       {asks: []ask{{Prompt: "Password: ", Want: sshtest.Password}, {Prompt: "New password: ", Want: "x"}}, want: []string{"has expired"}},
		"a code that is not wanted": {asks: []ask{{Prompt: "Verification code: ", Want: "000000"}}, seed: seed, want: []string{"tried keyboard-interactive"}},
		"seventeen":                 {asks: manyAsks(17), want: []string{"17 questions at once"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := fake(t, sshtest.FakeConfig{Asks: tc.asks})
			e := fakeEndpoint(f)
			e.Credential.Answers = tc.answers
			if tc.seed != "" {
				e.Credential.OneTimeSeed = secret(tc.seed)
			}
			_, err := pool(t, ssh.Options{Now: func() time.Time { return now }}).Exec(t.Context(), e, ssh.Command{Argv: []string{"true"}})
			if tc.want == nil {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantError(t, err, hostfuncs.AuthFailed, hostfuncs.Before, tc.want...)
			for _, s := range []string{sshtest.Password, seed, code, "blue", "north"} {
				if strings.Contains(err.Error(), s) {
					t.Errorf("the error has a secret: %v", err)
				}
			}
		})
	}
}

func manyAsks(n int) []sshtest.Ask {
	out := make([]sshtest.Ask, n)
	for i := range out {
		out[i] = sshtest.Ask{Prompt: "Password: ", Want: "x", Same: true}
	}
	return out
}

// The codes of RFC 6238, appendix B.
func TestOneTimeCodes(t *testing.T) {
	t.Parallel()
	uri := func(secret, algorithm string) string {
		return "otpauth://totp/x?digits=8&algorithm=" + algorithm + "&secret=" + secret
	}
	const (
		s20 = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
		s32 = s20 + "GEZDGNBVGY3TQOJQGEZA"
		s64 = s20 + "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQGEZDGNA"
	)
	for _, tc := range []struct {
		seed string
		at   int64
		want string
	}{
		{uri(s20, "SHA1"), 59, "94287082"},
		{uri(s32, "SHA256"), 59, "46119246"},
		{uri(s64, "SHA512"), 59, "90693936"},
		{uri(s20, "SHA1"), 1111111109, "07081804"},
		{uri(s20, "SHA1"), 20000000000, "65353130"},
		{"gezd gnbv gy3t qojq-gezd gnbv gy3t qojq", 59, "287082"},
	} {
		if got := ssh.Code(t, tc.seed, time.Unix(tc.at, 0)); got != tc.want {
			t.Errorf("at %d: %s, want %s", tc.at, got, tc.want)
		}
	}
	for _, bad := range []string{"", "short", "not base32!", "otpauth://hotp/x?secret=" + s20, uri(s20, "MD5"), "otpauth://totp/x?digits=4&secret=" + s20, "otpauth://totp/x?period=1&secret=" + s20} {
		if err := ssh.CheckSeed(bad); err == nil {
			t.Errorf("seed %q passed", bad)
		} else if bad != "" && strings.Contains(err.Error(), bad) {
			t.Errorf("the error has the seed: %v", err)
		}
	}
}

// A code is sent to a server once: the second login waits for the next period,
// and the fourth is told to come later.
func TestCodeOnce(t *testing.T) {
	t.Parallel()
	now := time.Now()
	period := now.Unix() / 30
	start := time.Unix(period*30+29, 900e6) // the next period is near
	f := fake(t, sshtest.FakeConfig{Asks: []sshtest.Ask{{Prompt: "Code (OTP): "}}})
	p := pool(t, ssh.Options{Now: func() time.Time { return start }, SessionsPerConn: 1, HandshakeTimeout: 10 * time.Second})
	e := fakeEndpoint(f)
	e.Credential.Password, e.Credential.OneTimeSeed = nil, secret(seed)
	for v := range 2 {
		e.Credential.Version = int64(v + 1)
		run(t, p, e, ssh.Command{Argv: []string{"true"}})
	}
	got := f.Passwords()
	if len(got) != 2 || got[0] == got[1] || got[0] != ssh.Code(t, seed, start) || got[1] != ssh.Code(t, seed, start.Add(time.Second)) {
		t.Errorf("the codes sent are %q", got)
	}
	ctx, cancel := context.WithTimeoutCause(t.Context(), 300*time.Millisecond, context.DeadlineExceeded)
	defer cancel()
	e.Credential.Version = 3
	_, err := p.Exec(ctx, e, ssh.Command{Argv: []string{"true"}})
	wantError(t, err, hostfuncs.Timeout, hostfuncs.Before)
	e.Credential.Version = 4
	_, err = p.Exec(t.Context(), e, ssh.Command{Argv: []string{"true"}})
	wantError(t, err, hostfuncs.Throttled, hostfuncs.Before, "good for one login")
	if n := len(f.Passwords()); n != 2 {
		t.Errorf("%d codes were sent, want 2", n)
	}
}

// Public key, then keyboard-interactive: both parts in one credential, or an
// error that says what is missing.
func TestPartialSuccess(t *testing.T) {
	t.Parallel()
	key := sshtest.NewKey()
	f := fake(t, sshtest.FakeConfig{FirstKey: mustPublic(t, key), Asks: []sshtest.Ask{{Prompt: "Verification code: ", Want: "123456"}}})
	e := fakeEndpoint(f)
	e.Credential = hostfuncs.Credential{Name: "both", Version: 1, Kind: "ssh_key", Username: "tester", PrivateKey: secret(key)}
	p := pool(t, ssh.Options{})
	_, err := p.Exec(t.Context(), e, ssh.Command{Argv: []string{"true"}})
	wantError(t, err, hostfuncs.AuthFailed, hostfuncs.Before, "after it had taken publickey and asked for more", "the server offers keyboard-interactive", "more than one factor")
	e.Credential.Version = 2
	e.Credential.Answers = []hostfuncs.Answer{{Prompt: "verification*", Text: secret("123456")}}
	run(t, p, e, ssh.Command{Argv: []string{"true"}})
	// OpenSSH: two keys in turn.
	other := sshtest.NewKey()
	srv := server(t, sshtest.Config{Authorized: []string{mustPublic(t, other)}, Options: []string{"AuthenticationMethods publickey,publickey"}})
	two := endpoint(srv)
	_, err = p.Exec(t.Context(), two, ssh.Command{Argv: []string{"true"}})
	wantError(t, err, hostfuncs.AuthFailed, hostfuncs.Before, "after it had taken publickey", "the server offers publickey")
	withAgent := pool(t, ssh.Options{Agent: agentWith(t, srv.ClientKey, other)})
	two.Credential = hostfuncs.Credential{Name: "agent", Version: 1, Kind: "ssh_agent", Username: srv.User}
	run(t, withAgent, two, ssh.Command{Argv: []string{"true"}})
}

// A password that was refused is not sent again by the other method.
func TestPasswordOnce(t *testing.T) {
	t.Parallel()
	f := fake(t, sshtest.FakeConfig{Both: true})
	e := fakeEndpoint(f)
	e.Credential.Password = secret("wrong")
	_, err := pool(t, ssh.Options{}).Exec(t.Context(), e, ssh.Command{Argv: []string{"true"}})
	wantError(t, err, hostfuncs.AuthFailed, hostfuncs.Before, "tried password", "offers password, keyboard-interactive")
	if n := len(f.Passwords()); n != 1 {
		t.Errorf("the password was sent %d times, want once", n)
	}
}

// What is wrong is said by what the server offers.
func TestAuthAdvice(t *testing.T) {
	t.Parallel()
	keysOnly := fakeEndpoint(fake(t, sshtest.FakeConfig{Keys: true}))
	_, err := pool(t, ssh.Options{}).Exec(t.Context(), keysOnly, ssh.Command{Argv: []string{"true"}})
	wantError(t, err, hostfuncs.AuthFailed, hostfuncs.Before, "takes keys alone")
	words := fakeEndpoint(fake(t, sshtest.FakeConfig{}))
	words.Credential.Password, words.Credential.PrivateKey = nil, secret(sshtest.NewKey())
	_, err = pool(t, ssh.Options{}).Exec(t.Context(), words, ssh.Command{Argv: []string{"true"}})
	wantError(t, err, hostfuncs.AuthFailed, hostfuncs.Before, "takes passwords alone")
	srv := server(t, sshtest.Config{Options: []string{"MaxAuthTries 2"}})
	e := endpoint(srv)
	e.Credential = hostfuncs.Credential{Name: "agent", Version: 1, Kind: "ssh_agent", Username: srv.User}
	p := pool(t, ssh.Options{Agent: agentWith(t, sshtest.NewKey(), sshtest.NewKey(), sshtest.NewKey(), srv.ClientKey)})
	_, err = p.Exec(t.Context(), e, ssh.Command{Argv: []string{"true"}})
	wantError(t, err, hostfuncs.AuthFailed, hostfuncs.Before, "had enough of the offers (MaxAuthTries)")
}
