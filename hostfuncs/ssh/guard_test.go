package ssh_test

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"opsconductor.dev/hostfuncs"
	"opsconductor.dev/hostfuncs/ssh"
	"opsconductor.dev/hostfuncs/ssh/sshtest"
)

// newToken returns a journal's name.
func newToken() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// guardedBy returns options whose journals lie in a folder of the test.
func guardedBy(t *testing.T) (o ssh.Options, base string) {
	t.Helper()
	o = quick()
	o.Journals = filepath.Join(t.TempDir(), "journals")
	o.Reattach = 10 * time.Second
	return o, fmt.Sprintf("%s-%d", o.Journals, os.Getuid())
}

// ledger is a file on the target to which each execution adds a line.
func ledger(t *testing.T) (file string, lines func() []string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "ledger")
	return file, func() []string {
		b, _ := os.ReadFile(file)
		return strings.Fields(string(b))
	}
}

// counted is a command that writes itself into the ledger, takes a while and says
// something on both streams.
func counted(file, seconds string) ssh.Command {
	return ssh.Command{Argv: []string{"sh", "-c", `echo begin >>"$1"; sleep "$2"; echo out; echo err >&2; echo end >>"$1"; exit 3`, "sh", file, seconds}}
}

func wantCounted(t *testing.T, r ssh.Result, err error) {
	t.Helper()
	if err != nil || code(r) != 3 || string(r.Stdout.Bytes) != "out\n" || string(r.Stderr.Bytes) != "err\n" {
		t.Errorf("%v: code %d, stdout %q, stderr %q; want 3, out, err", err, code(r), r.Stdout.Bytes, r.Stderr.Bytes)
	}
}

func TestGuarded(t *testing.T) {
	t.Parallel()
	e := endpoint(server(t, sshtest.Config{}))
	o, base := guardedBy(t)
	file, lines := ledger(t)
	g := ssh.Guard{Token: newToken()}
	for n := range 3 { // another pool each time, as of another host
		if n > 0 {
			g.Since = time.Now()
		}
		start := time.Now()
		r, err := pool(t, o).ExecGuarded(t.Context(), e, counted(file, "0"), g)
		wantCounted(t, r, err)
		t.Logf("call %d: %s", n, time.Since(start))
	}
	if got := lines(); len(got) != 2 {
		t.Errorf("three calls with a token: %q, want one execution", got)
	}
	if info, err := os.Stat(base); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the journals' folder: %v, %v; want mode 0700", info, err)
	}
}

// What a command is given and how it ends is as without a guard.
func TestGuardedIsLikeUnguarded(t *testing.T) {
	t.Parallel()
	e := endpoint(server(t, sshtest.Config{}))
	o, _ := guardedBy(t)
	p := pool(t, o)
	big := strings.Repeat("0123456789abcdef\n", 20_000)
	for name, c := range map[string]ssh.Command{
		"argv":       {Argv: []string{"printf", "%s|", "a b", "", "'", `"`, "\n", "$x", `\`, "!", "*", "\xff"}},
		"stdin":      {Argv: []string{"cat"}, Stdin: []byte(big)},
		"bytes":      {Argv: []string{"cat"}, Stdin: []byte("\x00\xff\n\r\x04")},
		"env":        {Argv: []string{"sh", "-c", `echo "$A|$_gj|$IFS|"; umask; pwd`}, Env: map[string]string{"A": "x y\n", "_gj": "mine", "_gl": "z"}},
		"exit 137":   {Argv: []string{"sh", "-c", "exit 137"}},
		"killed":     {Argv: []string{"sh", "-c", "kill -KILL $$"}},
		"terminated": {Argv: []string{"sh", "-c", "kill -TERM $$"}},
		"missing":    {Argv: []string{"/nonexistent/x"}},
		"truncated":  {Argv: []string{"cat"}, Stdin: []byte(big), MaxOutput: 1000},
		"background": {Argv: []string{"sh", "-c", "sleep 5 & echo x"}},
		"script":     {Argv: []string{"/bin/sh", "-s", "--", "a"}, Stdin: []byte("echo $1 $#\nread x\nrest\n echo $x")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want, err := p.Exec(t.Context(), e, c)
			if err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			got, err := p.ExecGuarded(t.Context(), e, c, ssh.Guard{Token: newToken()})
			if err != nil {
				t.Fatal(err)
			}
			if code(got) != code(want) || got.Signal != want.Signal {
				t.Errorf("code %d signal %q, want %d %q", code(got), got.Signal, code(want), want.Signal)
			}
			if string(got.Stdout.Bytes) != string(want.Stdout.Bytes) || got.Stdout.Total != want.Stdout.Total || got.Stdout.Truncated != want.Stdout.Truncated {
				t.Errorf("stdout %.80q of %d, cut %t; want %.80q of %d, cut %t", got.Stdout.Bytes, got.Stdout.Total, got.Stdout.Truncated, want.Stdout.Bytes, want.Stdout.Total, want.Stdout.Truncated)
			}
			if (len(got.Stderr.Bytes) > 0) != (len(want.Stderr.Bytes) > 0) {
				t.Errorf("stderr %q, want %q", got.Stderr.Bytes, want.Stderr.Bytes)
			}
			t.Log(time.Since(start))
		})
	}
}

// A call that comes while the command runs waits for it.
func TestGuardedFollows(t *testing.T) {
	t.Parallel()
	e := endpoint(server(t, sshtest.Config{}))
	o, _ := guardedBy(t)
	file, lines := ledger(t)
	token := newToken()
	ctx, cancel := context.WithCancelCause(t.Context())
	first := make(chan error, 1)
	stops := errors.New("the host stops")
	go func() {
		_, err := pool(t, o).ExecGuarded(ctx, e, counted(file, "1"), ssh.Guard{Token: token, Leave: func(err error) bool { return errors.Is(err, stops) }})
		first <- err
	}()
	eventually(t, "it runs", func() bool { return len(lines()) == 1 })
	cancel(stops)
	err := <-first
	wantError(t, err, hostfuncs.Lost, hostfuncs.After, "its journal there will tell", "this host stops")
	var he *hostfuncs.Error
	if !errors.As(err, &he) || !he.Journaled {
		t.Errorf("%v; want it to say that a journal tells", err)
	}
	r, err := pool(t, o).ExecGuarded(t.Context(), e, counted(file, "1"), ssh.Guard{Token: token, Since: time.Now()})
	wantCounted(t, r, err)
	if got := lines(); len(got) != 2 {
		t.Errorf("executions: %q, want one", got)
	}
}
