package ssh_test

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"opsconductor.dev/hostfuncs"
	"opsconductor.dev/hostfuncs/ssh"
	"opsconductor.dev/hostfuncs/ssh/sshtest"
)

func proxied(t *testing.T, c sshtest.Config) (*sshtest.Proxy, ssh.Endpoint) {
	t.Helper()
	return through(t, server(t, c))
}

// through returns a proxy before a server, and the way through it.
func through(t *testing.T, srv *sshtest.Server) (*sshtest.Proxy, ssh.Endpoint) {
	t.Helper()
	px, e := proxy(t, srv), endpoint(srv)
	e.Host, e.Port = px.Host, px.Port
	return px, e
}

func TestReuse(t *testing.T) {
	t.Parallel()
	px, e := proxied(t, sshtest.Config{Options: []string{"MaxSessions 1"}})
	p := pool(t, ssh.Options{})
	for i := range 10 {
		if r := run(t, p, e, ssh.Command{Argv: []string{"echo", fmt.Sprint(i)}}); string(r.Stdout.Bytes) != fmt.Sprintln(i) {
			t.Errorf("run %d gave %q", i, r.Stdout.Bytes)
		}
	}
	if n := px.Connections(); n != 1 {
		t.Errorf("10 commands in turn took %d connections, want 1", n)
	}
}

// What is another credential, tenant or pin is another connection.
func TestNoReuseAcross(t *testing.T) {
	t.Parallel()
	px, e := proxied(t, sshtest.Config{})
	p := pool(t, ssh.Options{})
	other := e
	other.Credential.Version++
	tenant := e
	tenant.Tenant = "other"
	pins := e
	pins.HostKeys = append([]string{mustPublic(t, sshtest.NewKey())}, e.HostKeys...)
	for i, e := range []ssh.Endpoint{e, other, tenant, pins} {
		run(t, p, e, ssh.Command{Argv: []string{"true"}})
		if n := px.Connections(); n != i+1 {
			t.Errorf("%d connections, want %d", n, i+1)
		}
	}
	denied := e
	denied.Check = func(context.Context, netip.Addr) error {
		return hostfuncs.Errorf(hostfuncs.Denied, hostfuncs.Before, "not this address")
	}
	_, err := p.Exec(t.Context(), denied, ssh.Command{Argv: []string{"true"}})
	wantError(t, err, hostfuncs.Denied, hostfuncs.Before, "not this address")
}

// hammer runs n commands at once and wants all to succeed.
func hammer(t *testing.T, p *ssh.Pool, e ssh.Endpoint, n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			r, err := p.Exec(ctx, e, ssh.Command{Argv: []string{"sh", "-c", "sleep 0.05; echo " + fmt.Sprint(i)}})
			if err != nil {
				t.Errorf("command %d: %v", i, err)
			} else if string(r.Stdout.Bytes) != fmt.Sprintln(i) {
				t.Errorf("command %d gave %q", i, r.Stdout.Bytes)
			}
		})
	}
	wg.Wait()
}

func TestConcurrent(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		options []string
		most    int // connections
	}{
		"MaxSessions 10": {most: 4},
		"MaxSessions 1":  {options: []string{"MaxSessions 1"}, most: 24},
		"MaxStartups":    {options: []string{"MaxSessions 1", "MaxStartups 2:100:2"}, most: 200},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			px, e := proxied(t, sshtest.Config{Options: tc.options})
			p := pool(t, ssh.Options{})
			hammer(t, p, e, 20)
			if n := px.Connections(); n > tc.most {
				t.Errorf("%d connections for 20 commands, want at most %d", n, tc.most)
			}
			t.Logf("%d connections", px.Connections())
			hammer(t, p, e, 20)
		})
	}
}

// ConnsPerTarget bounds the connections; who finds none waits.
func TestConnsPerTarget(t *testing.T) {
	t.Parallel()
	px, e := proxied(t, sshtest.Config{})
	hammer(t, pool(t, ssh.Options{ConnsPerTarget: 1, SessionsPerConn: 2}), e, 12)
	if n := px.Connections(); n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
}

// A connection that died while it was idle costs nothing but another one.
func TestStaleConnection(t *testing.T) {
	t.Parallel()
	px, e := proxied(t, sshtest.Config{})
	p := pool(t, ssh.Options{})
	for i := range 5 {
		run(t, p, e, ssh.Command{Argv: []string{"true"}})
		px.Cut()
		if n := px.Connections(); n != i+1 {
			t.Errorf("%d connections, want %d", n, i+1)
		}
	}
}

func TestIdleClose(t *testing.T) {
	t.Parallel()
	srv := server(t, sshtest.Config{})
	p := pool(t, ssh.Options{IdleTimeout: 100 * time.Millisecond})
	run(t, p, endpoint(srv), ssh.Command{Argv: []string{"true"}})
	eventually(t, "the idle connection is closed", func() bool { return len(srv.Connections()) == 0 })
}

// More idle connections than MaxIdle: the longest idle goes.
func TestMaxIdle(t *testing.T) {
	t.Parallel()
	px, e := proxied(t, sshtest.Config{})
	p := pool(t, ssh.Options{MaxIdle: 1})
	other := e
	other.Credential.Name = "other" // another version would close the first one
	run(t, p, e, ssh.Command{Argv: []string{"true"}})
	run(t, p, other, ssh.Command{Argv: []string{"true"}})
	run(t, p, other, ssh.Command{Argv: []string{"true"}})
	if n := px.Connections(); n != 2 {
		t.Errorf("%d connections, want 2: the last used one stays", n)
	}
	run(t, p, e, ssh.Command{Argv: []string{"true"}})
	if n := px.Connections(); n != 3 {
		t.Errorf("%d connections, want 3: the other one was closed", n)
	}
}

func TestClosed(t *testing.T) {
	t.Parallel()
	srv := server(t, sshtest.Config{})
	p := pool(t, quick())
	pids, done := spawn(t, t.Context(), p, endpoint(srv), `echo $$ >>"$1"; exec sleep 1000`, 1)
	_ = p.Close()
	wantError(t, <-done, hostfuncs.Lost, hostfuncs.After)
	_, err := p.Exec(t.Context(), endpoint(srv), ssh.Command{Argv: []string{"true"}})
	wantError(t, err, hostfuncs.Cancelled, hostfuncs.Before)
	_ = stopProcess(pids[0])
}

func mustPublic(t *testing.T, private string) string {
	t.Helper()
	pub, err := sshtest.PublicKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pub
}
