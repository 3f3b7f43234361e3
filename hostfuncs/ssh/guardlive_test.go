package ssh_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"opsconductor.dev/hostfuncs"
	"opsconductor.dev/hostfuncs/ssh"
	"opsconductor.dev/hostfuncs/ssh/sshtest"
)

// heard are the lines that a call has told.
type heard struct {
	mu    sync.Mutex
	lines []string
}

func (h *heard) live() *ssh.Live {
	return &ssh.Live{Line: func(stream, text string) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.lines = append(h.lines, stream+" "+text)
	}}
}

func (h *heard) all() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.lines)
}

// of returns the lines of a stream.
func (h *heard) of(stream string) []string {
	var out []string
	for _, l := range h.all() {
		if text, is := strings.CutPrefix(l, stream+" "); is {
			out = append(out, text)
		}
	}
	return out
}

func (h *heard) want(t *testing.T, stdout, stderr []string) {
	t.Helper()
	if out, err := h.of("stdout"), h.of("stderr"); !slices.Equal(out, stdout) || !slices.Equal(err, stderr) || len(h.all()) != len(stdout)+len(stderr) {
		t.Errorf("told %.300q; want of stdout %.300q, of stderr %.300q", h.all(), stdout, stderr)
	}
}

// gated is a command whose steps wait for files of the test.
type gated struct {
	dir string
	ssh.Command
}

// gate returns a command that runs a script in which `wait NAME` waits for open(NAME).
func gate(t *testing.T, script string) gated {
	t.Helper()
	dir := openToAll(t)
	wait := `cd "` + dir + `"; wait() { until [ -e "$1" ]; do [ -d "` + dir + `" ] || exit 1; sleep 0.02; done; }; `
	return gated{dir, ssh.Command{Argv: []string{"sh", "-c", wait + script}}}
}

func (g gated) open(t *testing.T, name string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(g.dir, name), nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

// guardedCall is a call of ExecGuarded under way.
type guardedCall struct {
	heard heard
	res   ssh.Result
	err   error
	done  chan struct{}
}

func (g gated) call(t *testing.T, p *ssh.Pool, e ssh.Endpoint, guard ssh.Guard) *guardedCall {
	t.Helper()
	c := &guardedCall{done: make(chan struct{})}
	cmd := g.Command
	cmd.Live = c.heard.live()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	go func() {
		defer close(c.done)
		c.res, c.err = p.ExecGuarded(ctx, e, cmd, guard)
	}()
	return c
}

// sees waits until so many lines have come.
func (c *guardedCall) sees(t *testing.T, n int) {
	t.Helper()
	eventually(t, fmt.Sprint(n, " lines have come"), func() bool { return len(c.heard.all()) >= n })
}

// Lines come while the command runs, of both streams apart, and each once; the result
// is what it is without.
func TestGuardedLive(t *testing.T) {
	t.Parallel()
	o, _ := guardedBy(t)
	p := pool(t, o)
	e := endpoint(server(t, sshtest.Config{}))
	g := gate(t, `[ -e /proc/$$/fd/9 ] && echo 'it has what tells'; echo one; wait a; echo two >&2; wait b; printf 'three\r\n\377\nrest'; exit 3`)
	c := g.call(t, p, e, ssh.Guard{Token: newToken()})
	c.sees(t, 1)
	c.heard.want(t, []string{"one"}, nil)
	g.open(t, "a")
	c.sees(t, 2)
	c.heard.want(t, []string{"one"}, []string{"two"})
	g.open(t, "b")
	<-c.done
	c.heard.want(t, []string{"one", "three", "\uFFFD", "rest"}, []string{"two"})
	if want := "one\nthree\r\n\xff\nrest"; c.err != nil || code(c.res) != 3 || string(c.res.Stdout.Bytes) != want || string(c.res.Stderr.Bytes) != "two\n" {
		t.Errorf("%v: code %d, stdout %q, stderr %q; want 3, %q, two", c.err, code(c.res), c.res.Stdout.Bytes, c.res.Stderr.Bytes, want)
	}
	at := gate(t, "echo one; echo two >&2").call(t, p, e, ssh.Guard{Token: newToken()})
	<-at.done
	at.heard.want(t, []string{"one"}, []string{"two"})
}

// A connection is lost, another host goes on: a call tells each byte once, from the
// first.
func TestGuardedLiveAgain(t *testing.T) {
	t.Parallel()
	o, _ := guardedBy(t)
	px, e := proxied(t, sshtest.Config{})
	g := gate(t, `echo 1; printf 'begin' >&2; wait a; echo 2; echo 'end' >&2; wait b; echo 3; wait c; echo 4`)
	token := newToken()
	stops := errors.New("the host stops")
	ctx, stop := context.WithCancelCause(t.Context())
	first := g.call(t, pool(t, o), e, ssh.Guard{Token: token})
	first.sees(t, 1)
	px.Cut()
	g.open(t, "a")
	first.sees(t, 3)
	px.Cut()
	first.heard.want(t, []string{"1", "2"}, []string{"beginend"})
	other := &guardedCall{done: make(chan struct{})}
	go func() { // another host, which goes away
		defer close(other.done)
		cmd := g.Command
		cmd.Live = other.heard.live()
		_, other.err = pool(t, o).ExecGuarded(ctx, e, cmd, ssh.Guard{Token: token, Since: time.Now(), Leave: func(err error) bool { return errors.Is(err, stops) }})
	}()
	other.sees(t, 3)
	stop(stops)
	<-other.done
	other.heard.want(t, []string{"1", "2"}, []string{"beginend"})
	g.open(t, "b")
	first.sees(t, 4)
	last := g.call(t, pool(t, o), e, ssh.Guard{Token: token, Since: time.Now()})
	last.sees(t, 4)
	g.open(t, "c")
	for _, c := range []*guardedCall{first, last} {
		<-c.done
		c.heard.want(t, []string{"1", "2", "3", "4"}, []string{"beginend"})
		if want := "1\n2\n3\n4\n"; c.err != nil || string(c.res.Stdout.Bytes) != want || string(c.res.Stderr.Bytes) != "beginend\n" {
			t.Errorf("%v: stdout %q, stderr %q; want %q", c.err, c.res.Stdout.Bytes, c.res.Stderr.Bytes, want)
		}
	}
	wantError(t, other.err, hostfuncs.Lost, hostfuncs.After, "this host stops")
	late := g.call(t, pool(t, o), e, ssh.Guard{Token: token, Since: time.Now()})
	<-late.done
	late.heard.want(t, []string{"1", "2", "3", "4"}, []string{"beginend"})
}

// The connection is cut in the middle of chunks and of the report.
func TestGuardedLiveCutAnywhere(t *testing.T) {
	t.Parallel()
	srv := server(t, sshtest.Config{Options: []string{"MaxStartups 100"}})
	o, _ := guardedBy(t)
	var want []string
	for i := range 90 { // more than one chunk
		want = append(want, fmt.Sprintf("%03d%s", i, strings.Repeat("é", 500)))
	}
	for after := int64(5_000); after < 180_000; after += 43_000 {
		t.Run(fmt.Sprint(after), func(t *testing.T) {
			t.Parallel()
			px, e := through(t, srv)
			px.CutAfter(sshtest.Cut{Way: sshtest.FromServer, After: after})
			g := gate(t, `cat; echo end >&2; wait a`)
			g.Stdin = []byte(strings.Join(want, "\n") + "\n")
			c := g.call(t, pool(t, o), e, ssh.Guard{Token: newToken()})
			c.sees(t, 91)
			g.open(t, "a")
			<-c.done
			c.heard.want(t, want, []string{"end"})
			if c.err != nil || string(c.res.Stdout.Bytes) != string(g.Stdin) || px.Connections() < 2 {
				t.Errorf("%v: %d bytes of %d by %d connections", c.err, len(c.res.Stdout.Bytes), len(g.Stdin), px.Connections())
			}
		})
	}
}

// What was told already is not sent over the next connection.
func TestGuardedLiveGoesOn(t *testing.T) {
	t.Parallel()
	o, _ := guardedBy(t)
	px, e := proxied(t, sshtest.Config{})
	g := gate(t, `cat; wait a; echo more; wait b`)
	g.Stdin = []byte(strings.Repeat(strings.Repeat("z", 999)+"\n", 90))
	c := g.call(t, pool(t, o), e, ssh.Guard{Token: newToken()})
	c.sees(t, 90)
	px.Cut()
	before := px.Passed(sshtest.FromServer)
	g.open(t, "a")
	c.sees(t, 91)
	g.open(t, "b")
	<-c.done
	if n := px.Passed(sshtest.FromServer) - before; c.err != nil || n < 90_000 || n > 130_000 {
		t.Errorf("%v: %d bytes came after the first connection; want those of the report alone", c.err, n)
	}
}

// A call that fails tells nothing of what may be the beginning of a secret.
func TestLiveFails(t *testing.T) {
	t.Parallel()
	e := endpoint(server(t, sshtest.Config{}))
	o, _ := guardedBy(t)
	s := &hostfuncs.Session{}
	s.Opened(secret("sesame-ab\ncd-secret"))
	for _, guarded := range []bool{false, true} {
		t.Run(fmt.Sprint("guarded ", guarded), func(t *testing.T) {
			t.Parallel()
			g := gate(t, `echo x; echo y >&2; printf 'sesame-ab\n'; printf 'sesame-ab\nc' >&2; echo >"$1"; wait a`)
			held := filepath.Join(g.dir, "held")
			g.Argv = append(g.Argv, "sh", held)
			var h heard
			g.Live = h.live()
			g.Live.Unfinished, g.Redact, g.Slack = s.Unfinished, s.Redact, s.LongestSecret()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			done := make(chan error, 1)
			p := pool(t, o)
			go func() {
				var err error
				if guarded {
					_, err = p.ExecGuarded(ctx, e, g.Command, ssh.Guard{Token: newToken()})
				} else {
					_, err = p.Exec(ctx, e, g.Command)
				}
				done <- err
			}()
			eventually(t, "both begin", func() bool { _, err := os.Stat(held); return err == nil && len(h.all()) >= 2 })
			cancel()
			if err := <-done; err == nil {
				t.Error("the call did not fail")
			}
			h.want(t, []string{"x"}, []string{"y"})
		})
	}
}

// What runs as another user is told of too, also where both streams are one.
func TestGuardedLiveBecome(t *testing.T) {
	t.Parallel()
	srv, user, other := becoming(t)
	for name, become := range map[string]ssh.Become{
		"sudo": {User: other.name, Password: secret(user.password)},
		"su":   {Method: ssh.Su, User: other.name, Password: secret(other.password)},
		"doas": {Method: ssh.Doas, User: other.name, Password: secret(user.password)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := quick()
			o.Journals = filepath.Join(openToAll(t), "j")
			g := gate(t, `id -un; printf 'opsconductor-\000\004\n' >&2; wait a; echo two; printf 'three opsco' >&2; wait b`)
			g.Become = &become
			c := g.call(t, pool(t, o), as(srv, user), ssh.Guard{Token: newToken()})
			c.sees(t, 2)
			g.open(t, "a")
			c.sees(t, 3)
			g.open(t, "b")
			<-c.done
			c.heard.want(t, []string{other.name, "two"}, []string{"opsconductor-\x00\x04", "three opsco"})
			if want := other.name + "\ntwo\n"; c.err != nil || string(c.res.Stdout.Bytes) != want || string(c.res.Stderr.Bytes) != "opsconductor-\x00\x04\nthree opsco" {
				t.Errorf("%v: stdout %q, stderr %q; want %q", c.err, c.res.Stdout.Bytes, c.res.Stderr.Bytes, want)
			}
		})
	}
}

// Output beyond what is kept is neither told nor costs the result; a secret is told
// neither across two chunks nor in part where the output is cut.
func TestGuardedLiveBounds(t *testing.T) {
	t.Parallel()
	e := endpoint(server(t, sshtest.Config{}))
	o, _ := guardedBy(t)
	s := &hostfuncs.Session{}
	s.Opened(secret("sesame-ab\ncd-secret"))
	const most = 1010
	xs := most + s.LongestSecret() - 9 // of the secret then 9 bytes are in the journal
	for name, tc := range map[string]struct {
		script         string
		stdout, stderr []string
	}{
		"across two turns": {`echo go >&2; printf 'x sesame-ab\n'; wait a; echo cd-secret; wait b`, []string{"x [redacted]"}, []string{"go"}},
		"at the cut":       {`printf '%s\n' go $(seq 301 1 360) >&2; printf '%0900d\n' 1 2 >&2; i=0; while [ $i -lt ` + fmt.Sprint(xs) + ` ]; do printf x; i=$((i+1)); done; printf '\nsesame-ab\ncd-secret'; wait a; wait b`, []string{strings.Repeat("x", xs)}, nil},
		"ends in it":       {`echo go >&2; printf 'x sesame-ab\n'; wait a; wait b`, []string{"x sesame-ab"}, []string{"go"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := gate(t, tc.script)
			g.MaxOutput, g.Redact, g.Slack = most, s.Redact, s.LongestSecret()
			var h heard
			g.Live = h.live()
			g.Live.Unfinished = s.Unfinished
			c := &guardedCall{done: make(chan struct{})}
			go func() {
				defer close(c.done)
				c.res, c.err = pool(t, o).ExecGuarded(t.Context(), e, g.Command, ssh.Guard{Token: newToken()})
			}()
			eventually(t, "it tells", func() bool { return slices.Contains(h.of("stderr"), "go") })
			g.open(t, "a")
			g.open(t, "b")
			<-c.done
			if got := h.of("stdout"); !slices.Equal(got, tc.stdout) {
				t.Errorf("told %q, want %q", got, tc.stdout)
			}
			if got := h.of("stderr"); tc.stderr != nil && !slices.Equal(got, tc.stderr) || tc.stderr == nil && len(got) > 64 {
				t.Errorf("told %q, want %q", got, tc.stderr)
			}
			want, err := pool(t, o).Exec(t.Context(), e, ssh.Command{Argv: g.Argv, MaxOutput: g.MaxOutput, Redact: g.Redact, Slack: g.Slack})
			if c.err != nil || err != nil || string(c.res.Stdout.Bytes) != string(want.Stdout.Bytes) || string(c.res.Stderr.Bytes) != string(want.Stderr.Bytes) || c.res.Stderr.Total != want.Stderr.Total {
				t.Errorf("%v, %v: stdout %q, stderr %q; want %q, %q", c.err, err, c.res.Stdout.Bytes, c.res.Stderr.Bytes, want.Stdout.Bytes, want.Stderr.Bytes)
			}
		})
	}
}
