package interop_test

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"opsconductor.dev/hostfuncs"
	"opsconductor.dev/hostfuncs/ssh"
	"opsconductor.dev/hostfuncs/ssh/sshtest"
)

// guards are commands that run once, whatever happens to the way there.
func guards() []row {
	dropbear := func(t *testing.T) ssh.Endpoint { t.Helper(); return dropbearWith(t, sshtest.User(t, "/bin/sh")) }
	plain := func(t *testing.T) ssh.Endpoint { t.Helper(); return server(t).Endpoint("web1") }
	return []row{
		{"OpenSSH, guarded", func(t *testing.T) { guardedThrice(t, plain(t), nil) }},
		{"OpenSSH, guarded, as root by sudo", func(t *testing.T) {
			guardedThrice(t, login(t, sshtest.User(t, "/bin/sh", "$a ALL=(ALL) NOPASSWD: ALL")), &ssh.Become{})
		}},
		{"OpenSSH, guarded, three at once", func(t *testing.T) { guardedAtOnce(t, plain(t)) }},
		{"OpenSSH, guarded, connection cut in mid-command", func(t *testing.T) { guardedCut(t, plain(t)) }},
		{"OpenSSH, guarded, no sessions", func(t *testing.T) {
			_, err := pool(t, hasty()).ExecGuarded(t.Context(), server(t, "MaxSessions 0").Endpoint("web1"), ssh.Command{Argv: []string{"true"}}, ssh.Guard{Token: newToken()})
			sshtest.WantError(t, err, hostfuncs.Protocol, hostfuncs.Before, "refuses every session")
		}},
		{"dropbear, guarded", func(t *testing.T) { guardedThrice(t, dropbear(t), nil) }},
		{"dropbear, guarded, three at once", func(t *testing.T) { guardedAtOnce(t, dropbear(t)) }},
		{"dropbear, guarded, connection cut in mid-command", func(t *testing.T) { guardedCut(t, dropbear(t)) }},
	}
}

func newToken() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// ledger is a file to which each execution adds a line, and the command that does.
func ledger(t *testing.T, seconds string) (lines func() int, c ssh.Command) {
	t.Helper()
	dir, err := os.MkdirTemp("", "ledger") //nolint:usetesting // other users of the machine write into it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o777); err != nil { //nolint:gosec // as above
		t.Fatal(err)
	}
	name := filepath.Join(dir, "ledger")
	c = ssh.Command{Argv: []string{"sh", "-c", `echo x >>"$1"; sleep "$2"; echo out; echo err >&2; exit 3`, "sh", name, seconds}}
	return func() int { b, _ := os.ReadFile(name); return strings.Count(string(b), "x\n") }, c
}

// journaled are options whose journals lie in a folder of the test.
func journaled(t *testing.T) ssh.Options {
	t.Helper()
	dir, err := os.MkdirTemp("", "journals") //nolint:usetesting // other users of the machine write into it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o777); err != nil { //nolint:gosec // as above
		t.Fatal(err)
	}
	o := hasty()
	o.HandshakeTimeout, o.OpenTimeout, o.StartTimeout = 10*time.Second, 10*time.Second, 10*time.Second
	o.Journals, o.Reattach = filepath.Join(dir, "j"), 30*time.Second
	return o
}

// wantOnce wants the result of ledger's command, and one line.
func wantOnce(t *testing.T, r ssh.Result, err error, lines int) {
	t.Helper()
	if err != nil || r.ExitCode == nil || *r.ExitCode != 3 || string(r.Stdout.Bytes) != "out\n" || string(r.Stderr.Bytes) != "err\n" {
		t.Errorf("%v: %+v; want exit code 3, out and err", err, r)
	}
	if lines != 1 {
		t.Errorf("the command ran %d times, want once", lines)
	}
}

// guardedThrice calls with one token from three hosts, one after the other.
func guardedThrice(t *testing.T, e ssh.Endpoint, b *ssh.Become) {
	t.Helper()
	lines, c := ledger(t, "0")
	c.Become = b
	o, g := journaled(t), ssh.Guard{Token: newToken()}
	for range 3 {
		r, err := pool(t, o).ExecGuarded(t.Context(), e, c, g)
		wantOnce(t, r, err, lines())
		g.Since = time.Now()
	}
}

// guardedAtOnce calls with one token from three hosts at a time.
func guardedAtOnce(t *testing.T, e ssh.Endpoint) {
	t.Helper()
	lines, c := ledger(t, "1")
	o, g := journaled(t), ssh.Guard{Token: newToken()}
	var wg sync.WaitGroup
	for range 3 {
		p := pool(t, o)
		wg.Go(func() {
			r, err := p.ExecGuarded(t.Context(), e, c, g)
			wantOnce(t, r, err, lines())
		})
	}
	wg.Wait()
}

// guardedCut cuts the connection while the command runs; its real end is returned.
func guardedCut(t *testing.T, e ssh.Endpoint) {
	t.Helper()
	px, err := sshtest.StartProxy(net.JoinHostPort(e.Host, strconv.Itoa(e.Port)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(px.Stop)
	e.Port = px.Port
	lines, c := ledger(t, "2")
	p, done := pool(t, journaled(t)), make(chan func(), 1)
	ctx := context.WithoutCancel(t.Context())
	go func() {
		r, err := p.ExecGuarded(ctx, e, c, ssh.Guard{Token: newToken()})
		done <- func() { wantOnce(t, r, err, lines()) }
	}()
	eventually(t, "the command has begun", func() bool { return lines() == 1 })
	before := px.Connections()
	px.Cut()
	(<-done)()
	if n := px.Connections(); n <= before {
		t.Errorf("%d connections, want more than the %d before the cut", n, before)
	}
}
