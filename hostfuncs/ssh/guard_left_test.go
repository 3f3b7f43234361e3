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

// Who leaves a guarded command at work sends nothing more: what follows the command is
// not killed as if it were the command.
func TestGuardedIsLeft(t *testing.T) {
	t.Parallel()
	f := fake(t, sshtest.FakeConfig{})
	o, base := guardedBy(t)
	file, lines := ledger(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	g := ssh.Guard{Token: newToken(), Leave: func(cause error) bool { return errors.Is(cause, errOperator) }}
	done := make(chan error, 1)
	p := pool(t, o)
	go func() {
		_, err := p.ExecGuarded(ctx, fakeEndpoint(f), counted(file, "30"), g)
		done <- err
	}()
	eventually(t, "it runs", func() bool { return len(lines()) == 1 })
	claim, _ := os.Readlink(filepath.Join(base, "g-"+g.Token, "go"))
	pid := number(t, strings.Split(claim, ",")[1])
	t.Cleanup(func() { _ = stopProcess(pid) })
	cancel(errOperator)
	err := <-done
	var he *hostfuncs.Error
	if !errors.As(err, &he) || he.Code != hostfuncs.Lost || !he.Journaled || he.Stopped {
		t.Errorf("%+v, want lost, with a journal that tells", err)
	}
	if n := f.Execs(); n != 1 || !running(pid) {
		t.Errorf("%d requests to run something were sent, and it runs: %t; want one, and that it runs", n, running(pid))
	}
}

// Where what ends a guarded command can't be asked, falls silent, or finds something
// else in the journal's place, nobody knows whether the command runs, within the bound.
func TestGuardedCancelUnknown(t *testing.T) {
	t.Parallel()
	srv := server(t, sshtest.Config{})
	for name, happens := range map[string]func(px *sshtest.Proxy, journal, asked string, cancel func()){
		"not reached": func(px *sshtest.Proxy, _, _ string, cancel func()) {
			px.Refuse(true)
			px.Cut()
			cancel()
		},
		"silent": func(px *sshtest.Proxy, _, asked string, cancel func()) {
			cancel()
			sshtest.Eventually(t, "it has been asked to end", func() bool { _, err := os.Stat(asked); return err == nil })
			px.Freeze()
		},
		"another journal": func(_ *sshtest.Proxy, journal, _ string, cancel func()) {
			if err := errors.Join(os.Rename(journal, journal+"-away"), os.Symlink(journal+"-away", journal)); err != nil {
				t.Error(err)
			}
			cancel()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			px, e := through(t, srv)
			o, base := guardedBy(t)
			o.KillGrace = time.Second
			file, lines := ledger(t)
			asked := filepath.Join(t.TempDir(), "asked")
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			g := ssh.Guard{Token: newToken()}
			done := make(chan error, 1)
			p := pool(t, o)
			go func() {
				_, err := p.ExecGuarded(ctx, e, ssh.Command{Argv: []string{"sh", "-c", `trap 'echo >"$2"' TERM; echo $$ >>"$1"; while :; do sleep 0.05; done`, "sh", file, asked}}, g)
				done <- err
			}()
			eventually(t, "it runs", func() bool { return len(lines()) == 1 })
			pid := number(t, lines()[0])
			t.Cleanup(func() { _ = stopProcess(pid) })
			start := time.Now()
			happens(px, filepath.Join(base, "g-"+g.Token), asked, func() { cancel(errOperator) })
			err := <-done
			wantError(t, err, hostfuncs.Cancelled, hostfuncs.After, "Whether the remote process still runs is not known")
			wantStopped(t, err, false)
			if took, most := time.Since(start), o.KillGrace+7*time.Second; took > most {
				t.Errorf("it took %s, want at most %s", took, most)
			}
		})
	}
}
