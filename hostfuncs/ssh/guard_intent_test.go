package ssh_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"opsconductor.dev/hostfuncs"
	"opsconductor.dev/hostfuncs/ssh"
	"opsconductor.dev/hostfuncs/ssh/sshtest"
)

// The intent is committed once, before the first request leaves, and names what
// another attempt has to have in common to find the journal; where it is not
// committed, nothing begins.
func TestGuardedIntent(t *testing.T) {
	t.Parallel()
	srv := server(t, sshtest.Config{})
	o, _ := guardedBy(t)
	px, e := through(t, srv)
	file, lines := ledger(t)
	var hashes []string
	var refuse error
	c := counted(file, "0.5")
	c.Begin = func(_ context.Context, hash string) error {
		hashes = append(hashes, hash)
		return refuse
	}
	refuse = errors.New("the lease is over")
	_, err := pool(t, o).ExecGuarded(t.Context(), e, c, ssh.Guard{Token: newToken()})
	if err == nil || len(hashes) != 1 || len(lines()) != 0 {
		t.Errorf("without an intent: %v, %d tries, executions %q", err, len(hashes), lines())
	}
	refuse, hashes = nil, nil
	done := make(chan struct{})
	go func() {
		defer close(done)
		eventually(t, "it runs", func() bool { return len(lines()) == 1 })
		px.Cut()
	}()
	r, err := pool(t, o).ExecGuarded(t.Context(), e, c, ssh.Guard{Token: newToken()})
	<-done
	wantCounted(t, r, err)
	if len(hashes) != 1 || px.Connections() < 3 {
		t.Fatalf("%d intents over %d connections, want one over more than two", len(hashes), px.Connections())
	}
	first := hashes[0]
	for what, change := range map[string]func(e *ssh.Endpoint, c *ssh.Command){
		"account": func(e *ssh.Endpoint, _ *ssh.Command) { e.Credential.Username = "nobody-such" },
		"place":   func(e *ssh.Endpoint, _ *ssh.Command) { e.Host, e.Port = srv.Host, srv.Port },
		"command": func(_ *ssh.Endpoint, c *ssh.Command) { c.Argv = append([]string{"env"}, c.Argv...) },
	} {
		other, changed := e, c
		change(&other, &changed)
		if got := ssh.GuardHash(other, changed); got == first || ssh.GuardHash(e, c) != first {
			t.Errorf("another %s gives the same hash, or the same one another", what)
		}
	}
}

// A target that an earlier attempt may have begun a command on, and that can't be
// reached, is no target on which nothing happened.
func TestGuardedAway(t *testing.T) {
	t.Parallel()
	srv := server(t, sshtest.Config{})
	o, _ := guardedBy(t)
	o.Reattach, o.ConnectTimeout = 50*time.Millisecond, 300*time.Millisecond
	px, e := through(t, srv)
	px.Refuse(true)
	for _, since := range []time.Time{{}, time.Now()} {
		_, err := pool(t, o).ExecGuarded(t.Context(), e, counted(t.TempDir()+"/ledger", "0"), ssh.Guard{Token: newToken(), Since: since})
		var he *hostfuncs.Error
		want := hostfuncs.Before
		if !since.IsZero() {
			want = hostfuncs.After
		}
		if !errors.As(err, &he) || he.Phase != want || he.Journaled != !since.IsZero() || he.Retryable == he.Journaled {
			t.Errorf("begun before: %t; got %#v, want phase %s, and that a journal tells only then", !since.IsZero(), he, want)
		}
	}
}
