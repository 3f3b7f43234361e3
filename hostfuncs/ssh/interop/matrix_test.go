package interop_test

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"opsconductor.dev/hostfuncs"
	"opsconductor.dev/hostfuncs/ssh"
	"opsconductor.dev/hostfuncs/ssh/sshtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// row is a peer and what has to come of it.
type row struct {
	name string
	run  func(t *testing.T)
}

// TestMatrix runs all rows and prints how many passed. INTEROP_FAKES is how many
// servers the last one has.
func TestMatrix(t *testing.T) {
	if os.Getenv("OPSCONDUCTOR_INTEROP") == "" {
		t.Skip("make interop runs it")
	}
	fakes, err := strconv.Atoi(cmp.Or(os.Getenv("INTEROP_FAKES"), "10000"))
	if err != nil || fakes < 20 {
		t.Fatalf("INTEROP_FAKES is %q; want a number from 20", os.Getenv("INTEROP_FAKES"))
	}
	var all, passed, skipped atomic.Int32
	began := time.Now()
	t.Run("rows", func(t *testing.T) {
		for _, group := range []func() []row{openssh, limits, trust, agents, accounts, files, filesAs, guards, devices, fanOuts, hostile, jumps, tunnels} {
			for _, r := range group() {
				t.Run(r.name, func(t *testing.T) {
					t.Parallel()
					all.Add(1)
					t.Cleanup(func() {
						switch {
						case t.Skipped():
							skipped.Add(1)
						case !t.Failed():
							passed.Add(1)
						}
					})
					r.run(t)
				})
			}
		}
	})
	all.Add(1)
	if t.Run(fmt.Sprintf("%d servers of which every twentieth hangs", fakes), func(t *testing.T) { fleet(t, fakes) }) {
		passed.Add(1)
	}
	fmt.Fprintf(os.Stdout, "interop: passed %d of %d, %d not run, in %.1f s\n", passed.Load(), all.Load(), skipped.Load(), time.Since(began).Seconds())
}

// server starts a real sshd that ends with the test.
func server(t *testing.T, options ...string) *sshtest.Server {
	t.Helper()
	return serverWith(t, sshtest.Config{Options: options})
}

func serverWith(t *testing.T, c sshtest.Config) *sshtest.Server {
	t.Helper()
	return sshtest.Serve(t, c)
}

// fake starts a server in process that ends with the test.
func fake(t *testing.T, c sshtest.FakeConfig) *sshtest.Fake {
	t.Helper()
	return sshtest.ServeFake(t, c)
}

// patient are a pool's options where nothing is waited for in vain.
func patient() ssh.Options { return ssh.Options{} }

// hasty are those where each phase is.
func hasty() ssh.Options {
	return ssh.Options{
		HandshakeTimeout: time.Second, OpenTimeout: time.Second, StartTimeout: 2 * time.Second, FileTimeout: time.Second,
		KillGrace: 300 * time.Millisecond, DrainGrace: 200 * time.Millisecond, Discard: 4 << 20,
	}
}

func pool(t *testing.T, o ssh.Options) *ssh.Pool {
	t.Helper()
	p := ssh.NewPool(o)
	t.Cleanup(func() { _ = p.Close() })
	return p
}

// echo runs a command that says what it was given, and wants exactly that.
func echo(t *testing.T, p *ssh.Pool, e ssh.Endpoint, word string) {
	t.Helper()
	c := ssh.Command{Argv: []string{"sh", "-c", `echo "$1"; echo err >&2; exit 3`, "sh", word}}
	wantResult(t, p, e, c, word+"\n", "err\n", 3)
}

// wantResult runs a command and compares both streams and the exit code.
func wantResult(t *testing.T, p *ssh.Pool, e ssh.Endpoint, c ssh.Command, stdout, stderr string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r, err := p.Exec(ctx, e, c)
	switch {
	case err != nil:
		t.Errorf("Exec(%.40q): %v", c.Argv, err)
	case r.ExitCode == nil:
		t.Errorf("signal %q, want exit code %d", r.Signal, code)
	case *r.ExitCode != code || string(r.Stdout.Bytes) != stdout || string(r.Stderr.Bytes) != stderr:
		t.Errorf("exit code %d, stdout %q, stderr %q, want %d, %q, %q", *r.ExitCode, r.Stdout.Bytes, r.Stderr.Bytes, code, stdout, stderr)
	}
}

// wantError runs a command that has to fail as a call.
func wantError(t *testing.T, p *ssh.Pool, e ssh.Endpoint, code hostfuncs.Code, phase hostfuncs.Phase, words ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, err := p.Exec(ctx, e, ssh.Command{Argv: []string{"true"}, Timeout: 30 * time.Second})
	sshtest.WantError(t, err, code, phase, words...)
}

// public is a PEM private key's public half.
func public(t *testing.T, private string) string {
	t.Helper()
	k, err := sshtest.PublicKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return k
}
