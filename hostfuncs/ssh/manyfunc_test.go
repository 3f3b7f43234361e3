package ssh_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"opsconductor.dev/hostfuncs"
	"opsconductor.dev/hostfuncs/ssh"
	"opsconductor.dev/hostfuncs/ssh/sshtest"
)

// execMany calls ssh_exec_many in a session.
func execMany(t *testing.T, p *ssh.Pool, s *hostfuncs.Session, request string) (ssh.ExecManyResult, *hostfuncs.Error) {
	t.Helper()
	all := ssh.Functions(p)
	f := all[slices.IndexFunc(all, func(f hostfuncs.Func) bool { return f.Name == "ssh_exec_many" })]
	var env struct {
		OK    ssh.ExecManyResult
		Error *hostfuncs.Error
	}
	if err := json.Unmarshal(f.Invoke(t.Context(), s, []byte(request)), &env); err != nil {
		t.Fatal(err)
	}
	return env.OK, env.Error
}

// Where nobody says how many run at once, 32 do; one that hangs holds up no other, and
// what has not begun when the call ends never does.
func TestExecManyHangs(t *testing.T) {
	t.Parallel()
	const n, parallel = 40, 32
	f := newFleet(t, n, 0)
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	begun := make(chan string, n)
	f.logged = func(line string) { begun <- line }
	answer := make(chan *hostfuncs.Error, 1)
	go func() {
		// They end when they are asked to; with so many at once on a busy machine that may take its time.
		_, err := f.callBy(ctx, t, ssh.Options{KillGrace: 30 * time.Second}, ssh.ExecManyRequest{Argv: []string{"sh", "-c", `echo begun; exec sleep 1000`}})
		answer <- err
	}()
	for range parallel {
		<-begun
	}
	select {
	case line := <-begun:
		t.Errorf("more than %d run at once: %s", parallel, line)
	case <-time.After(500 * time.Millisecond):
	}
	cancel(errOperator)
	if err := <-answer; err == nil || err.Code != hostfuncs.Cancelled || err.Phase != hostfuncs.After || !err.Stopped {
		t.Errorf("%+v, want cancelled, after, stopped", err)
	}
}

// A call that is cancelled before anything was sent is of phase before; one whose
// intent is not recorded sends nothing.
func TestExecManyNothingSent(t *testing.T) {
	t.Parallel()
	for name, intent := range map[string]func(cancel func()) error{
		"cancelled": func(cancel func()) error { cancel(); return nil },
		"no lease":  func(func()) error { return errors.New("the lease is over") },
	} {
		good := fake(t, sshtest.FakeConfig{})
		s, b := onFake(good, sshtest.Password)
		b.Functions = []string{"ssh_exec_many"}
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		if name == "cancelled" {
			cancel(errOperator)
		}
		s.Intent = func(context.Context, string) error { return intent(func() { cancel(errOperator) }) }
		all := ssh.Functions(pool(t, quick()))
		f := all[slices.IndexFunc(all, func(f hostfuncs.Func) bool { return f.Name == "ssh_exec_many" })]
		var env struct {
			OK    ssh.ExecManyResult
			Error *hostfuncs.Error
		}
		if err := json.Unmarshal(f.Invoke(ctx, s, []byte(`{"targets":["fake1"],"argv":["true"]}`)), &env); err != nil {
			t.Fatal(err)
		}
		switch {
		case name == "cancelled" && (env.Error == nil || env.Error.Code != hostfuncs.Cancelled || env.Error.Phase != hostfuncs.Before):
			t.Errorf("%s: %+v, want cancelled, before", name, env.Error)
		case name == "no lease" && (env.Error != nil || env.OK.Failed != 1 || env.OK.Results[0].Error.Phase != "before"):
			t.Errorf("%s: %+v %+v, want one that failed before anything was sent", name, env.OK, env.Error)
		}
		if n := good.Execs(); n != 0 {
			t.Errorf("%s: %d commands were sent", name, n)
		}
	}
}

// Each target has an entry, in the order of their ends; one that fails spoils no
// other, and what nobody knows of one is told to the host.
func TestExecMany(t *testing.T) {
	t.Parallel()
	good, dead := fake(t, sshtest.FakeConfig{}), fake(t, sshtest.FakeConfig{Close: sshtest.Running})
	s, b := onFake(good, sshtest.Password)
	b.Functions = []string{"ssh_exec_many"}
	for i := range 4 {
		target := b.Targets["fake1"]
		target.Name = fmt.Sprintf("t%d", i)
		b.Targets[target.Name] = target
	}
	lost := b.Targets["t3"]
	lost.Address, lost.Port, lost.HostKeys = dead.Host, dead.Port, []string{dead.HostKey}
	b.Targets["t3"] = lost
	var doubts []string
	s.Unsure = func(function string, e *hostfuncs.Error) { doubts = append(doubts, function+" "+string(e.Code)) }
	intents := 0
	s.Intent = func(context.Context, string) error { intents++; return nil }
	got, err := execMany(t, pool(t, quick()), s, `{"targets":["t0","t1","t2","t3","nobody"],"argv":["sh","-c","echo out; exit 3"]}`)
	if err != nil || len(got.Results) != 5 || got.Failed != 2 {
		t.Fatalf("%d entries, %d failed (%v), want 5 and 2", len(got.Results), got.Failed, err)
	}
	for _, e := range got.Results {
		switch want := map[string]string{"t3": "lost", "nobody": "denied"}[e.Target]; {
		case want != "" && (e.Error == nil || e.Error.Code != want || e.Exec != nil || e.Error.Retryable || e.Error.Phase != map[string]string{"lost": "after", "denied": "before"}[want]):
			t.Errorf("%s: %+v, want %s", e.Target, e.Error, want)
		case want == "" && (e.Error != nil || e.Exec.Stdout != "out\n" || *e.Exec.ExitCode != 3):
			t.Errorf("%s: %+v %+v", e.Target, e.Error, e.Exec)
		}
	}
	if len(doubts) != 1 || doubts[0] != "ssh_exec_many lost" || intents != 1 {
		t.Errorf("doubts %q, %d intents; want one of each", doubts, intents)
	}
	// In the order of their ends, at most MaxOutput bytes in all.
	s.MaxOutput = 10
	slow := b.Targets["t0"]
	slow.Name = "slow"
	b.Targets["slow"] = slow
	got, err = execMany(t, pool(t, quick()), s, `{"targets":["slow","t1"],"script":"echo ééé; echo abcdef >&2","parallel":1}`)
	if err != nil || len(got.Results) != 2 || got.Results[0].Target != "slow" {
		t.Fatalf("%+v (%v)", got, err)
	}
	if e := got.Results[1].Exec; e.Stdout != "é" || !e.StdoutTruncated || e.StdoutBytes != 7 || e.Stderr != "abc" || !e.StderrTruncated || e.StderrBytes != 7 {
		t.Errorf("the second has %+v, want a whole character and 3 bytes, both cut", e)
	}
	// Each has the call's input, and its times.
	got, err = execMany(t, pool(t, quick()), s, `{"targets":["t1"],"argv":["cat"],"stdin":"in"}`)
	if err != nil || got.Results[0].Exec == nil || got.Results[0].Exec.Stdout != "in" {
		t.Errorf("stdin: %+v (%v)", got, err)
	}
	for word, field := range map[string]string{"the call's timeout of 500ms is over": "timeout_ms", "wrote nothing for 500ms": "idle_timeout_ms"} {
		got, err = execMany(t, pool(t, quick()), s, `{"targets":["t1"],"argv":["sleep","30"],"`+field+`":500}`)
		if err != nil || got.Failed != 1 || got.Results[0].Error.Code != "timeout" || !strings.Contains(got.Results[0].Error.Message, word) {
			t.Errorf("%s: %+v (%v), want timeout: %s", field, got.Results, err, word)
		}
	}
	var names []string
	for i := range 1001 {
		names = append(names, fmt.Sprintf(`"t%d"`, i))
	}
	for request, word := range map[string]string{
		`{"targets":[],"argv":["a"]}`:                                   "1 to 1000",
		`{"targets":[` + strings.Join(names, ",") + `],"argv":["a"]}`:   "1 to 1000",
		`{"targets":["` + strings.Repeat("x", 254) + `"],"argv":["a"]}`: "longer than 253",
		`{"targets":["a"],"argv":["a"],"parallel":-1}`:                  "between 0 and 256",
		`{"targets":["a","a"],"argv":["a"]}`:                            "twice",
		`{"targets":[""],"argv":["a"]}`:                                 "empty",
		`{"targets":["a"],"parallel":999}`:                              "between 0 and 256",
		`{"targets":["a"],"parallel":999,"rows":1}`:                     "unknown field",
		`{"targets":["a"]}`:                                             "exactly one",
		`{"targets":["a"],"argv":["a"],"script":"b"}`:                   "exactly one",
	} {
		if _, err := execMany(t, pool(t, quick()), s, request); err == nil || err.Code != hostfuncs.BadRequest || !strings.Contains(err.Message, word) {
			t.Errorf("%s: %v, want bad_request with %q", request, err, word)
		}
	}
}
