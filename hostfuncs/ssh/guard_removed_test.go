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
	return ssh.Command{Argv: []string{"sh", "-c", `echo $$ >>"$1"; echo begun; i=0; until [ -e "$2" ] || [ $i -gt 1200 ]; do sleep 0.05; i=$((i+1)); done; echo ended`, "sh", file, until}}
}

// removals are what somebody may remove of journals.
func removals() map[string]func(base, journal string) error {
	return map[string]func(base, journal string) error{
		"the journal":                           func(_, journal string) error { return os.RemoveAll(journal) },
		"all of them":                           func(base, _ string) error { return os.RemoveAll(base) },
		"its claim":                             func(_, journal string) error { return os.Remove(filepath.Join(journal, "go")) },
		"it, and another host calls it removed": func(_, journal string) error { return replaced(journal, "1,removed") },
		"it, and another host calls it not begun": func(_, journal string) error { return replaced(journal, "1,killed") },
	}
}

// replaced removes a journal, and makes one of which nobody else knows more than its go says.
func replaced(journal, claim string) error {
	return errors.Join(os.RemoveAll(journal), os.Mkdir(journal, 0o700), os.Symlink(claim, filepath.Join(journal, "go")))
}

// TestGuardedRemoved: a journal that somebody removes while the command runs does not
// make it one that had not begun, nor one that is begun again.
func TestGuardedRemoved(t *testing.T) {
	t.Parallel()
	srv := server(t, sshtest.Config{})
	for what, remove := range removals() {
		for name, end := range map[string]struct {
			ends  func(px *sshtest.Proxy, journal, until string, cancel func())
			limit time.Duration
			code  hostfuncs.Code
			words string
			dead  bool
		}{
			"cancelled":   {func(_ *sshtest.Proxy, _, _ string, cancel func()) { cancel() }, 0, hostfuncs.Cancelled, "it is confirmed dead", true},
			"out of time": {func(*sshtest.Proxy, string, string, func()) {}, 3 * time.Second, hostfuncs.Timeout, "it is confirmed dead", true},
			"ended":       {func(_ *sshtest.Proxy, _, until string, _ func()) { _ = os.WriteFile(until, nil, 0o600) }, 0, hostfuncs.Lost, "is gone without an exit code", false},
			"connected again": {func(px *sshtest.Proxy, journal, until string, _ func()) {
				px.Cut()
				sshtest.Eventually(t, "it is connected again, and its claim is there", func() bool {
					_, err := os.Lstat(filepath.Join(journal, "go"))
					return px.Connections() > 1 && err == nil
				})
				time.AfterFunc(500*time.Millisecond, func() { _ = os.WriteFile(until, nil, 0o600) })
			}, 0, hostfuncs.Lost, "has been removed from its journal", false},
		} {
			if what == "its claim" && !end.dead {
				continue // the journal is whole again: there is nothing to be in doubt about
			}
			t.Run(what+"/"+name, func(t *testing.T) {
				t.Parallel()
				if strings.HasPrefix(what, "it, ") && !end.dead {
					end.words = "is gone without an exit code"
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
				journal := filepath.Join(base, "g-"+g.Token)
				if err := remove(base, journal); err != nil {
					t.Fatal(err)
				}
				end.ends(px, journal, until, func() { cancel(errOperator) })
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
		if strings.HasPrefix(what, "it") {
			continue // what is left of a journal is what there is before a command begins, or says what became of it
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
				c.Timeout = 20 * time.Second // where it is followed all the same
				for range 2 {                // what the first one finds stays known
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

// TestGuardedNoRoomForItsJournal: where there can be no journal any more, a command that
// was seen to begin is in doubt, and not one that was not begun.
func TestGuardedNoRoomForItsJournal(t *testing.T) {
	t.Parallel()
	px, e := proxied(t, sshtest.Config{})
	o, base := guardedBy(t)
	file, lines := ledger(t)
	g := ssh.Guard{Token: newToken()}
	_, done := beganBy(t, t.Context(), pool(t, o), e, long(file, filepath.Join(t.TempDir(), "until")), g, lines)
	if err := errors.Join(os.RemoveAll(base), os.Symlink(t.TempDir(), base)); err != nil {
		t.Fatal(err)
	}
	px.Cut()
	err := <-done
	wantError(t, err, hostfuncs.Lost, hostfuncs.After, "the command had begun, and there is no journal of it any more (alien")
	if n := len(lines()); n != 1 {
		t.Errorf("it was begun %d times", n)
	}
}

// TestGuardedCancelAfterRestart: who ends a command that an earlier host may have begun
// does not take a journal that a restart may have removed for one that never was.
func TestGuardedCancelAfterRestart(t *testing.T) {
	t.Parallel()
	px, e := proxied(t, sshtest.Config{})
	o, _ := guardedBy(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	px.Refuse(true)
	time.AfterFunc(300*time.Millisecond, func() { cancel(errOperator); px.Refuse(false) })
	_, err := pool(t, o).ExecGuarded(ctx, e, truth, ssh.Guard{Token: newToken(), Since: time.Now().Add(-100 * 365 * 24 * time.Hour)})
	wantError(t, err, hostfuncs.Cancelled, hostfuncs.After, "is not known: the target was restarted after it may have begun")
	wantStopped(t, err, false)
}

// TestGuardedClaim: what a host takes for the word that a command has begun has the form
// of it, and the first one counts.
func TestGuardedClaim(t *testing.T) {
	t.Parallel()
	hash := strings.Repeat("0a", 32)
	good := "1,4711,12345,01234567-89ab-cdef-0123-456789abcdef," + hash + ",4712,12346"
	for name, tt := range map[string]struct {
		said string
		want string
	}{
		"a claim":          {"-began " + good + "\n", good},
		"two":              {"-began " + good + "\nnonce-began 1,2,3,-," + hash + ",4,5\n", good},
		"without /proc":    {"-began 1,4711,-,-," + hash + ",4712,-\n", "1,4711,-,-," + hash + ",4712,-"},
		"another version":  {"-began 2" + good[1:] + "\n", ""},
		"more than that":   {"-began " + good + ",x\n", ""},
		"no process":       {"-began 1,,12345,-," + hash + ",4712,-\n", ""},
		"the word killed":  {"-began 1,killed\n", ""},
		"a text for shell": {"-began 1,$(id),12345,-," + hash + ",4712,-\n", ""},
		"too long":         {"-began " + good + strings.Repeat("0", 300) + "\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := ssh.NewChunks(ssh.Live{Line: func(string, string) {}}, "nonce", 100)
			for b := range strings.SplitSeq("nonce"+tt.said+"nonce ended", "") { // byte by byte
				c.Write([]byte(b))
			}
			if got := c.Claim(); got != tt.want {
				t.Errorf("it takes %q, want %q", got, tt.want)
			}
		})
	}
}
