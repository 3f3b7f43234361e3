package ssh_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"opsconductor.dev/hostfuncs"
	"opsconductor.dev/hostfuncs/ssh"
	"opsconductor.dev/hostfuncs/ssh/sshtest"
)

// held runs a command that ends when it is let go, and returns once it has begun.
func held(t *testing.T, p *ssh.Pool, e ssh.Endpoint) (letGo func(), done <-chan error) {
	t.Helper()
	gate := filepath.Join(t.TempDir(), "gate")
	begun, ended := make(chan struct{}, 2), make(chan error, 1)
	go func() {
		r, err := p.Exec(t.Context(), e, ssh.Command{
			Argv: []string{"sh", "-c", `echo begun; until [ -e "$1" ]; do sleep 0.02; done; echo over`, "sh", gate},
			Live: &ssh.Live{Line: func(string, string) { begun <- struct{}{} }},
		})
		if err == nil && string(r.Stdout.Bytes) != "begun\nover\n" {
			err = fmt.Errorf("it wrote %q", r.Stdout.Bytes)
		}
		ended <- err
	}()
	select {
	case <-begun:
	case err := <-ended:
		t.Fatalf("it did not begin: %v", err)
	}
	return func() { _ = os.WriteFile(gate, nil, 0o600) }, ended
}

// A command goes on when the credential of its connection is changed. Its connection
// takes no other one, and is closed when it has ended.
func TestSupersedeWhileItRuns(t *testing.T) {
	t.Parallel()
	srv := server(t, sshtest.Config{})
	px, e := through(t, srv)
	p := pool(t, ssh.Options{})
	letGo, done := held(t, p, e)
	now := e
	now.Credential.Version++
	run(t, p, now, truth)
	run(t, p, e, truth) // who has the old state in hand gets no place beside it
	if n := px.Connections(); n != 3 {
		t.Errorf("%d connections were opened, want 3: the old one takes no more", n)
	}
	select {
	case err := <-done:
		t.Fatalf("it has ended before it was let go: %v", err)
	default:
	}
	letGo()
	if err := <-done; err != nil {
		t.Error(err)
	}
	eventually(t, "the old connection is closed", func() bool { return len(srv.Connections()) == 2 })
}

// editions are what makes a new version of an endpoint.
func editions() map[string]func(*ssh.Endpoint) {
	return map[string]func(*ssh.Endpoint){
		"credential": func(e *ssh.Endpoint) { e.Credential.Version++ },
		"asset":      func(e *ssh.Endpoint) { e.Revision++; e.Trust.Revoked = []string{"serial:1"} },
	}
}

// Who has an older state of a credential or an asset in hand closes nothing of the newer one.
func TestOlderSupersedesNothing(t *testing.T) {
	t.Parallel()
	for name, edit := range editions() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			px, older := proxied(t, sshtest.Config{})
			p := pool(t, ssh.Options{})
			now := older
			edit(&now)
			for _, e := range []ssh.Endpoint{now, older, now} {
				run(t, p, e, truth)
			}
			if n := px.Connections(); n != 2 {
				t.Errorf("%d connections, want 2: the newer one stays", n)
			}
		})
	}
}

// A call whose intent is not recorded gives its place back.
func TestPlaceWithoutIntent(t *testing.T) {
	t.Parallel()
	px, e := proxied(t, sshtest.Config{})
	p := pool(t, ssh.Options{SessionsPerConn: 1, ConnsPerTarget: 1})
	c := truth
	c.Begin = func(context.Context, string) error { return errOperator }
	for range 3 {
		if _, err := p.Exec(t.Context(), e, c); !errors.Is(err, errOperator) {
			t.Errorf("%v, want the intent's error", err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if _, err := p.Exec(ctx, e, truth); err != nil || px.Connections() != 1 {
		t.Errorf("the next command: %v over %d connections, want one", err, px.Connections())
	}
}

// A connection with a command is not idle, however long that takes.
func TestIdleCloseSparesWhatRuns(t *testing.T) {
	t.Parallel()
	srv := server(t, sshtest.Config{})
	p := pool(t, ssh.Options{IdleTimeout: 20 * time.Millisecond, MaxIdle: 1})
	letGo, done := held(t, p, endpoint(srv))
	run(t, p, endpoint(srv), truth) // beside it, and its end is not the connection's
	other := endpoint(srv)
	for i := range 3 { // idle ones come and go
		other.Name = fmt.Sprintf("other%d", i)
		other.Credential.Name = other.Name
		run(t, p, other, truth)
	}
	eventually(t, "the idle ones are closed", func() bool { return len(srv.Connections()) == 1 })
	letGo()
	if err := <-done; err != nil {
		t.Error(err)
	}
	eventually(t, "the last one is closed", func() bool { return len(srv.Connections()) == 0 })
	eventually(t, "the pool has forgotten all", func() bool { e, s := p.Remembers(); return e == 0 && s == 0 })
}

// holdAll runs so many commands at once, and returns what lets them go and waits for
// their ends. counted is called when each has begun.
func holdAll(t *testing.T, p *ssh.Pool, e ssh.Endpoint, n int, counted func(begun int)) (end func()) {
	t.Helper()
	var ends []func()
	for i := range n {
		letGo, done := held(t, p, e)
		ends = append(ends, func() {
			letGo()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
		counted(i + 1)
	}
	return func() {
		for _, end := range ends {
			end()
		}
	}
}

// Five commands share a connection, and a sixth takes another one.
func TestSessionsPerConn(t *testing.T) {
	t.Parallel()
	px, e := proxied(t, sshtest.Config{})
	holdAll(t, pool(t, ssh.Options{}), e, 6, func(begun int) {
		if got, want := px.Connections(), (begun+4)/5; got != want {
			t.Errorf("%d commands have %d connections, want %d", begun, got, want)
		}
	})()
}

// What a server has taught of its MaxSessions is kept while a connection stands.
func TestLearnedSessions(t *testing.T) {
	t.Parallel()
	srv := server(t, sshtest.Config{Options: []string{"MaxSessions 2"}})
	px, e := through(t, srv)
	p := pool(t, ssh.Options{})
	refusals := func() int {
		b, _ := os.ReadFile(srv.LogFile)
		return bytes.Count(b, []byte("no more sessions"))
	}
	holdAll(t, p, e, 6, func(int) {})()
	taught := refusals()
	holdAll(t, p, e, 6, func(int) {})()
	if again := refusals() - taught; taught == 0 || again > 1 { // one may be asked for before the server has counted off another
		t.Errorf("the server refused %d sessions, and then %d more; want some, and then none", taught, again)
	}
	if n := px.Connections(); n != 3 {
		t.Errorf("%d connections for six commands, of which a connection takes two; want 3", n)
	}
}

// A link that dies without a word: the keepalive finds out, within twice its time.
func TestDeadPeer(t *testing.T) {
	t.Parallel()
	px, e := proxied(t, sshtest.Config{})
	o := quick()
	o.KeepAlive = 300 * time.Millisecond
	pids, done := spawnHeard(t, t.Context(), pool(t, o), e)
	t.Cleanup(func() { _ = stopProcess(pids[0]) })
	start := time.Now()
	px.Freeze()
	wantError(t, <-done, hostfuncs.Lost, hostfuncs.After, "connection was lost")
	if took := time.Since(start); took > 4*time.Second {
		t.Errorf("it took %s, want about %s", took, 2*o.KeepAlive)
	}
}

// A server that asks for signs of life gets them while a command runs.
func TestServerAsksForLife(t *testing.T) {
	t.Parallel()
	e := endpoint(server(t, sshtest.Config{Options: []string{"ClientAliveInterval 1", "ClientAliveCountMax 1"}}))
	if r := run(t, pool(t, ssh.Options{}), e, ssh.Command{Argv: []string{"sleep", "5.5"}}); code(r) != 0 {
		t.Errorf("exit code %d, want 0", code(r))
	}
}

// A call that nobody waits for any more gives its place at the gate back.
func TestGateIsLeft(t *testing.T) {
	t.Parallel()
	f := fake(t, sshtest.FakeConfig{Stall: sshtest.Banner})
	p := pool(t, ssh.Options{SessionsPerConn: 1})
	ctx, cancel := context.WithCancelCause(t.Context())
	done := make(chan error, 12)
	for range 12 {
		go func() {
			_, err := p.Exec(ctx, fakeEndpoint(f), truth)
			done <- err
		}()
	}
	eventually(t, "as many are connected as may be", func() bool { return f.Accepted() >= 8 })
	run(t, p, fakeEndpoint(fake(t, sshtest.FakeConfig{})), ssh.Command{Argv: []string{"sleep", "0.2"}}) // the others have had time
	if n := f.Accepted(); n != 8 {
		t.Errorf("%d connections at a time, want 8", n)
	}
	cancel(errOperator)
	for range 12 {
		wantError(t, <-done, hostfuncs.Cancelled, hostfuncs.Before)
	}
	eventually(t, "nobody is at that gate", func() bool { _, servers := p.Remembers(); return servers == 0 })
}

// Who is dropped by a server comes with half as many, and with one more each time that
// one gets through.
func TestGateBound(t *testing.T) {
	t.Parallel()
	const y, n = true, false
	for want, events := range map[int][]bool{8: {n, n, n}, 4: {y}, 1: {y, y, y, y, y}, 5: {y, n}, 3: {y, y, n}, 7: {y, n, n, n}} {
		if got := ssh.GateAfter(8, events...); got != want {
			t.Errorf("after %v: %d, want %d", events, got, want)
		}
	}
}

// A connection is shared by calls that are alike in all that decides who logs in where,
// and whom is trusted, and by no others.
func TestAlike(t *testing.T) {
	t.Parallel()
	srv := server(t, sshtest.Config{})
	bastion := endpoint(server(t, sshtest.Config{}))
	bastion.Name = "bastion1"
	other := mustPublic(t, sshtest.NewKey())
	for name, tc := range map[string]struct {
		edit func(e *ssh.Endpoint)
		want int
	}{
		"nothing":         {func(*ssh.Endpoint) {}, 1},
		"name":            {func(e *ssh.Endpoint) { e.Name = "web2" }, 1},
		"tenant":          {func(e *ssh.Endpoint) { e.Tenant = "other" }, 2},
		"credential":      {func(e *ssh.Endpoint) { e.Credential.Name = "other" }, 2},
		"kind":            {func(e *ssh.Endpoint) { e.Credential.Kind = "other" }, 2},
		"profile":         {func(e *ssh.Endpoint) { e.Profile = ssh.Modern }, 2},
		"pins":            {func(e *ssh.Endpoint) { e.HostKeys = append([]string{other}, e.HostKeys...) }, 2},
		"authorities":     {func(e *ssh.Endpoint) { e.Trust.Authorities = []string{other} }, 2},
		"revoked":         {func(e *ssh.Endpoint) { e.Trust.Revoked = []string{"serial:1"} }, 2},
		"revocation list": {func(e *ssh.Endpoint) { e.Trust.KRL = revocationList(t, "", "key: "+other) }, 2},
		"first use":       {func(e *ssh.Endpoint) { e.Trust.FirstUse = true }, 2},
		"rotation":        {func(e *ssh.Endpoint) { e.Trust.Rotate = true }, 2},
		"the way there":   {func(e *ssh.Endpoint) { e.Via = []ssh.Endpoint{bastion} }, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			px, e := through(t, srv)
			p := pool(t, ssh.Options{})
			run(t, p, e, truth)
			edited := e
			tc.edit(&edited)
			run(t, p, edited, truth)
			run(t, p, e, truth)
			if n := px.Connections(); n != tc.want {
				t.Errorf("%d connections, want %d", n, tc.want)
			}
		})
	}
}

// The address of a connection that stands is checked for each call.
func TestPooledIsChecked(t *testing.T) {
	t.Parallel()
	px, e := proxied(t, sshtest.Config{})
	p := pool(t, ssh.Options{SessionsPerConn: 1, ConnsPerTarget: 1})
	run(t, p, e, truth)
	denied := e
	denied.Check = forbid
	for range 2 { // and its place is given back
		_, err := p.Exec(t.Context(), denied, truth)
		wantError(t, err, hostfuncs.Denied, hostfuncs.Before, "not there")
	}
	run(t, p, e, truth)
	if n := px.Connections(); n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
}

// A server that takes so many sessions on a connection and then none gets another
// connection for the next one.
func TestUsedUp(t *testing.T) {
	t.Parallel()
	f := fake(t, sshtest.FakeConfig{Sessions: 2})
	p := pool(t, ssh.Options{})
	for i := range 6 {
		run(t, p, fakeEndpoint(f), truth)
		if got, want := f.Accepted(), 1+i/2; got != want {
			t.Errorf("after %d commands: %d connections, want %d", i+1, got, want)
		}
	}
}

// A connection of MaxAge takes no new session: an idle one is closed, and what runs on
// another goes on.
func TestMaxAge(t *testing.T) {
	t.Parallel()
	srv := server(t, sshtest.Config{})
	px, e := through(t, srv)
	p := pool(t, ssh.Options{MaxAge: time.Nanosecond, KeepAlive: time.Minute})
	run(t, p, e, truth)
	run(t, p, e, truth)
	letGo, done := held(t, p, e)
	if n := px.Connections(); n != 3 {
		t.Errorf("%d connections for three commands, want 3", n)
	}
	eventually(t, "the idle ones are closed", func() bool { return len(srv.Connections()) == 1 })
	run(t, p, e, truth)
	if n := px.Connections(); n != 4 {
		t.Errorf("%d connections, want 4: the one in use is too old", n)
	}
	letGo()
	if err := <-done; err != nil {
		t.Errorf("the command on the connection that grew too old: %v", err)
	}
	eventually(t, "its connection ends with it", func() bool { return len(srv.Connections()) <= 1 })
}

// An idle connection that grows too old is closed though it is not idle for long.
func TestMaxAgeOfIdle(t *testing.T) {
	t.Parallel()
	srv := server(t, sshtest.Config{})
	p := pool(t, ssh.Options{MaxAge: 100 * time.Millisecond, KeepAlive: time.Minute})
	run(t, p, endpoint(srv), truth)
	eventually(t, "it is closed", func() bool { return len(srv.Connections()) == 0 })
}
