package hostfuncs_test

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"opsconductor.dev/hostfuncs"
	"opsconductor.dev/hostfuncs/hostfunctest"
)

// key is as long as a private key.
func key(n int) hostfunctest.Secret {
	return hostfunctest.Secret(fmt.Sprintf("-----BEGIN KEY-----\n%s-----END KEY-----\n", strings.Repeat(fmt.Sprintf("%08d/b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQ+AAAA\n", n), 6)))
}

// Sessions that share look for what they have opened themselves, and for nothing else.
func TestSharedSecretsStayApart(t *testing.T) {
	t.Parallel()
	var shared hostfuncs.Secrets
	a, b, ab := hostfunctest.Secret("canary-one"), hostfunctest.Secret("canary-two"), []hostfuncs.Secret{}
	ab = append(ab, a, b)
	for _, tc := range []struct {
		opened []hostfuncs.Secret
		want   string
	}{
		{nil, "canary-one canary-two"},
		{ab[:1], "[redacted] canary-two"},
		{ab[1:], "canary-one [redacted]"},
		{ab, "[redacted] [redacted]"},
		{[]hostfuncs.Secret{b, a}, "[redacted] [redacted]"},
		{[]hostfuncs.Secret{hostfunctest.Secret("abc"), a}, "[redacted] canary-two"},
	} {
		for range 3 {
			s := &hostfuncs.Session{Secrets: &shared}
			s.Opened(tc.opened...)
			if got := s.RedactString("canary-one canary-two"); got != tc.want {
				t.Errorf("with %d secrets: got %q, want %q", len(tc.opened), got, tc.want)
			}
		}
	}
}

// Two secrets of which the one is the other's beginning, in whatever order, and a
// boundary that falls elsewhere, are not the same set.
func TestSharedSecretsAreNotMistaken(t *testing.T) {
	t.Parallel()
	var shared hostfuncs.Secrets
	texts := []string{"abcdef", "abcdefgh", "ghabcd", "efgh", "abcd"}
	var alive []*hostfuncs.Session
	for _, x := range texts {
		for _, y := range texts {
			s := &hostfuncs.Session{Secrets: &shared}
			s.Opened(hostfunctest.Secret(x), hostfunctest.Secret(y))
			alone := &hostfuncs.Session{}
			alone.Opened(hostfunctest.Secret(x), hostfunctest.Secret(y))
			for _, text := range texts {
				if got, want := s.RedactString("-"+text+"-"), alone.RedactString("-"+text+"-"); got != want {
					t.Errorf("with %q and %q: got %q, want %q", x, y, got, want)
				}
			}
			alive = append(alive, s)
		}
	}
	runtime.KeepAlive(alive)
}

// What one session has put together costs the next one nothing, and nothing is kept
// when the last one is gone.
func TestSharedSecretsAreMadeOnceAndLetGo(t *testing.T) {
	t.Parallel()
	var shared hostfuncs.Secrets
	secret := key(1)
	open := func() *hostfuncs.Session {
		s := &hostfuncs.Session{Secrets: &shared}
		s.Opened(secret)
		return s
	}
	first := open()
	if !open().Shares(first) {
		t.Error("another session has put the secret's forms together again")
	}
	if n := shared.Kept(); n != 1 {
		t.Errorf("%d sets are kept, want 1", n)
	}
	runtime.KeepAlive(first)
	for end := time.Now().Add(10 * time.Second); shared.Kept() > 0; {
		if time.Now().After(end) {
			t.Fatal("the secret is kept though no session has it")
		}
		runtime.GC()
		runtime.Gosched()
	}
}

// Many sessions at once open the same secrets and others.
func TestSharedSecretsHammer(t *testing.T) {
	t.Parallel()
	var shared hostfuncs.Secrets
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 60 {
				n := (g + i) % 5
				s := &hostfuncs.Session{Secrets: &shared}
				s.Opened(key(n), hostfunctest.Secret(fmt.Sprintf("canary-%d", n)))
				if got, want := s.RedactString(fmt.Sprintf("x canary-%d %s canary-%d", n, key(n).Reveal(), n+1)), fmt.Sprintf("x [redacted] [redacted] canary-%d", n+1); got != want {
					t.Errorf("got %q, want %q", got, want)
				}
				if i%20 == 0 {
					runtime.GC()
				}
			}
		})
	}
	wg.Wait()
}

func BenchmarkOpened(b *testing.B) {
	for _, shared := range []*hostfuncs.Secrets{nil, {}} {
		b.Run(fmt.Sprintf("shared=%t", shared != nil), func(b *testing.B) {
			first := &hostfuncs.Session{Secrets: shared}
			first.Opened(key(1))
			for b.Loop() {
				s := &hostfuncs.Session{Secrets: shared}
				s.Opened(key(1))
				s.RedactString("x 1234567890123456789012345678901234567890")
			}
			runtime.KeepAlive(first)
		})
	}
}
