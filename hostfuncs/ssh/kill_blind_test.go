package ssh_test

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"opsconductor.dev/hostfuncs"
	"opsconductor.dev/hostfuncs/ssh"
	"opsconductor.dev/hostfuncs/ssh/sshtest"
)

// noProc is what a forced command puts before the command, so that it finds no /proc.
const noProc = `ForceCommand unshare -m --propagation private sh -c 'mount -t tmpfs -o size=4k none /proc && `

// Where there is no /proc a command is killed with its group all the same; where it
// leads none, it is killed alone, and that is said.
func TestCancelWithoutProc(t *testing.T) {
	t.Parallel()
	if !mayMount(t) {
		t.Skip("needs leave to mount")
	}
	for name, tc := range map[string]struct {
		option, words string
		children      bool // are killed too
	}{
		"leader":    {noProc + `exec sh -c "$SSH_ORIGINAL_COMMAND"'`, "with its process group; it is confirmed dead", true},
		"no leader": {noProc + `sh -c "$SSH_ORIGINAL_COMMAND"; exit $?'`, "is confirmed dead; the server gave it no process group of its own", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := endpoint(server(t, sshtest.Config{Options: []string{tc.option}}))
			p := pool(t, quick())
			if r := run(t, p, e, ssh.Command{Argv: []string{"ls", "/proc"}}); code(r) != 0 || len(r.Stdout.Bytes) != 0 {
				t.Fatalf("there is a /proc: exit code %d, %q", code(r), r.Stdout.Bytes)
			}
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			// It takes leave of its child, as a zombie is there too for who has no /proc.
			pids, done := spawn(t, ctx, p, e, `trap "wait; exit" TERM; sleep 1000 & echo $! >>"$1"; echo $$ >>"$1"; wait`, 2)
			t.Cleanup(func() { _ = stopProcess(pids[0]) })
			cancel(errOperator)
			err := <-done
			wantError(t, err, hostfuncs.Cancelled, hostfuncs.After, tc.words)
			if running(pids[1]) || running(pids[0]) == tc.children {
				t.Errorf("the process runs: %t, its child runs: %t; want that neither does, but for the child of what leads no group", running(pids[1]), running(pids[0]))
			}
			wantStopped(t, err, tc.children)
		})
	}
}

// wantStopped checks whether an error says that nothing goes on.
func wantStopped(t *testing.T, err error, want bool) {
	t.Helper()
	var he *hostfuncs.Error
	if !errors.As(err, &he) || he.Stopped != want {
		t.Errorf("stopped is not %t: %+v", want, he)
	}
}

// A process of another user, which may not be killed, is there, also where /proc does
// not show it.
func TestKillTextOfAnother(t *testing.T) {
	t.Parallel()
	if !mayMount(t) {
		t.Skip("needs leave to mount")
	}
	cmd, out := groupLeader(t, `echo up; exec sleep 1000`)
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	if _, err := out.Read(make([]byte, 3)); err != nil {
		t.Fatal(err)
	}
	for name, mount := range map[string]string{"no /proc": "mount -t tmpfs -o size=4k none /proc", "hidden": "mount -t proc -o hidepid=2 none /proc"} {
		for _, mode := range []string{"group", "one"} {
			for _, start := range []string{"-", startTime(t, cmd.Process.Pid)} {
				got, err := exec.CommandContext(t.Context(), "unshare", "-m", "--propagation", "private", "sh", "-c", mount+` && exec setpriv --reuid 65534 --regid 65534 --clear-groups "$@"`, "sh", //nolint:gosec // the test's own words
					"sh", "-c", ssh.KillText, "sh", "nonce", fmt.Sprint(cmd.Process.Pid), start, mode, "2").Output()
				if err != nil || string(got) != "nonce alive\n" || !running(cmd.Process.Pid) {
					t.Errorf("%s, %s, start %s: %q (%v), and it runs: %t; want that it is alive", name, mode, start, got, err, running(cmd.Process.Pid))
				}
			}
		}
	}
}

// What is left of a group whose leader has ended is killed as well.
func TestKillTextWithoutLeader(t *testing.T) {
	t.Parallel()
	cmd, out := groupLeader(t, `sleep 1000 & echo $!; exec cat`)
	var child int
	if _, err := fmt.Fscan(out, &child); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stopProcess(child) })
	start := startTime(t, cmd.Process.Pid)
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	got, err := exec.CommandContext(t.Context(), "sh", "-c", ssh.KillText, "sh", "nonce", fmt.Sprint(cmd.Process.Pid), start, "group", "4").Output() //nolint:gosec // the test's own words
	if err != nil || string(got) != "nonce dead\n" || running(child) {
		t.Errorf("%q (%v), and what it had started runs: %t; want it dead", got, err, running(child))
	}
}

// Only the answer of what was to kill says that a process is dead: not that it is
// silent, nor what anything else says in its place.
func TestCancelAnsweredByAnother(t *testing.T) {
	t.Parallel()
	for name, says := range map[string]string{"nothing": "true", "a word": "echo dead", "another nonce": "echo opsconductor-00 dead", "an end": "exit 1"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := server(t, sshtest.Config{Options: []string{`ForceCommand case "$SSH_ORIGINAL_COMMAND" in *"kill -s TERM"*) ` + says + `;; *) exec sh -c "$SSH_ORIGINAL_COMMAND";; esac`}})
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			pids, done := spawn(t, ctx, pool(t, quick()), endpoint(srv), `echo $$ >>"$1"; exec sleep 1000`, 1)
			t.Cleanup(func() { _ = stopProcess(pids[0]) })
			cancel(errOperator)
			err := <-done
			wantError(t, err, hostfuncs.Cancelled, hostfuncs.After, "Whether the remote process still runs is not known")
			wantStopped(t, err, false)
		})
	}
}

// A link on which nothing comes any more while the command is being killed, by the
// account or by another user, keeps the call no longer than its bound, and then nobody
// knows.
func TestSilentLinkWhileKilling(t *testing.T) {
	t.Parallel()
	needs(t, "sudo")
	const grace = time.Second
	srv, user := accountServer(t), newAccount(t, "/bin/sh")
	sudoers(t, user.name+" ALL=(ALL) NOPASSWD: ALL")
	for name, become := range map[string]*ssh.Become{"the account": nil, "another user": {}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			px, e := through(t, srv)
			e.Credential.Username = user.name
			o := quick()
			o.KillGrace = grace
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			asked := filepath.Join(shared(t), "asked")
			text := `trap 'echo >` + ssh.Quote(asked) + `' TERM; echo $$ >>"$1"; while :; do sleep 0.05; done`
			pids, done := spawnAs(t, ctx, pool(t, o), e, ssh.Command{Become: become}, text, 1)
			t.Cleanup(func() { _ = stopProcess(pids[0]) })
			start := time.Now()
			cancel(errOperator)
			eventually(t, "it has been asked to end", func() bool { m, _ := filepath.Glob(asked); return len(m) == 1 })
			px.Freeze()
			err := <-done
			wantError(t, err, hostfuncs.Cancelled, hostfuncs.After, "Whether the remote process still runs is not known")
			wantStopped(t, err, false)
			if took, most := time.Since(start), grace+7*time.Second; took > most {
				t.Errorf("it took %s, want at most %s", took, most)
			}
		})
	}
}

// A connection that fell silent while its command was to be killed takes no further
// command.
func TestSilentLinkIsLeft(t *testing.T) {
	t.Parallel()
	px, e := proxied(t, sshtest.Config{})
	p := pool(t, quick())
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	pids, done := spawnHeard(t, ctx, p, e)
	t.Cleanup(func() { _ = stopProcess(pids[0]) })
	px.Freeze()
	cancel(errOperator)
	wantError(t, <-done, hostfuncs.Cancelled, hostfuncs.After, "not known")
	px.Thaw()
	if r := run(t, p, e, ssh.Command{Argv: []string{"echo", "again"}}); strings.TrimSpace(string(r.Stdout.Bytes)) != "again" || px.Connections() != 2 {
		t.Errorf("the next command: %q over %d connections, want a new one", r.Stdout.Bytes, px.Connections())
	}
}

// A connection that ends while what never said who it is was to be ended says nothing
// of its end.
func TestCancelCutWithoutWord(t *testing.T) {
	t.Parallel()
	f := fake(t, sshtest.FakeConfig{Stall: sshtest.Running})
	px, err := sshtest.StartProxy(f.Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(px.Stop)
	e := fakeEndpoint(f)
	e.Host, e.Port = px.Host, px.Port
	o := quick()
	o.KillGrace = 5 * time.Second
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	done := make(chan error, 1)
	p := pool(t, o)
	go func() {
		_, err := p.Exec(ctx, e, truth)
		done <- err
	}()
	eventually(t, "it was sent", func() bool { return f.Execs() == 1 })
	cancel(errOperator)
	time.AfterFunc(300*time.Millisecond, px.Cut)
	start := time.Now()
	err = <-done
	if took := time.Since(start); took > 4*time.Second {
		t.Errorf("it took %s: nothing can come on a connection that has ended", took)
	}
	wantError(t, err, hostfuncs.Cancelled, hostfuncs.After, "Whether the remote process still runs is not known")
	wantStopped(t, err, false)
}

// What kills is told what the wrapper's line has said: a process whose start nobody
// knows is not taken for another one.
func TestKillArgv(t *testing.T) {
	t.Parallel()
	stat := " 7 3 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 8190"
	for line, want := range map[string][]string{
		"n 41":               {"41", "-", "group", "6", "41"},
		"n 41 41" + stat:     {"41", "8190", "group", "6", "41"},
		"n 41 40" + stat:     {"41", "8190", "one", "6", "41"},
		"n 41 41 7 3 0 -1 x": {"41", "-", "group", "6", "41"},
	} {
		if got := ssh.KillArgv("n", line, 6); !slices.Equal(got[5:], want) {
			t.Errorf("%q: %q, want %q", line, got[5:], want)
		}
	}
}
