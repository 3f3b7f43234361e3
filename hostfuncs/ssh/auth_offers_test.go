package ssh_test

import (
	"context"
	"errors"
	"net"
	"slices"
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

// desk is a server that takes nothing but what its settings take, and notes what it is
// offered.
type desk struct {
	mu       sync.Mutex
	offers   []string // methods, without none
	keys     []string // types, each when it was asked about
	passed   bool
	wg       sync.WaitGroup
	listener net.Listener
	then     func(conn *xssh.ServerConn, requests <-chan *xssh.Request) // what it does behind a login; nil: nothing
	open     func(ch xssh.NewChannel)                                   // nil: it opens none
	ready    chan struct{}                                              // no session is refused before it is closed; nil: at once
}

// serveDesk starts a desk that ends with the test, and returns how to log in there.
func serveDesk(t *testing.T, settle func(d *desk, c *xssh.ServerConfig)) (*desk, ssh.Endpoint) {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := &desk{listener: l}
	hostKey := sshtest.NewKey()
	c := &xssh.ServerConfig{MaxAuthTries: 50, AuthLogCallback: func(_ xssh.ConnMetadata, method string, _ error) {
		if method != "none" {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.offers = append(d.offers, method)
		}
	}}
	c.AddHostKey(signer(t, hostKey))
	settle(d, c)
	d.wg.Go(func() { d.serve(c) })
	t.Cleanup(func() { _ = l.Close(); d.wg.Wait() })
	port := l.Addr().(*net.TCPAddr).Port //nolint:forcetypeassert // a TCP listener
	return d, ssh.Endpoint{
		Tenant: "default", Name: "desk1", Host: "127.0.0.1", Port: port, HostKeys: []string{mustPublic(t, hostKey)}, Check: allow,
		Credential: hostfuncs.Credential{Name: "all", Version: 1, Username: "tester"},
	}
}

func (d *desk) serve(c *xssh.ServerConfig) {
	for {
		wire, err := d.listener.Accept()
		if err != nil {
			return
		}
		d.wg.Go(func() {
			defer func() { _ = wire.Close() }()
			conn, chans, reqs, err := xssh.NewServerConn(wire, c)
			if err != nil {
				return
			}
			d.mu.Lock()
			d.passed = true
			d.mu.Unlock()
			d.wg.Go(func() {
				if d.then != nil {
					d.then(conn, reqs)
				}
				xssh.DiscardRequests(reqs)
			})
			for ch := range chans {
				if d.open != nil {
					d.wg.Go(func() { d.open(ch) })
					continue
				}
				if d.ready != nil {
					<-d.ready
				}
				_ = ch.Reject(xssh.Prohibited, "nothing but a login here")
			}
			_ = conn.Wait()
		})
	}
}

// count returns how often a method was offered.
func (d *desk) count(method string) (n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, m := range d.offers {
		if m == method {
			n++
		}
	}
	return n
}

// seen returns the types of the keys that were asked about, and whether anybody came in.
func (d *desk) seen() (keys []string, passed bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.keys), d.passed
}

// anybody lets everybody in who has a password.
func anybody(xssh.ConnMetadata, []byte) (*xssh.Permissions, error) { return nil, nil } //nolint:nilnil // no permissions are none

var errNotThis = errors.New("not this")

// takesNoKey notes keys.
func (d *desk) takesNoKey(_ xssh.ConnMetadata, k xssh.PublicKey) (*xssh.Permissions, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.keys = append(d.keys, k.Type())
	return nil, errNotThis
}

// askFor asks one thing, and takes no answer.
func askFor(prompt string) func(xssh.ConnMetadata, xssh.KeyboardInteractiveChallenge) (*xssh.Permissions, error) {
	return func(_ xssh.ConnMetadata, ask xssh.KeyboardInteractiveChallenge) (*xssh.Permissions, error) {
		_, _ = ask("", "", []string{prompt}, []bool{false})
		return nil, errNotThis
	}
}

// Of a credential with many keys, a password and answers each part is offered, in five
// offers: the keys leave room for the others, and neither of these is offered twice.
func TestOffersOfAllParts(t *testing.T) {
	t.Parallel()
	d, e := serveDesk(t, func(d *desk, c *xssh.ServerConfig) {
		c.PublicKeyCallback = d.takesNoKey
		c.PasswordCallback = func(xssh.ConnMetadata, []byte) (*xssh.Permissions, error) { return nil, errNotThis }
		c.KeyboardInteractiveCallback = askFor("Colour: ")
	})
	keys := make([]string, 9)
	for i := range keys {
		keys[i] = sshtest.NewKey()
	}
	e.Credential.Kind, e.Credential.Password = "ssh_agent", secret("open sesame")
	e.Credential.Answers = []hostfuncs.Answer{{Prompt: "colour:", Text: secret("blue")}}
	_, err := pool(t, ssh.Options{Agent: agentWith(t, keys...)}).Exec(t.Context(), e, truth)
	wantError(t, err, hostfuncs.AuthFailed, hostfuncs.Before, "6 more keys were not offered")
	if k, p, a := d.count("publickey"), d.count("password"), d.count("keyboard-interactive"); k != 3 || p != 1 || a != 1 {
		t.Errorf("%d keys, %d passwords and %d rounds of prompts were offered, want 3, 1, 1", k, p, a)
	}
}

// A password that was taken as one factor is not sent a second time as the next one.
func TestPasswordTakenOnce(t *testing.T) {
	t.Parallel()
	d, e := serveDesk(t, func(_ *desk, c *xssh.ServerConfig) {
		second := func(xssh.ConnMetadata, []byte) (*xssh.Permissions, error) { return nil, errNotThis }
		c.PasswordCallback = func(xssh.ConnMetadata, []byte) (*xssh.Permissions, error) {
			return nil, &xssh.PartialSuccessError{Next: xssh.ServerAuthCallbacks{PasswordCallback: second}}
		}
	})
	e.Credential.Password = secret("open sesame")
	_, err := pool(t, ssh.Options{}).Exec(t.Context(), e, truth)
	wantError(t, err, hostfuncs.AuthFailed, hostfuncs.Before, "after it had taken password and asked for more")
	if n := d.count("password"); n != 1 {
		t.Errorf("the password was sent %d times, want once", n)
	}
}

// hardware is an agent that holds a key of a kind that no profile has too.
type hardware struct{ agent.Agent }

func (h hardware) List() ([]*agent.Key, error) {
	keys, err := h.Agent.List()
	blob := xssh.Marshal(struct {
		Name, Key, Application string
	}{xssh.KeyAlgoSKED25519, strings.Repeat("k", 32), "ssh:"})
	return append([]*agent.Key{{Format: xssh.KeyAlgoSKED25519, Blob: blob}}, keys...), err
}

// A key by which no profile signs is not offered.
func TestNoOfferBeyondTheProfile(t *testing.T) {
	t.Parallel()
	ring := agent.NewKeyring()
	raw, err := xssh.ParseRawPrivateKey([]byte(sshtest.NewKey()))
	if err != nil {
		t.Fatal(err)
	}
	if err := ring.Add(agent.AddedKey{PrivateKey: raw}); err != nil {
		t.Fatal(err)
	}
	d, e := serveDesk(t, func(d *desk, c *xssh.ServerConfig) { c.PublicKeyCallback = d.takesNoKey })
	e.Credential.Kind = "ssh_agent"
	_, err = pool(t, ssh.Options{Agent: serveAgent(t, hardware{ring})}).Exec(t.Context(), e, truth)
	wantError(t, err, hostfuncs.AuthFailed, hostfuncs.Before, "tried publickey")
	if keys, _ := d.seen(); !slices.Equal(keys, []string{xssh.KeyAlgoED25519}) {
		t.Errorf("offered were %q, want the ed25519 key alone", keys)
	}
}

// An agent that does not answer is waited for as long as a handshake may take, and for
// no longer than the call.
func TestSilentAgent(t *testing.T) {
	t.Parallel()
	defer inTime(t)()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", t.TempDir()+"/s")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() }) // connections wait in its queue
	e := endpoint(server(t, sshtest.Config{}))
	e.Credential = hostfuncs.Credential{Name: "agent", Version: 1, Kind: "ssh_agent", Username: "nobody"}
	o := ssh.Options{Agent: l.Addr().String(), HandshakeTimeout: 200 * time.Millisecond}
	_, err = pool(t, o).Exec(t.Context(), e, truth)
	wantError(t, err, hostfuncs.AuthFailed, hostfuncs.Before, "does not list its keys", "nothing was sent")
	o.HandshakeTimeout = 0
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err = pool(t, o).Exec(ctx, e, truth); err == nil {
		t.Error("it came to an end without the agent")
	}
}

// A credential that holds nothing is refused, and nothing is offered.
func TestNothingToOffer(t *testing.T) {
	t.Parallel()
	d, e := serveDesk(t, func(_ *desk, c *xssh.ServerConfig) { c.NoClientAuth = true })
	_, err := pool(t, ssh.Options{}).Exec(t.Context(), e, truth)
	wantError(t, err, hostfuncs.AuthFailed, hostfuncs.Before, "credential all has neither a private key nor a password", "desk1")
	if _, passed := d.seen(); passed {
		t.Error("it logged in all the same")
	}
}
