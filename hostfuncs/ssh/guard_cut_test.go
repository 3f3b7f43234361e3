package ssh_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"opsconductor.dev/hostfuncs"
	"opsconductor.dev/hostfuncs/ssh"
	"opsconductor.dev/hostfuncs/ssh/sshtest"
)

// TestGuardedCutAfterEachByte cuts the connection after n bytes one way, for n over
// the whole exchange: the command runs once, and its real result comes by the same
// call, or, where the target stays away, by the next one. By hand with
// OC_GUARDED_CUTS=64, the bytes between two cuts.
func TestGuardedCutAfterEachByte(t *testing.T) {
	t.Parallel()
	srv := server(t, sshtest.Config{Options: []string{"MaxStartups 200"}})
	o, _ := guardedBy(t)
	step, err := strconv.ParseInt(os.Getenv("OC_GUARDED_CUTS"), 10, 64)
	if err != nil || step < 1 {
		step = 2500
	}
	whole, e := through(t, srv)
	file, _ := ledger(t)
	r, err := pool(t, o).ExecGuarded(t.Context(), e, counted(file, "0"), ssh.Guard{Token: newToken()})
	wantCounted(t, r, err)
	var seen cuts
	for _, way := range []sshtest.Way{sshtest.ToServer, sshtest.FromServer} {
		for n := int64(1); n < whole.Passed(way)+step; n += step {
			for _, away := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%d/away %t", way, n, away), func(t *testing.T) {
					t.Parallel()
					seen.cut(t, srv, o, sshtest.Cut{Way: way, After: n, Away: away})
				})
			}
		}
	}
	t.Cleanup(func() {
		t.Logf("%d bytes to the server and %d from it: %d cuts; of these the call gave the result in %d, nothing was sent in %d, and the next call gave it in %d",
			whole.Passed(sshtest.ToServer), whole.Passed(sshtest.FromServer), seen.all.Load(), seen.same.Load(), seen.before.Load(), seen.next.Load())
	})
}

// cuts counts what became of calls.
type cuts struct{ all, same, before, next atomic.Int64 }

func (seen *cuts) cut(t *testing.T, srv *sshtest.Server, o ssh.Options, at sshtest.Cut) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	px, e := through(t, srv)
	file, lines := ledger(t)
	c, g := counted(file, "0.1"), ssh.Guard{Token: newToken()}
	c.Begin = func(context.Context, string) error {
		if g.Since.IsZero() {
			g.Since = time.Now()
		}
		return nil
	}
	first := g
	px.CutAfter(at)
	if at.Away {
		o.Reattach, o.ConnectTimeout = 50*time.Millisecond, time.Second
	}
	seen.all.Add(1)
	r, err := pool(t, o).ExecGuarded(ctx, e, c, first)
	px.Refuse(false)
	var he *hostfuncs.Error
	switch {
	case err == nil:
		seen.same.Add(1)
	case errors.As(err, &he) && he.Phase == hostfuncs.Before && g.Since.IsZero():
		seen.before.Add(1)
	case he != nil && he.Phase == hostfuncs.After && he.Journaled && !g.Since.IsZero():
		seen.next.Add(1)
	default:
		t.Errorf("got %#v, began %t; want it before the command, or after it with a journal that tells", err, !g.Since.IsZero())
	}
	if n := len(lines()); n > 2 {
		t.Errorf("executions after the first call: %q", lines())
	}
	if err != nil {
		r, err = pool(t, o).ExecGuarded(ctx, e, c, g)
	}
	wantCounted(t, r, err)
	if got := lines(); len(got) != 2 {
		t.Errorf("executions: %q, want one", got)
	}
}

// TestGuardedCutInput: a command whose input came in part does not begin; the next
// try sends it whole.
func TestGuardedCutInput(t *testing.T) {
	t.Parallel()
	o, _ := guardedBy(t)
	px, e := proxied(t, sshtest.Config{})
	file, lines := ledger(t)
	const size = 1_500_000
	c := ssh.Command{Argv: []string{"sh", "-c", `echo begin >>"$1"; wc -c`, "sh", file}, Stdin: make([]byte, size)}
	px.CutAfter(sshtest.Cut{Way: sshtest.ToServer, After: 500_000})
	r, err := pool(t, o).ExecGuarded(t.Context(), e, c, ssh.Guard{Token: newToken()})
	if got := strings.TrimSpace(string(r.Stdout.Bytes)); err != nil || got != strconv.Itoa(size) {
		t.Errorf("%v: the command read %s bytes, want %d", err, got, size)
	}
	if got := lines(); len(got) != 1 || px.Connections() < 2 {
		t.Errorf("%d executions over %d connections, want one over two", len(got), px.Connections())
	}
}

// TestGuardedShortInput: where the input ends early the command does not begin, and
// nothing of the journal is left, so that the next try may begin it.
func TestGuardedShortInput(t *testing.T) {
	t.Parallel()
	for name, sh := range shells() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o, base := guardedBy(t)
			file, lines := ledger(t)
			c := ssh.Command{Argv: []string{"sh", "-c", `echo begin >>"$1"; wc -c`, "sh", file}, Stdin: []byte(strings.Repeat("x", 1000))}
			f, nonce := ssh.GuardFollow(o, newToken(), c)
			for _, n := range []int{0, 1, len(f.Stdin) - 1000, len(f.Stdin) - 1} {
				cmd := shell(t, sh, f.Argv[2], f.Argv[3:]...)
				cmd.Stdin = bytes.NewReader(f.Stdin[:n])
				if out, err := cmd.Output(); err != nil || string(out) != nonce+" short \n" {
					t.Errorf("%d of %d bytes: it says %q (%v), want short", n, len(f.Stdin), out, err)
				}
				only(t, base)
			}
			cmd := shell(t, sh, f.Argv[2], f.Argv[3:]...)
			cmd.Stdin = bytes.NewReader(f.Stdin)
			if out, err := cmd.Output(); err != nil || !strings.HasPrefix(string(out), nonce+" ended 0,,") || !strings.Contains(string(out), "\n1000\n") {
				t.Errorf("all of it: it says %q (%v), want that it ended and read 1000 bytes", out, err)
			}
			if got := lines(); len(got) != 1 {
				t.Errorf("executions: %q, want one", got)
			}
		})
	}
}
