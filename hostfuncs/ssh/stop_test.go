package ssh_test

import (
	"context"
	"errors"
	"fmt"
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

// quick are options whose grace periods are short, for tests that wait for them.
func quick() ssh.Options {
	return ssh.Options{KillGrace: 300 * time.Millisecond, DrainGrace: 200 * time.Millisecond}
}

// spawn runs a shell text that writes process ids to the file $1, and returns the
// ids once there are n, and the end of the call.
func spawn(t *testing.T, ctx context.Context, p *ssh.Pool, e ssh.Endpoint, text string, n int) ([]int, <-chan error) {
	t.Helper()
	return spawnAs(t, ctx, p, e, ssh.Command{}, text, n)
}

// spawnAs is spawn for a command that has more than arguments. Any user may write
// to the file.
func spawnAs(t *testing.T, ctx context.Context, p *ssh.Pool, e ssh.Endpoint, c ssh.Command, text string, n int) ([]int, <-chan error) {
	t.Helper()
	f, err := os.CreateTemp("", "opsconductor-pids-") //nolint:usetesting // other users read it, and the test's own folder is closed to them
	if err != nil {
		t.Fatal(err)
	}
	file := f.Name()
	t.Cleanup(func() { _ = os.Remove(file) })
	if err := errors.Join(f.Chmod(0o666), f.Close()); err != nil {
		t.Fatal(err)
	}
	c.Argv = []string{"sh", "-c", text, "sh", file}
	done := make(chan error, 1)
	go func() {
		_, err := p.Exec(ctx, e, c)
		done <- err
	}()
	var pids []int
	eventually(t, "the command has written its process ids", func() bool {
		b, _ := os.ReadFile(file)
		pids = pids[:0]
		for f := range strings.FieldsSeq(string(b)) {
			if pid, err := strconv.Atoi(f); err == nil {
				pids = append(pids, pid)
			}
		}
		return len(pids) == n && strings.HasSuffix(string(b), "\n")
	})
	return pids, done
}

// spawnHeard starts a command that sleeps, and waits until the pool has heard of it:
// by then it has the server's word that the command was begun, too.
func spawnHeard(t *testing.T, ctx context.Context, p *ssh.Pool, e ssh.Endpoint) ([]int, <-chan error) {
	t.Helper()
	heard := make(chan struct{}, 1)
	c := ssh.Command{Live: &ssh.Live{Line: func(string, string) { heard <- struct{}{} }}}
	pids, done := spawnAs(t, ctx, p, e, c, `echo begun; echo $$ >>"$1"; exec sleep 1000`, 1)
	<-heard
	return pids, done
}

// running reports whether a process is there and not a zombie.
func running(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	return !strings.HasPrefix(rest, "Z")
}

func TestCancelKills(t *testing.T) {
	t.Parallel()
	srv := server(t, sshtest.Config{})
	for name, text := range map[string]string{
		"sleep":        `echo $$ >>"$1"; exec sleep 1000`,
		"children":     `sleep 1000 & echo $! >>"$1"; echo $$ >>"$1"; wait`,
		"deaf to TERM": `trap "" TERM; sleep 1000 & echo $! >>"$1"; echo $$ >>"$1"; while :; do wait; done`,
		"stopped":      `sleep 1000 & echo $! >>"$1"; echo $$ >>"$1"; kill -s STOP $$`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := 2
			if name == "sleep" {
				n = 1
			}
			p := pool(t, quick())
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			pids, done := spawn(t, ctx, p, endpoint(srv), text, n)
			for _, pid := range pids {
				if !running(pid) {
					t.Fatalf("process %d is not running", pid)
				}
			}
			start := time.Now()
			cancel(errors.New("the operator cancelled the run"))
			wantError(t, <-done, hostfuncs.Cancelled, hostfuncs.After, "confirmed dead", "the operator cancelled the run")
			for _, pid := range pids {
				if running(pid) {
					t.Errorf("process %d still runs", pid)
				}
			}
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("it took %s", took)
			}
		})
	}
}

func TestDeadlineKills(t *testing.T) {
	t.Parallel()
	e := endpoint(server(t, sshtest.Config{}))
	p := pool(t, quick())
	file := filepath.Join(t.TempDir(), "pid")
	_, err := p.Exec(t.Context(), e, ssh.Command{
		Argv: []string{"sh", "-c", `echo $$ >"$1"; exec sleep 1000`, "sh", file}, Timeout: time.Second,
	})
	wantError(t, err, hostfuncs.Timeout, hostfuncs.After, "confirmed dead", "timeout of 1s")
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if pid, _ := strconv.Atoi(strings.TrimSpace(string(b))); running(pid) {
		t.Errorf("process %d still runs", pid)
	}
	if r := run(t, p, e, ssh.Command{Argv: []string{"true"}}); code(r) != 0 {
		t.Errorf("the next command: exit code %d, want 0", code(r))
	}
}

// The second session that kills has to find a way past MaxSessions.
func TestCancelKillsWithOneSession(t *testing.T) {
	t.Parallel()
	srv := server(t, sshtest.Config{Options: []string{"MaxSessions 1"}})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	pids, done := spawn(t, ctx, pool(t, quick()), endpoint(srv), `echo $$ >>"$1"; exec sleep 1000`, 1)
	cancel()
	wantError(t, <-done, hostfuncs.Cancelled, hostfuncs.After, "confirmed dead")
	if running(pids[0]) {
		t.Errorf("process %d still runs", pids[0])
	}
}

// A server that makes no process group for a command: setsid has to, or killing
// the group would kill the server's (here the test's own).
func TestCancelKillsWithoutServersGroup(t *testing.T) {
	t.Parallel()
	f := fake(t, sshtest.FakeConfig{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	pids, done := spawn(t, ctx, pool(t, quick()), fakeEndpoint(f), `sleep 1000 & echo $! >>"$1"; echo $$ >>"$1"; wait`, 2)
	cancel()
	wantError(t, <-done, hostfuncs.Cancelled, hostfuncs.After, "confirmed dead")
	for _, pid := range pids {
		if running(pid) {
			t.Errorf("process %d still runs", pid)
		}
	}
}

func TestCutInMidCommand(t *testing.T) {
	t.Parallel()
	px, e := proxied(t, sshtest.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	p := pool(t, quick())
	pids, done := spawnHeard(t, ctx, p, e)
	px.Cut()
	wantError(t, <-done, hostfuncs.Lost, hostfuncs.After, "connection was lost", "not known")
	_ = stopProcess(pids[0])
	if r := run(t, p, e, ssh.Command{Argv: []string{"echo", "again"}}); string(r.Stdout.Bytes) != "again\n" {
		t.Errorf("after the cut: %q, want again", r.Stdout.Bytes)
	}
}

// A server that no longer answers cannot keep a call beyond its deadline.
func TestSilentLinkAtDeadline(t *testing.T) {
	t.Parallel()
	px, e := proxied(t, sshtest.Config{})
	o := quick()
	o.HandshakeTimeout = time.Second
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	pids, done := spawn(t, ctx, pool(t, o), e, `echo $$ >>"$1"; exec sleep 1000`, 1)
	px.Freeze()
	cancel()
	start := time.Now()
	wantError(t, <-done, hostfuncs.Cancelled, hostfuncs.After, "not known")
	if took := time.Since(start); took > 6*time.Second {
		t.Errorf("it took %s", took)
	}
	_ = stopProcess(pids[0])
}

func TestOutputLimit(t *testing.T) {
	t.Parallel()
	e := endpoint(server(t, sshtest.Config{}))
	o := quick()
	o.Discard = 8 << 20
	p := pool(t, o)
	_, err := p.Exec(t.Context(), e, ssh.Command{Argv: []string{"sh", "-c", "yes | head -c 1073741824"}, MaxOutput: 1000})
	wantError(t, err, hostfuncs.OutputLimit, hostfuncs.After, "confirmed dead", "8389608 bytes")
	r := run(t, p, e, ssh.Command{Argv: []string{"sh", "-c", "yes | head -c 4194304"}, MaxOutput: 1000})
	if len(r.Stdout.Bytes) != 1000 || !r.Stdout.Truncated || r.Stdout.Total != 4<<20 {
		t.Errorf("%d bytes, truncated %t, of %d; want 1000, true, of 4 MiB", len(r.Stdout.Bytes), r.Stdout.Truncated, r.Stdout.Total)
	}
}

// What a slow way has not brought when the command ends comes all the same.
func TestSlowWay(t *testing.T) {
	t.Parallel()
	px, e := proxied(t, sshtest.Config{})
	p := pool(t, quick())
	run(t, p, e, ssh.Command{Argv: []string{"true"}})
	px.Slow(400_000)
	const n = 1_200_000
	for _, sh := range []string{`head -c "$1" /dev/zero`, `head -c "$1" /dev/zero >&2`} {
		r := run(t, p, e, ssh.Command{Argv: []string{"sh", "-c", sh, "sh", strconv.Itoa(n)}, MaxOutput: 2 << 20})
		if got := len(r.Stdout.Bytes) + len(r.Stderr.Bytes); got != n {
			t.Errorf("%s: %d bytes came, want %d", sh, got, n)
		}
	}
}

// A background process that holds the output open is not waited for.
func TestBackgroundChild(t *testing.T) {
	t.Parallel()
	srv := server(t, sshtest.Config{})
	p := pool(t, quick())
	start := time.Now()
	r := run(t, p, endpoint(srv), ssh.Command{Argv: []string{"sh", "-c", "sleep 30 & echo $!"}})
	pid, err := strconv.Atoi(strings.TrimSpace(string(r.Stdout.Bytes)))
	if err != nil || code(r) != 0 {
		t.Fatalf("exit code %d, stdout %q", code(r), r.Stdout.Bytes)
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("it took %s", took)
	}
	if !running(pid) {
		t.Errorf("the background process %d was ended", pid)
	}
	_ = stopProcess(pid)
}
