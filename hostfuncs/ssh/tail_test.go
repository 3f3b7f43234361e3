package ssh_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"opsconductor.dev/hostfuncs"
	"opsconductor.dev/hostfuncs/ssh"
	"opsconductor.dev/hostfuncs/ssh/sshtest"
)

// What ended a channel was the server where x/crypto waits for more afterwards, and not
// where it does not.
func TestTail(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		then func(t ssh.Tail)
		want bool
		took time.Duration
	}{
		"it waits":                      {func(t ssh.Tail) { t.Wait() }, true, 0},
		"it comes to wait":              {func(t ssh.Tail) { <-time.After(time.Second); t.Wait() }, true, time.Second},
		"it does not":                   {func(t ssh.Tail) { <-time.After(time.Second); t.Shut(true) }, false, time.Second},
		"the end is waited for":         {func(t ssh.Tail) { t.Wait(); t.Await(); t.Hold() }, true, 0},
		"the end is there":              {func(t ssh.Tail) { t.Wait(); t.Hold(); t.GoOn() }, false, 0},
		"it is closed while it waits":   {func(t ssh.Tail) { t.Wait(); t.Shut(false) }, false, 0},
		"it goes on and waits again":    {func(t ssh.Tail) { t.Wait(); t.GoOn(); <-time.After(time.Second); t.Wait() }, true, time.Second},
		"it goes on and is never again": {func(t ssh.Tail) { t.Wait(); t.GoOn(); <-time.After(time.Second); t.Shut(true) }, false, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				tail, start := ssh.NewTail(), time.Now()
				go tt.then(tail)
				synctest.Wait()
				if got, took := tail.Whole(), time.Since(start); got != tt.want || took != tt.took {
					t.Errorf("whole: %t after %s, want %t after %s", got, took, tt.want, tt.took)
				}
				tail.Shut(false)
			})
		})
	}
}

// The end is kept back until the sessions have ended, for half a second at the most, and
// not where there are none.
func TestTailHolds(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		before func(t ssh.Tail)
		want   time.Duration
	}{
		"no session":   {func(ssh.Tail) {}, 0},
		"one that has": {func(t ssh.Tail) { done := t.Await(); done(); done() }, 0},
		"one that ends": {func(t ssh.Tail) {
			done := t.Await()
			go func() { <-time.After(100 * time.Millisecond); done(); done() }()
		}, 100 * time.Millisecond},
		"one that does not": {func(t ssh.Tail) { t.Await(); t.Await()() }, 500 * time.Millisecond},
		"closed meanwhile":  {func(t ssh.Tail) { t.Await(); go func() { <-time.After(time.Millisecond); t.Shut(false) }() }, time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				tail := ssh.NewTail()
				tt.before(tail)
				start := time.Now()
				tail.Wait()
				tail.Hold()
				if took := time.Since(start); took != tt.want {
					t.Errorf("it took %s, want %s", took, tt.want)
				}
				if ended, torn := tail.Gone(); !ended || torn {
					t.Errorf("ended %t, torn %t; want that it has ended", ended, torn)
				}
			})
		})
	}
}

// A connection that x/crypto closes while it waits has given something that x/crypto did
// not take; one that we close has not, nor one that had ended.
func TestTailTorn(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		then func(t ssh.Tail)
		want bool
	}{
		"by x/crypto":     {func(t ssh.Tail) { t.Wait(); t.Shut(true) }, true},
		"by us":           {func(t ssh.Tail) { t.Wait(); t.Shut(false) }, false},
		"after the end":   {func(t ssh.Tail) { t.Wait(); t.Hold(); t.Shut(true) }, false},
		"not as it waits": {func(t ssh.Tail) { t.Wait(); t.GoOn(); t.Shut(true) }, false},
	} {
		tail := ssh.NewTail()
		tt.then(tail)
		if ended, torn := tail.Gone(); !ended || torn != tt.want {
			t.Errorf("%s: ended %t, torn %t; want true, %t", name, ended, torn, tt.want)
		}
	}
}

// bits gives a byte and an error at a time, and then the end alone.
type bits struct {
	net.Conn

	rest string
}

func (b *bits) Read(to []byte) (int, error) {
	if b.rest == "" {
		return 0, io.EOF
	}
	n := copy(to[:1], b.rest)
	b.rest = b.rest[1:]
	return n, errors.New("there is no way to say that there is room for more")
}

// What has come is read though nothing can be sent any more.
func TestReadsBehindAnError(t *testing.T) {
	t.Parallel()
	if got := ssh.Pump(&bits{rest: "all of it"}); string(got) != "all of it" {
		t.Errorf("of a stream came %q", got)
	}
	if got, err := io.ReadAll(ssh.OnWire(&bits{rest: "all of it"})); err != nil || string(got) != "all of it" {
		t.Errorf("of a connection came %q, %v", got, err)
	}
}

// What may be the beginning of a secret at the end of an output that was cut off is not
// returned, and not passed on.
func TestCutSecret(t *testing.T) {
	t.Parallel()
	secret := []byte("hunter2hunter2")
	f := fake(t, hangers()["nothing"].conf)
	lines := []string{}
	c := ssh.Command{
		Argv: []string{"printf", `hunter2hunter2 is known: hunter2h`}, Slack: len(secret),
		Redact: func(b []byte) []byte { return bytes.ReplaceAll(b, secret, []byte("[redacted]")) },
		Unfinished: func(b []byte) int {
			if bytes.HasSuffix(b, secret[:8]) {
				return 8
			}
			return 0
		},
	}
	c.Live = &ssh.Live{Line: func(_, line string) { lines = append(lines, line) }, Unfinished: c.Unfinished}
	for want, unfinished := range map[string]func([]byte) int{"[redacted] is known: ": c.Unfinished, "[redacted] is k": nil} {
		c.Unfinished = unfinished
		r := run(t, pool(t, ssh.Options{}), fakeEndpoint(f), c)
		if !r.Cut || string(r.Stdout.Bytes) != want {
			t.Errorf("%q, cut %t; want %q, and that it is", r.Stdout.Bytes, r.Cut, want)
		}
	}
	if all := strings.Join(lines, ""); strings.Contains(all, "hunter") || !strings.Contains(all, "is known") {
		t.Errorf("passed on: %q", lines)
	}
}

// A session whose end came, and nothing of what it wrote, is not one of another program.
func TestCutBeforeAnything(t *testing.T) {
	t.Parallel()
	conf := hangers()["nothing"].conf
	conf.Env = []string{"PATH=/nonexistent"}
	_, err := pool(t, ssh.Options{}).Exec(t.Context(), fakeEndpoint(fake(t, conf)), ssh.Command{Argv: []string{"true"}, Env: map[string]string{"A": "1"}})
	wantError(t, err, hostfuncs.Lost, hostfuncs.After, "when the session had ended (exit code ", "whether the command ran is not known")
}

// While the end of a connection is kept back, a new command takes another one.
func TestEndedIsNotTaken(t *testing.T) {
	t.Parallel()
	px, e := proxied(t, sshtest.Config{})
	p := pool(t, ssh.Options{})
	_, done := spawn(t, t.Context(), p, e, `echo $$ >>"$1"; sleep 3`, 1)
	px.Cut()
	second := make(chan error, 1)
	go func() {
		<-time.After(100 * time.Millisecond)
		_, err := p.Exec(t.Context(), e, truth)
		second <- err
	}()
	wantError(t, <-done, hostfuncs.Lost, hostfuncs.After, "the connection was lost")
	if n := px.Connections(); n != 2 {
		t.Errorf("%d connections when the command on the first was given up, want 2", n)
	}
	if err := <-second; err != nil {
		t.Error(err)
	}
}
