package hostfunctest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"opsconductor.dev/hostfuncs"
)

// Subject is a host function with what is needed to try it. A request that is ""
// belongs to a trait that the function does not have; Without says why not.
type Subject struct {
	Func hostfuncs.Func
	// Session returns a fresh session whose broker grants everything needed.
	Session func() (*hostfuncs.Session, *Broker)
	// Touched returns how often the peer has been reached so far.
	Touched func() int
	// Request succeeds quickly.
	Request string
	// Slow takes much longer than a test, unless it is stopped.
	Slow string
	// Flood makes the remote side send far more than 4096 bytes.
	Flood string
	// Echo makes the remote side send the text EchoSecret, which a credential holds.
	Echo       string
	EchoSecret string
	// Without explains each of slow, flood and echo that is "".
	Without map[string]string
}

// envelope is an answer.
type envelope struct {
	OK    json.RawMessage  `json:"ok"`
	Error *hostfuncs.Error `json:"error"`
}

// patience is how long a call that was stopped may still take.
const patience = 15 * time.Second

// Run checks that a host function does what all of them have to do.
func Run(t *testing.T, s Subject) {
	// These two count what reaches the peer, so nothing runs beside them.
	t.Run("no grant", s.noGrant)
	t.Run("done before", s.doneBefore)
	t.Run("succeeds", func(t *testing.T) { t.Parallel(); s.succeeds(t) })
	t.Run("bad input", func(t *testing.T) { t.Parallel(); s.badInput(t) })
	t.Run("concurrent", func(t *testing.T) { t.Parallel(); s.concurrent(t) })
	s.trait(t, "slow", s.Slow, func(t *testing.T) {
		t.Run("cancel", func(t *testing.T) { t.Parallel(); s.cancel(t) })
		t.Run("deadline", func(t *testing.T) { t.Parallel(); s.deadline(t) })
	})
	s.trait(t, "flood", s.Flood, func(t *testing.T) {
		t.Run("output cap", func(t *testing.T) { t.Parallel(); s.outputCap(t) })
	})
	s.trait(t, "echo", s.Echo, func(t *testing.T) {
		t.Run("redaction", func(t *testing.T) { t.Parallel(); s.redaction(t) })
	})
}

func (s Subject) trait(t *testing.T, name, request string, check func(*testing.T)) {
	t.Helper()
	switch {
	case request != "":
		check(t)
	case s.Without[name] == "":
		t.Errorf("%s has no request for %q, and nothing says why", s.Func.Name, name)
	}
}

func (s Subject) call(ctx context.Context, t *testing.T, sess *hostfuncs.Session, request string) envelope {
	t.Helper()
	answer := s.Func.Invoke(ctx, sess, []byte(request))
	var e envelope
	if err := json.Unmarshal(answer, &e); err != nil {
		t.Fatalf("the answer is no envelope: %v: %.200s", err, answer)
	}
	if (e.OK == nil) == (e.Error == nil) {
		t.Fatalf("the answer has both of ok and error, or neither: %.200s", answer)
	}
	return e
}

func (s Subject) succeeds(t *testing.T) {
	sess, b := s.Session()
	if e := s.call(t.Context(), t, sess, s.Request); e.Error != nil {
		t.Errorf("error %s: %s", e.Error.Code, e.Error.Message)
	}
	if r := b.Records(); len(r) != 1 || r[0].Function != s.Func.Name || r[0].Code != "" {
		t.Errorf("audit records: %+v, want one without a code", r)
	}
}

func (s Subject) noGrant(t *testing.T) {
	sess, b := s.Session()
	b.Functions = nil
	before := s.Touched()
	for _, request := range []string{s.Request, s.Slow, "not even JSON"} {
		e := s.call(t.Context(), t, sess, request)
		if e.Error == nil || e.Error.Code != hostfuncs.Denied || e.Error.Phase != hostfuncs.Before || e.Error.Retryable {
			t.Errorf("without a grant: %s %+v, want denied, before, not retryable", e.OK, e.Error)
		}
	}
	if n := s.Touched(); n != before {
		t.Errorf("the peer was reached %d times without a grant", n-before)
	}
	if r := b.Records(); len(r) != 3 || r[0].Code != hostfuncs.Denied {
		t.Errorf("audit records: %+v, want three denials", r)
	}
	sess, _ = s.Session()
	sess.Broker = nil
	if e := s.call(t.Context(), t, sess, s.Request); e.Error == nil || e.Error.Code != hostfuncs.Denied {
		t.Errorf("without a broker: %+v, want denied", e.Error)
	}
}

func (s Subject) badInput(t *testing.T) {
	sess, _ := s.Session()
	first := firstMember(t, s.Request)
	huge := `{"` + first + `":"` + strings.Repeat("x", hostfuncs.MaxRequest) + `"}`
	for name, request := range map[string]string{
		"empty": "", "null": "null", "a list": "[]", "a string": `"x"`, "cut": s.Request[:len(s.Request)-1],
		"trailing": s.Request + "x", "two": s.Request + s.Request, "unknown field": `{"no_such_field":1}`,
		"wrong type": `{"` + first + `":[[]]}`, "null member": `{"` + first + `":null}`,
		"twice": strings.Replace(s.Request, "{", `{"`+first+`":"x",`, 1), "another case": strings.Replace(s.Request, first, strings.ToUpper(first), 1),
		"not UTF-8": strings.Replace(s.Request, `"`+first+`"`, "\"\xff\"", 1), "huge": huge, "deep": strings.Repeat("[", 100_000),
	} {
		e := s.call(t.Context(), t, sess, request)
		if e.Error == nil || e.Error.Code != hostfuncs.BadRequest || e.Error.Phase != hostfuncs.Before || e.Error.Retryable {
			t.Errorf("%s: %.100s %+v, want bad_request, before, not retryable", name, e.OK, e.Error)
		} else if len(e.Error.Message) > 2000 {
			t.Errorf("%s: the message has %d bytes", name, len(e.Error.Message))
		}
	}
}

// firstMember returns the name of a member of a request.
func firstMember(t *testing.T, request string) string {
	t.Helper()
	parts := strings.SplitN(request, `"`, 3)
	if len(parts) < 3 {
		t.Fatalf("request %s has no member", request)
	}
	return parts[1]
}

func (s Subject) concurrent(t *testing.T) {
	sess, b := s.Session()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if e := s.call(t.Context(), t, sess, s.Request); e.Error != nil {
				t.Errorf("error %s: %s", e.Error.Code, e.Error.Message)
			}
		})
	}
	wg.Wait()
	if n := len(b.Records()); n != 8 {
		t.Errorf("%d audit records, want 8", n)
	}
}

func (s Subject) doneBefore(t *testing.T) {
	sess, _ := s.Session()
	before := s.Touched()
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("the lease is lost"))
	e := s.call(ctx, t, sess, s.Request)
	if e.Error == nil || e.Error.Code != hostfuncs.Cancelled || e.Error.Phase != hostfuncs.Before || !strings.Contains(e.Error.Message, "the lease is lost") {
		t.Errorf("with a context that is done: %+v, want cancelled, before, with the cause", e.Error)
	}
	if n := s.Touched(); n != before {
		t.Errorf("the peer was reached %d times all the same", n-before)
	}
}

func (s Subject) cancel(t *testing.T) {
	sess, _ := s.Session()
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	before, intended := s.Touched(), atomic.Bool{}
	sess.Intent = func(context.Context, string) error { intended.Store(true); return nil }
	// A function that acts says so; another one has reached its peer (an acting one
	// may do so on a connection that stands).
	begun := func() bool { return intended.Load() || !s.Func.Acts && s.Touched() != before }
	done := make(chan envelope, 1)
	var wg sync.WaitGroup
	wg.Go(func() { done <- s.call(ctx, t, sess, s.Slow) })
	defer wg.Wait()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for late := time.After(patience); !begun(); {
		select {
		case <-tick.C:
		case <-late:
			t.Fatal("it does not begin")
		case e := <-done:
			t.Fatalf("it ended by itself: %s %+v", e.OK, e.Error)
		}
	}
	start := time.Now()
	cancel(errors.New("the run was cancelled"))
	e := <-done
	if e.Error == nil || e.Error.Code != hostfuncs.Cancelled || !strings.Contains(e.Error.Message, "the run was cancelled") {
		t.Errorf("cancelled: %s %+v, want cancelled with the cause", e.OK, e.Error)
	}
	if took := time.Since(start); took > patience {
		t.Errorf("it took %s after the cancel", took)
	}
}

func (s Subject) deadline(t *testing.T) {
	sess, _ := s.Session()
	start := time.Now()
	ctx, cancel := context.WithTimeoutCause(t.Context(), 2*time.Second, fmt.Errorf("the attempt's time of 2s is over: %w", context.DeadlineExceeded))
	defer cancel()
	e := s.call(ctx, t, sess, s.Slow)
	if e.Error == nil || e.Error.Code != hostfuncs.Timeout || !strings.Contains(e.Error.Message, "the attempt's time of 2s is over") {
		t.Errorf("at the deadline: %s %+v, want timeout with the cause", e.OK, e.Error)
	}
	if took := time.Since(start); took > 2*time.Second+patience {
		t.Errorf("it took %s", took)
	}
}

func (s Subject) outputCap(t *testing.T) {
	sess, _ := s.Session()
	sess.MaxOutput = 4096
	answer := s.Func.Invoke(t.Context(), sess, []byte(s.Flood))
	// Two streams of 4096 bytes, in base64 at the worst, and the rest of the answer.
	if most := 2*4096*4/3 + 2048; len(answer) > most {
		t.Errorf("the answer has %d bytes, want at most %d", len(answer), most)
	}
	if !strings.Contains(string(answer), `truncated":true`) && !strings.Contains(string(answer), `"output_limit"`) {
		t.Errorf("the answer does not say that something was cut: %.300s", answer)
	}
}

func (s Subject) redaction(t *testing.T) {
	sess, b := s.Session()
	answer := string(s.Func.Invoke(t.Context(), sess, []byte(s.Echo)))
	if strings.Contains(answer, s.EchoSecret) {
		t.Errorf("the answer has the secret: %.300s", strings.ReplaceAll(answer, s.EchoSecret, "<THE SECRET>"))
	}
	if !strings.Contains(answer, hostfuncs.Redacted) {
		t.Errorf("the answer does not say that something was taken out: %.300s", answer)
	}
	if text := fmt.Sprintf("%+v", b.Records()); strings.Contains(text, s.EchoSecret) {
		t.Error("an audit record has the secret")
	}
}
