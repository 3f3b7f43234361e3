package ssh_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"opsconductor.dev/hostfuncs"
	"opsconductor.dev/hostfuncs/ssh"
	"opsconductor.dev/hostfuncs/ssh/sshtest"
)

// beganBy runs a guarded command and returns once it has begun and this host has heard
// of that, with its process.
func beganBy(t *testing.T, ctx context.Context, p *ssh.Pool, e ssh.Endpoint, c ssh.Command, g ssh.Guard, lines func() []string) (pid int, done chan error) { //nolint:revive // t first
	t.Helper()
	done = make(chan error, 1)
	told := make(chan struct{}, 10)
	c.Live = &ssh.Live{Line: func(string, string) { told <- struct{}{} }} // behind the word that it began
	go func() {
		_, err := p.ExecGuarded(ctx, e, c, g)
		done <- err
	}()
	eventually(t, "it runs", func() bool { return len(lines()) > 0 })
	pid = number(t, lines()[0])
	t.Cleanup(func() { _ = stopProcess(pid) })
	<-told
	return pid, done
}

// long is a command that writes its process into the ledger, says so, and goes on until
// a file is there.
func long(file, until string) ssh.Command {
	return ssh.Command{Argv: []string{"sh", "-c", `echo $$ >>"$1"; echo begun; until [ -e "$2" ]; do sleep 0.05; done; echo ended`, "sh", file, until}}
}

// removals are what somebody may remove of journals.
func removals() map[string]func(base, journal string) error {
	return map[string]func(base, journal string) error{
		"the journal": func(_, journal string) error { return os.RemoveAll(journal) },
		"all of them": func(base, _ string) error { return os.RemoveAll(base) },
		"its claim":   func(_, journal string) error { return os.Remove(filepath.Join(journal, "go")) },
	}
}

// TestGuardedRemoved: a journal that somebody removes while the command runs does not
// make it one that had not begun, nor one that is begun again.
func TestGuardedRemoved(t *testing.T) {
	t.Parallel()
	srv := server(t, sshtest.Config{})
	for what, remove := range removals() {
		for name, end := range map[string]struct {
			ends  func(px *sshtest.Proxy, pid int, until string, cancel func())
			limit time.Duration
			code  hostfuncs.Code
			words string
			dead  bool
		}{
			"cancelled":   {func(_ *sshtest.Proxy, _ int, _ string, cancel func()) { cancel() }, 0, hostfuncs.Cancelled, "it is confirmed dead", true},
			"out of time": {func(*sshtest.Proxy, int, string, func()) {}, 3 * time.Second, hostfuncs.Timeout, "it is confirmed dead", true},
			"ended":       {func(_ *sshtest.Proxy, _ int, until string, _ func()) { _ = os.WriteFile(until, nil, 0o600) }, 0, hostfuncs.Lost, "is gone without an exit code", false},
			"connected again": {func(px *sshtest.Proxy, _ int, until string, _ func()) {
				px.Cut()
				sshtest.Eventually(t, "it is connected again", func() bool { return px.Connections() > 1 })
				time.AfterFunc(500*time.Millisecond, func() { _ = os.WriteFile(until, nil, 0o600) })
			}, 0, hostfuncs.Lost, "has been removed from its journal", false},
		} {
			t.Run(what+"/"+name, func(t *testing.T) {
				t.Parallel()
				if what == "its claim" && !end.dead {
					t.Skip("the output is there still")
				}
				px, e := through(t, srv)
				o, base := guardedBy(t)
				file, lines := ledger(t)
				until := filepath.Join(t.TempDir(), "until")
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				g, c := ssh.Guard{Token: newToken()}, long(file, until)
				c.Timeout = end.limit
				pid, done := beganBy(t, ctx, pool(t, o), e, c, g, lines)
				if err := remove(base, filepath.Join(base, "g-"+g.Token)); err != nil {
					t.Fatal(err)
				}
				end.ends(px, pid, until, func() { cancel(errOperator) })
				err := <-done
				wantError(t, err, end.code, hostfuncs.After, end.words)
				wantStopped(t, err, end.dead)
				if running(pid) || len(lines()) != 1 {
					t.Errorf("it runs: %t, and was begun %d times; want that it has ended, and once", running(pid), len(lines()))
				}
			})
		}
	}
}

// TestGuardedRemovedBeforeTheNextHost: the host that comes after one that died does not begin a
// command again, or call it not begun, that is at work without its journal.
func TestGuardedRemovedBeforeTheNextHost(t *testing.T) {
	t.Parallel()
	srv := server(t, sshtest.Config{})
	for what, remove := range removals() {
		if what == "its claim" {
			continue // what is left of a journal is what there is before a command begins
		}
		for name, cancels := range map[string]bool{"follows": false, "cancels": true} {
			t.Run(what+"/"+name, func(t *testing.T) {
				t.Parallel()
				o, base := guardedBy(t)
				o.ConnectTimeout = 2 * time.Second
				file, lines := ledger(t)
				until := filepath.Join(t.TempDir(), "until")
				g, c := ssh.Guard{Token: newToken()}, long(file, until)
				claim := begunBy(t, o, base, endpoint(srv), c, g)
				t.Cleanup(func() { _ = stopProcess(number(t, claim[1])) })
				eventually(t, "it runs", func() bool { return len(lines()) == 1 })
				if err := remove(base, filepath.Join(base, "g-"+g.Token)); err != nil {
					t.Fatal(err)
				}
				g.Since = time.Now()
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				px, e := through(t, srv)
				if cancels { // the target is reached only once the call is over
					px.Refuse(true)
					time.AfterFunc(300*time.Millisecond, func() { cancel(errOperator); px.Refuse(false) })
				}
				for range 2 { // what the first one finds stays known
					_, err := pool(t, o).ExecGuarded(ctx, e, c, g)
					var he *hostfuncs.Error
					if !errors.As(err, &he) || he.Phase != hostfuncs.After || he.Stopped || he.Journaled || strings.Contains(he.Message, "not begun,") || !strings.Contains(he.Message, "removed") {
						t.Errorf("got %#v, want that its journal was removed, and no word of that it had not begun", err)
					}
				}
				if n := len(lines()); n != 1 {
					t.Errorf("it was begun %d times", n)
				}
			})
		}
	}
}
