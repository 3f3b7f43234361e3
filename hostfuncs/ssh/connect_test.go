package ssh_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	xssh "golang.org/x/crypto/ssh"

	"opsconductor.dev/hostfuncs"
	"opsconductor.dev/hostfuncs/ssh"
	"opsconductor.dev/hostfuncs/ssh/sshtest"
)

var _ hostfuncs.Secret = secret(nil)

func pemKey(t *testing.T, kind, passphrase string) string {
	t.Helper()
	var key any
	var err error
	switch kind {
	case "rsa":
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	case "ecdsa":
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	default:
		key, err = xssh.ParseRawPrivateKey([]byte(sshtest.NewKey()))
	}
	if err != nil {
		t.Fatal(err)
	}
	var block *pem.Block
	if passphrase == "" {
		block, err = xssh.MarshalPrivateKey(key, "")
	} else {
		block, err = xssh.MarshalPrivateKeyWithPassphrase(key, "", []byte(passphrase))
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(block))
}

func TestKeys(t *testing.T) {
	t.Parallel()
	keys := map[string]string{"rsa": pemKey(t, "rsa", ""), "ecdsa": pemKey(t, "ecdsa", ""), "ed25519": pemKey(t, "ed25519", "")}
	var authorized []string
	for _, k := range keys {
		authorized = append(authorized, mustPublic(t, k))
	}
	hosts := []string{pemKey(t, "rsa", ""), pemKey(t, "ecdsa", ""), pemKey(t, "ed25519", "")}
	srv := server(t, sshtest.Config{Authorized: authorized, HostKeys: hosts})
	p := pool(t, ssh.Options{})
	for name, key := range keys {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := endpoint(srv)
			e.Credential.Name, e.Credential.PrivateKey = name, secret(key)
			run(t, p, e, ssh.Command{Argv: []string{"true"}})
		})
	}
	// A server with three host keys, of which one is pinned: that one is asked for.
	for i, pinned := range srv.HostKeys {
		e := endpoint(srv)
		e.HostKeys = []string{pinned}
		if _, err := p.Exec(t.Context(), e, ssh.Command{Argv: []string{"true"}}); err != nil {
			t.Errorf("with host key %d pinned: %v", i, err)
		}
	}
}

func TestEncryptedKey(t *testing.T) {
	t.Parallel()
	key := pemKey(t, "ed25519", "open sesame")
	raw, err := xssh.ParsePrivateKeyWithPassphrase([]byte(key), []byte("open sesame"))
	if err != nil {
		t.Fatal(err)
	}
	srv := server(t, sshtest.Config{Authorized: []string{strings.TrimSpace(string(xssh.MarshalAuthorizedKey(raw.PublicKey())))}})
	e := endpoint(srv)
	p := pool(t, ssh.Options{})
	e.Credential.PrivateKey = secret(key)
	_, err = p.Exec(t.Context(), e, ssh.Command{Argv: []string{"true"}})
	wantError(t, err, hostfuncs.AuthFailed, hostfuncs.Before, "no passphrase", "credential key")
	e.Credential.Passphrase = secret("wrong")
	_, err = p.Exec(t.Context(), e, ssh.Command{Argv: []string{"true"}})
	wantError(t, err, hostfuncs.AuthFailed, hostfuncs.Before, "does not open it")
	e.Credential.Passphrase = secret("open sesame")
	run(t, p, e, ssh.Command{Argv: []string{"true"}})
}

func TestWrongKey(t *testing.T) {
	t.Parallel()
	e := endpoint(server(t, sshtest.Config{}))
	e.Credential.PrivateKey = secret(sshtest.NewKey())
	_, err := pool(t, ssh.Options{}).Exec(t.Context(), e, ssh.Command{Argv: []string{"true"}})
	wantError(t, err, hostfuncs.AuthFailed, hostfuncs.Before, "web1", "tried publickey", "the server offers publickey", "credential key")
}

func TestPassword(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		conf sshtest.FakeConfig
		pass string
		want []string // of the error; nil: it works
	}{
		"password":           {pass: sshtest.Password},
		"wrong":              {pass: "wrong", want: []string{"tried password", "offers password", "fake1", "tester"}},
		"interactive":        {conf: sshtest.FakeConfig{Interactive: []string{"Password: "}}, pass: sshtest.Password},
		"wrong, interactive": {conf: sshtest.FakeConfig{Interactive: []string{"Password: "}}, pass: "wrong", want: []string{"tried keyboard-interactive"}},
		"two prompts":        {conf: sshtest.FakeConfig{Interactive: []string{"Password: ", "Code: "}}, pass: sshtest.Password, want: []string{"offers keyboard-interactive"}},
		"a visible prompt":   {conf: sshtest.FakeConfig{Interactive: []string{"Name: "}, Visible: true}, pass: sshtest.Password, want: []string{"offers keyboard-interactive"}},
		"keys only":          {conf: sshtest.FakeConfig{Keys: true}, pass: sshtest.Password, want: []string{"tried nothing that it takes", "offers publickey", "a password"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := fake(t, tc.conf)
			e := fakeEndpoint(f)
			e.Credential.Password = secret(tc.pass)
			_, err := pool(t, ssh.Options{}).Exec(t.Context(), e, ssh.Command{Argv: []string{"true"}})
			if tc.want == nil {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantError(t, err, hostfuncs.AuthFailed, hostfuncs.Before, tc.want...)
			if tc.conf.Visible && len(f.Passwords()) > 0 {
				t.Error("the password was given to a prompt that is not hidden")
			}
			if strings.Contains(err.Error(), tc.pass) && tc.pass != "wrong" {
				t.Errorf("the error has the password: %v", err)
			}
		})
	}
}

// No credential byte before the host key is checked: what stands in between sees
// no password.
func TestHostKey(t *testing.T) {
	t.Parallel()
	other := sshtest.NewKey()
	rsaKey := pemKey(t, "rsa", "")
	for name, tc := range map[string]struct {
		pinned []string
		code   hostfuncs.Code
		words  []string
	}{
		"changed":      {[]string{mustPublic(t, other)}, hostfuncs.HostKeyMismatch, []string{"pinned is " + print(t, other), "no credential was sent", "opsconductor asset update fake1"}},
		"another type": {[]string{mustPublic(t, rsaKey)}, hostfuncs.HostKeyMismatch, []string{"pinned is " + print(t, rsaKey), "no credential was sent"}},
		"not pinned":   {nil, hostfuncs.HostKeyUnknown, []string{"no credential was sent", "opsconductor asset update fake1"}},
		"not a key":    {[]string{"ssh-ed25519 nonsense"}, hostfuncs.BadRequest, []string{"host key 1"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := fake(t, sshtest.FakeConfig{})
			e := fakeEndpoint(f)
			e.HostKeys = tc.pinned
			_, err := pool(t, ssh.Options{}).Exec(t.Context(), e, ssh.Command{Argv: []string{"true"}})
			wantError(t, err, tc.code, hostfuncs.Before, tc.words...)
			if got := f.Passwords(); len(got) > 0 {
				t.Errorf("the server was sent %d passwords", len(got))
			}
			if tc.code != hostfuncs.BadRequest && !strings.Contains(err.Error(), fingerprint(t, f.HostKey)) {
				t.Errorf("the error does not show the key offered: %v", err)
			}
		})
	}
}

func fingerprint(t *testing.T, public string) string {
	t.Helper()
	k, _, _, _, err := xssh.ParseAuthorizedKey([]byte(public))
	if err != nil {
		t.Fatal(err)
	}
	return xssh.FingerprintSHA256(k)
}

func print(t *testing.T, private string) string {
	t.Helper()
	return fingerprint(t, mustPublic(t, private))
}

func TestAlgorithmMismatch(t *testing.T) {
	t.Parallel()
	f := fake(t, sshtest.FakeConfig{Crypto: xssh.Config{Ciphers: []string{"aes128-cbc"}}})
	_, err := pool(t, ssh.Options{}).Exec(t.Context(), fakeEndpoint(f), ssh.Command{Argv: []string{"true"}})
	wantError(t, err, hostfuncs.AlgorithmMismatch, hostfuncs.Before, "it offers aes128-cbc", "aes256-gcm@openssh.com")
}

func TestNoServer(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := netip.MustParseAddrPort(l.Addr().String())
	_ = l.Close()
	e := ssh.Endpoint{
		Name: "gone", Host: "127.0.0.1", Port: int(addr.Port()), Check: allow, HostKeys: []string{mustPublic(t, sshtest.NewKey())},
		Credential: hostfuncs.Credential{Name: "key", Username: "root", PrivateKey: secret(sshtest.NewKey())},
	}
	p := pool(t, ssh.Options{})
	_, err = p.Exec(t.Context(), e, ssh.Command{Argv: []string{"true"}})
	wantError(t, err, hostfuncs.Unreachable, hostfuncs.Before, "gone (127.0.0.1:", "refused", "nothing listens there")
	e.Host = "no-such-host.invalid"
	_, err = p.Exec(t.Context(), e, ssh.Command{Argv: []string{"true"}})
	wantError(t, err, hostfuncs.Unreachable, hostfuncs.Before, "no-such-host.invalid", "resolve")
	e.Host = "127.0.0.1"
	for name, spoil := range map[string]func(*ssh.Endpoint){
		"no address": func(e *ssh.Endpoint) { e.Host = "" },
		"bad port":   func(e *ssh.Endpoint) { e.Port = 70000 },
	} {
		bad := e
		spoil(&bad)
		if _, err := p.Exec(t.Context(), bad, ssh.Command{Argv: []string{"true"}}); err == nil {
			t.Errorf("%s: no error", name)
		} else {
			wantError(t, err, hostfuncs.BadRequest, hostfuncs.Before, "gone")
		}
	}
}

// A server that stops answering, or goes, at any point ends the call in time.
func TestHostile(t *testing.T) {
	t.Parallel()
	type phase = sshtest.Phase
	all := []phase{sshtest.Banner, sshtest.Kex, sshtest.Auth, sshtest.Channel, sshtest.Exec, sshtest.Running}
	for _, stalls := range []bool{true, false} {
		for _, at := range all {
			name, conf := "close at "+string(at), sshtest.FakeConfig{Close: at}
			if stalls {
				name, conf = "stall at "+string(at), sshtest.FakeConfig{Stall: at}
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				f := fake(t, conf)
				o := quick()
				o.HandshakeTimeout, o.OpenTimeout, o.StartTimeout = time.Second, time.Second, time.Second
				cmd := ssh.Command{Argv: []string{"true"}}
				if at == sshtest.Running { // all other phases have deadlines of their own
					cmd.Timeout = 2 * time.Second
				}
				start := time.Now()
				_, err := pool(t, o).Exec(t.Context(), fakeEndpoint(f), cmd)
				if took := time.Since(start); took > 20*time.Second {
					t.Errorf("it took %s", took)
				}
				want, codes := hostfuncs.Before, []hostfuncs.Code{hostfuncs.Timeout, hostfuncs.Lost, hostfuncs.Throttled}
				if slices.Index(all, at) >= slices.Index(all, sshtest.Exec) {
					want = hostfuncs.After
				}
				he := hostfuncs.Errorf("", "", "%v", err)
				if e, ok := err.(*hostfuncs.Error); ok { //nolint:errorlint // Exec's own
					he = e
				}
				if he.Phase != want || !slices.Contains(codes, he.Code) {
					t.Errorf("code %s phase %s, want one of %v, %s: %v", he.Code, he.Phase, codes, want, err)
				}
				t.Log(err)
			})
		}
	}
}

func TestHostileOutput(t *testing.T) {
	t.Parallel()
	o := quick()
	o.Discard = 4 << 20
	flood := fake(t, sshtest.FakeConfig{Flood: true})
	_, err := pool(t, o).Exec(t.Context(), fakeEndpoint(flood), ssh.Command{Argv: []string{"true"}, MaxOutput: 100})
	wantError(t, err, hostfuncs.OutputLimit, hostfuncs.After, "not known")
	http := fake(t, sshtest.FakeConfig{Greeting: strings.Repeat("x", 5000)})
	_, err = pool(t, o).Exec(t.Context(), fakeEndpoint(http), ssh.Command{Argv: []string{"true"}})
	wantError(t, err, hostfuncs.Protocol, hostfuncs.Before, "does not speak SSH")
	none := fake(t, sshtest.FakeConfig{RefuseSessions: true})
	_, err = pool(t, o).Exec(t.Context(), fakeEndpoint(none), ssh.Command{Argv: []string{"true"}})
	wantError(t, err, hostfuncs.Protocol, hostfuncs.Before, "refuses every session")
}

// A connection dropped before its banner (MaxStartups) is tried again.
func TestDropped(t *testing.T) {
	t.Parallel()
	f := fake(t, sshtest.FakeConfig{Drop: 3})
	run(t, pool(t, ssh.Options{}), fakeEndpoint(f), ssh.Command{Argv: []string{"true"}})
	if n := f.Accepted(); n != 4 {
		t.Errorf("%d connections, want 4", n)
	}
}

// A forced command, or a login shell that only says goodbye, is not our command.
func TestForcedCommand(t *testing.T) {
	t.Parallel()
	srv := server(t, sshtest.Config{Options: []string{`ForceCommand echo "no logins here"; exit 0`}})
	_, err := pool(t, ssh.Options{}).Exec(t.Context(), endpoint(srv), ssh.Command{Argv: []string{"true"}})
	wantError(t, err, hostfuncs.Protocol, hostfuncs.After, "did not run the command", "no logins here", "exit code 0")
}

// The address that is dialled is the one that was checked, whatever the name
// server says the second time; and one forbidden address forbids the name.
func TestRebinding(t *testing.T) {
	t.Parallel()
	srv := server(t, sshtest.Config{})
	e := endpoint(srv)
	e.Host = "rebind.test"
	answers := [][]netip.Addr{{netip.MustParseAddr("127.0.0.1")}, {netip.MustParseAddr("169.254.169.254")}}
	asked := 0
	var dialled []string
	o := ssh.Options{Dialer: hostfuncs.Dialer{
		Lookup: func(context.Context, string) ([]netip.Addr, error) { asked++; return answers[asked-1], nil },
		Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			dialled = append(dialled, address)
			return (&net.Dialer{}).DialContext(ctx, network, address)
		},
	}}
	e.Check = func(_ context.Context, a netip.Addr) error {
		if a.IsLinkLocalUnicast() {
			return hostfuncs.Errorf(hostfuncs.Denied, hostfuncs.Before, "metadata address")
		}
		return nil
	}
	run(t, pool(t, o), e, ssh.Command{Argv: []string{"true"}})
	if asked != 1 || !slices.Equal(dialled, []string{srv.Addr}) {
		t.Errorf("resolved %d times and dialled %v, want once and %s", asked, dialled, srv.Addr)
	}
	_, err := pool(t, o).Exec(t.Context(), e, ssh.Command{Argv: []string{"true"}})
	wantError(t, err, hostfuncs.Denied, hostfuncs.Before, "metadata")
	if len(dialled) != 1 {
		t.Errorf("dialled %v", dialled)
	}
}

// DialsPerServer bounds the connections to one server that are not authenticated.
func TestGate(t *testing.T) {
	t.Parallel()
	f := fake(t, sshtest.FakeConfig{Stall: sshtest.Banner})
	var resolved atomic.Int32
	p := pool(t, ssh.Options{DialsPerServer: 3, SessionsPerConn: 1, Dialer: hostfuncs.Dialer{
		Lookup: func(context.Context, string) ([]netip.Addr, error) {
			resolved.Add(1)
			return []netip.Addr{netip.MustParseAddr(f.Host)}, nil
		},
	}})
	e := fakeEndpoint(f)
	e.Host = "gate.test"
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			_, err := p.Exec(ctx, e, ssh.Command{Argv: []string{"true"}})
			wantError(t, err, hostfuncs.Cancelled, hostfuncs.Before)
		})
	}
	eventually(t, "all are there and three are connected", func() bool { return resolved.Load() == 10 && f.Accepted() >= 3 })
	run(t, p, fakeEndpoint(fake(t, sshtest.FakeConfig{})), ssh.Command{Argv: []string{"sleep", "0.2"}}) // the others have had time
	if n := f.Accepted(); n != 3 {                                                                      // who is cancelled makes room, for a moment
		t.Errorf("%d connections at a time, want 3", n)
	}
	cancel()
	wg.Wait()
}
