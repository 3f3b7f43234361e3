package ssh_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"opsconductor.dev/hostfuncs"
	"opsconductor.dev/hostfuncs/ssh"
	"opsconductor.dev/hostfuncs/ssh/sshtest"
)

// What a command wrote is whole, also where the server closes the session at once,
// with or without a word of how the command ended.
func TestOutputIsWhole(t *testing.T) {
	t.Parallel()
	const n = 700_000
	for name, conf := range map[string]sshtest.FakeConfig{"exit": {}, "no exit": {NoExit: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, e := pool(t, quick()), fakeEndpoint(fake(t, conf))
			for range 10 {
				r := run(t, p, e, ssh.Command{Argv: []string{"sh", "-c", `head -c "$1" /dev/zero`, "sh", "700000"}})
				if len(r.Stdout.Bytes) != n || r.Stdout.Total != n {
					t.Fatalf("%d bytes of %d came, want %d", len(r.Stdout.Bytes), r.Stdout.Total, n)
				}
			}
		})
	}
}

// What a background process goes on to write without a pause is not waited for without
// an end.
func TestDrainMost(t *testing.T) {
	t.Parallel()
	o := quick()
	o.DrainGrace, o.DrainMost = 5*time.Second, 6*time.Second
	ctx, cancel := context.WithTimeout(t.Context(), 25*time.Second)
	defer cancel()
	r, err := pool(t, o).Exec(ctx, endpoint(server(t, sshtest.Config{})), ssh.Command{Argv: []string{"sh", "-c", "while echo goes on; do sleep 0.2; done & echo $!"}})
	if err != nil || code(r) != 0 || !bytes.Contains(r.Stdout.Bytes, []byte("goes on\ngoes on\n")) || r.Duration < o.DrainMost || !r.Cut || !r.Stdout.Truncated {
		t.Errorf("exit code %d after %s, %d bytes, %v; want 0, what came in %s, and that there is more", code(r), r.Duration, len(r.Stdout.Bytes), err, o.DrainMost)
	}
	for word := range strings.FieldsSeq(string(r.Stdout.Bytes)) {
		if pid, err := strconv.Atoi(word); err == nil {
			_ = stopProcess(pid)
		}
	}
}

// A server that does not close a session when it is asked to: its place is free again
// after a while, on another connection.
func TestSessionStaysOpen(t *testing.T) {
	t.Parallel()
	f := fake(t, sshtest.FakeConfig{Mute: true})
	o := quick()
	o.SessionsPerConn, o.ConnsPerTarget, o.OpenTimeout = 1, 1, 300*time.Millisecond
	p := pool(t, o)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for i := range 3 {
		if r, err := p.Exec(ctx, fakeEndpoint(f), ssh.Command{Argv: []string{"true"}}); err != nil || code(r) != 0 {
			t.Fatalf("command %d: exit code %d, %v", i, code(r), err)
		}
	}
	if n := f.Accepted(); n != 3 {
		t.Errorf("%d connections, want one a command", n)
	}
}

// A command that is stopped is asked to end first, and has KillGrace for that, also
// where it stands still.
func TestCancelAsksFirst(t *testing.T) {
	t.Parallel()
	srv := server(t, sshtest.Config{})
	for name, then := range map[string]string{"waits": `while :; do sleep 0.05; done`, "stands still": `kill -s STOP $$; while :; do sleep 0.05; done`} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := quick()
			o.KillGrace = 10 * time.Second
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			file := filepath.Join(t.TempDir(), "cleaned")
			_, done := spawn(t, ctx, pool(t, o), endpoint(srv), `trap 'sleep 0.3; echo yes >`+ssh.Quote(file)+`; exit 0' TERM; echo $$ >>"$1"; `+then, 1)
			cancel(errOperator)
			wantError(t, <-done, hostfuncs.Cancelled, hostfuncs.After, "confirmed dead")
			if b, err := os.ReadFile(file); err != nil || !bytes.Equal(b, []byte("yes\n")) {
				t.Errorf("what the command does when it is asked to end was not done: %q, %v", b, err)
			}
		})
	}
}

// What the account may not kill is still there, and that is said.
func TestCancelUnkillable(t *testing.T) {
	t.Parallel()
	needs(t, "sudo")
	a := newAccount(t, "/bin/sh")
	sudoers(t, a.name+" ALL=(ALL) NOPASSWD: ALL", "Defaults:"+a.name+" !use_pty")
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	pids, done := spawn(t, ctx, pool(t, quick()), as(accountServer(t), a), `exec sudo -n sh -c 'trap "" TERM; echo $$ >>"$1"; while :; do sleep 0.1; done' sh "$1"`, 1)
	cancel(errOperator)
	err := <-done
	wantError(t, err, hostfuncs.Cancelled, hostfuncs.After, "The remote process could not be killed: it is still there")
	if !running(pids[0]) {
		t.Error("the process of which it was said that it is there is not")
	}
	_ = stopProcess(pids[0])
}

// Where neither the server nor setsid made a process group, the process alone is
// killed: its group may be the server's own. What it started goes on, and that is said.
func TestCancelUngrouped(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, program := range []string{"sh", "sleep", "dd"} {
		if err := os.Symlink("/bin/"+program, filepath.Join(dir, program)); err != nil {
			t.Fatal(err)
		}
	}
	f := fake(t, sshtest.FakeConfig{Env: []string{"PATH=" + dir}})
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	pids, done := spawn(t, ctx, pool(t, quick()), fakeEndpoint(f), `sleep 1000 & echo $! >>"$1"; echo $$ >>"$1"; wait`, 2)
	cancel(errOperator)
	wantError(t, <-done, hostfuncs.Cancelled, hostfuncs.After, "is confirmed dead; the server gave it no process group of its own, so children of it may go on")
	if !running(pids[0]) || running(pids[1]) {
		t.Errorf("the child runs: %t, the process runs: %t; want the child alone", running(pids[0]), running(pids[1]))
	}
	_ = stopProcess(pids[0])
}

// A command whose output has ended with it returns with its exit: nothing is waited for.
func TestNoDrain(t *testing.T) {
	t.Parallel()
	o := quick()
	o.DrainGrace, o.DrainMost = time.Hour, time.Hour
	f := fake(t, sshtest.FakeConfig{})
	p := pool(t, o)
	for _, text := range []string{"true", "echo out", "echo err >&2", "echo out; echo err >&2"} {
		run(t, p, fakeEndpoint(f), ssh.Command{Argv: []string{"sh", "-c", text}})
	}
}
