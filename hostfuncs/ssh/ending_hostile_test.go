package ssh_test

import (
	"bytes"
	"context"
	"errors"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	xssh "golang.org/x/crypto/ssh"

	"opsconductor.dev/hostfuncs"
	"opsconductor.dev/hostfuncs/ssh"
	"opsconductor.dev/hostfuncs/ssh/sshtest"
)

// What a server says of a command's end is taken once, and where it can't be read it
// has not been said.
func TestHowItEnded(t *testing.T) {
	t.Parallel()
	status := func(n uint32) []byte { return xssh.Marshal(struct{ Status uint32 }{n}) }
	signal := xssh.Marshal(struct {
		Signal        string
		Core          bool
		Message, Lang string
	}{"KILL", false, "", ""})
	type word struct {
		kind    string
		payload []byte
	}
	for name, tc := range map[string]struct {
		words []word
		code  int // -1: none
		sig   string
	}{
		"a status":                {[]word{{"exit-status", status(7)}}, 7, ""},
		"a large one":             {[]word{{"exit-status", status(1<<32 - 1)}}, 1<<32 - 1, ""},
		"a signal":                {[]word{{"exit-signal", signal}}, -1, "KILL"},
		"half a status":           {[]word{{"exit-status", status(7)[:2]}}, -1, ""},
		"half a signal":           {[]word{{"exit-signal", signal[:6]}}, -1, ""},
		"nothing":                 {nil, -1, ""},
		"half, and then a whole":  {[]word{{"exit-status", nil}, {"exit-status", status(7)}}, 7, ""},
		"two":                     {[]word{{"exit-status", status(7)}, {"exit-status", status(0)}}, 7, ""},
		"a status and a signal":   {[]word{{"exit-status", status(7)}, {"exit-signal", signal}}, 7, ""},
		"something else, and one": {[]word{{"exit-code", status(1)}, {"exit-status", status(7)}}, 7, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := fake(t, sshtest.FakeConfig{Ends: func(ch xssh.Channel) {
				for _, w := range tc.words {
					_, _ = ch.SendRequest(w.kind, false, w.payload)
				}
			}})
			r := run(t, pool(t, quick()), fakeEndpoint(f), ssh.Command{Argv: []string{"echo", "out"}})
			if code(r) != tc.code || r.Signal != tc.sig || string(r.Stdout.Bytes) != "out\n" {
				t.Errorf("exit code %d, signal %q, %q; want %d, %q, and the output", code(r), r.Signal, r.Stdout.Bytes, tc.code, tc.sig)
			}
		})
	}
}

// A command's place is free again when its call returns, so that the next one does not
// take another connection: the server closes the session a while after the end.
func TestPlaceIsFree(t *testing.T) {
	t.Parallel()
	f := fake(t, sshtest.FakeConfig{Ends: func(ch xssh.Channel) {
		_, _ = ch.SendRequest("exit-status", false, make([]byte, 4))
		_ = ch.CloseWrite()
		<-time.After(100 * time.Millisecond)
	}})
	o := quick()
	o.SessionsPerConn, o.DrainGrace = 1, 10*time.Second
	p := pool(t, o)
	for range 3 {
		if r := run(t, p, fakeEndpoint(f), truth); code(r) != 0 {
			t.Errorf("exit code %d, want 0", code(r))
		}
	}
	if n := f.Accepted(); n != 1 {
		t.Errorf("%d connections for one command at a time, want 1", n)
	}
}

// A word of the end that comes at the same moment as the end of the session counts.
func TestEndsAtOnce(t *testing.T) {
	t.Parallel()
	p, e := pool(t, quick()), fakeEndpoint(fake(t, sshtest.FakeConfig{Quick: true}))
	for i := range 300 {
		if r := run(t, p, e, truth); code(r) != 0 {
			t.Fatalf("command %d: exit code %d, want 0", i, code(r))
		}
	}
}

// What runs in place of the command, and ends without a word, has no exit code in the
// error either.
func TestNoExitOfAnother(t *testing.T) {
	t.Parallel()
	f := fake(t, sshtest.FakeConfig{NoExit: true, Env: []string{"PATH=/nonexistent"}})
	_, err := pool(t, quick()).Exec(t.Context(), fakeEndpoint(f), ssh.Command{Argv: []string{"true"}, Env: map[string]string{"A": "1"}})
	wantError(t, err, hostfuncs.Protocol, hostfuncs.After, "did not run the command but something else (no exit code, ")
}

// The rest of the output is waited for while it comes, and no longer than DrainGrace
// once the call is over.
func TestDrainEndsWithTheCall(t *testing.T) {
	t.Parallel()
	o := quick()
	o.DrainGrace, o.DrainMost = 300*time.Millisecond, time.Minute
	srv := server(t, sshtest.Config{})
	const text = `while echo goes on; do sleep 0.05; done & echo $!`
	for name, c := range map[string]ssh.Command{"cancelled": {}, "out of time": {Timeout: 2 * time.Second}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			lines := 0
			c.Argv = []string{"sh", "-c", text}
			c.Live = &ssh.Live{Line: func(string, string) {
				if lines++; lines == 20 && c.Timeout == 0 { // the command itself has long ended
					cancel(errOperator)
				}
			}}
			start := time.Now()
			r, err := pool(t, o).Exec(ctx, endpoint(srv), c)
			if took := time.Since(start); err != nil || code(r) != 0 || took > 15*time.Second || bytes.Count(r.Stdout.Bytes, []byte("goes on")) < 15 || !r.Cut || !r.Stdout.Truncated {
				t.Errorf("exit code %d, %d bytes, %v, after %s; want 0, what came until the call was over, and that there is more", code(r), len(r.Stdout.Bytes), err, took)
			}
			for word := range strings.FieldsSeq(string(r.Stdout.Bytes)) {
				if pid, err := strconv.Atoi(word); err == nil {
					_ = stopProcess(pid)
				}
			}
		})
	}
}

// What a server sends that nobody has asked for costs no memory and no thread, and
// spoils no command; of its host keys it is heard once a connection.
func TestStorm(t *testing.T) { //nolint:paralleltest // it counts the process's memory
	key, err := xssh.ParsePrivateKey([]byte(sshtest.NewKey()))
	if err != nil {
		t.Fatal(err)
	}
	announced := xssh.Marshal(struct{ Key []byte }{key.PublicKey().Marshal()})
	f := fake(t, sshtest.FakeConfig{Storm: 3000, Announce: announced})
	p := pool(t, quick())
	e := fakeEndpoint(f)
	e.Trust.Rotate, e.Learn = true, func(context.Context, hostfuncs.HostKeys) ([]string, error) { return nil, errors.New("none") }
	run(t, p, e, truth)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	threads := runtime.NumGoroutine()
	for range 3 {
		if r := run(t, p, e, ssh.Command{Argv: []string{"cat"}, Stdin: []byte("in")}); string(r.Stdout.Bytes) != "in" || code(r) != 0 {
			t.Errorf("exit code %d, %q; want 0 and the input", code(r), r.Stdout.Bytes)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 4<<20 || runtime.NumGoroutine() > threads+20 { //nolint:gosec // far from its bounds
		t.Errorf("%d bytes more are in use, and %d goroutines where there were %d", grown, runtime.NumGoroutine(), threads)
	}
	if n := f.Proofs(); n != 1 || f.Accepted() != 1 {
		t.Errorf("the server was asked %d times for proof of its keys over %d connections, want once over one", n, f.Accepted())
	}
}
