package runner_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/runner"
	"opsconductor.dev/host/worker"
	"opsconductor.dev/hostfuncs"
)

// noIntent commits nothing.
func noIntent(context.Context, automation.Digest) error { return nil }

// TestLoggedWhileAtWork: what an attempt has logged is there for whoever asks while it
// is at work, without the secrets that it uses, and until its outcome is made.
func TestLoggedWhileAtWork(t *testing.T) {
	t.Parallel()
	const secret = "correct-horse-battery"
	w := newWorld(t, pure)
	r, err := runner.New(w.config)
	if err != nil {
		t.Fatal(err)
	}
	a := w.attempt("look", `{"request":{}}`, pure)
	logged := make(chan struct{})
	asked := 0
	var kept worker.Logged
	w.look = func(_ context.Context, s *hostfuncs.Session) (any, error) {
		if got := r.Logging(); len(got) != 0 {
			t.Errorf("before its first line: got %+v; want nobody", got)
		}
		s.Opened(automation.NewSecret([]byte(secret)))
		s.Log("info", "the password is "+secret)
		s.Log("warn", "two")
		got := r.Logging()
		if len(got) != 1 || got[0].Attempt.AttemptKey != a.AttemptKey || got[0].Started.IsZero() {
			t.Fatalf("got %+v; want the attempt", got)
		}
		var text []string
		for _, line := range got[0].Logged.Since(0) {
			text = append(text, line.Level+" "+line.Message)
		}
		if want := []string{"info the password is " + hostfuncs.Redacted, "warn two"}; !slices.Equal(text, want) {
			t.Errorf("got %q; want %q", text, want)
		}
		s.Log("info", "three")
		if last := got[0].Logged.Since(2); len(last) != 1 || last[0].Message != "three" || len(got[0].Logged.Since(3)) != 0 || len(got[0].Logged.Since(9)) != 0 {
			t.Errorf("behind the second line: got %+v; want the third alone", last)
		}
		asked, kept = asked+1, got[0].Logged
		close(logged)
		return map[string]any{}, nil
	}
	o := r.Execute(t.Context(), a, noIntent)
	<-logged
	check(t, o, automation.ItemSucceeded, "")
	if len(o.Logs) != 3 || strings.Contains(fmt.Sprint(o.Logs), secret) || asked != 1 {
		t.Errorf("the outcome has %+v; want three lines without the secret", o.Logs)
	}
	if got := r.Logging(); len(got) != 0 || len(kept.Since(0)) != 0 {
		t.Errorf("after its outcome: got %+v, %+v; want nobody and nothing", got, kept.Since(0))
	}
}

// TestLoggedHammer: readers see each attempt's lines in order and as its outcome has
// them, and nothing once the outcome is made; nobody is left over.
func TestLoggedHammer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pure)
	r, err := runner.New(w.config)
	if err != nil {
		t.Fatal(err)
	}
	w.look = func(_ context.Context, s *hostfuncs.Session) (any, error) {
		for i := range 50 {
			s.Log("info", fmt.Sprint(i))
		}
		return map[string]any{}, nil
	}
	var readers, attempts sync.WaitGroup
	stop := make(chan struct{})
	readers.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			for _, l := range r.Logging() {
				for i, line := range l.Logged.Since(7) {
					if line.Message != fmt.Sprint(7+i) {
						t.Errorf("line %d is %q", 7+i, line.Message)
					}
				}
			}
		}
	})
	for range 8 {
		attempts.Go(func() {
			for range 5 {
				if o := r.Execute(t.Context(), w.attempt("look", `{"request":{}}`, pure), noIntent); len(o.Logs) != 50 {
					t.Errorf("got %d lines, %v; want 50", len(o.Logs), o.Error)
				}
			}
		})
	}
	attempts.Wait()
	close(stop)
	readers.Wait()
	if got := r.Logging(); len(got) != 0 {
		t.Errorf("%d are left over", len(got))
	}
}
