package step_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"opsconductor.dev/sdk/go/step"
	"opsconductor.dev/sdk/go/steptest"
)

type greetInput struct {
	Name string `json:"name"`
}

type greetOutput struct {
	Text string `json:"text"`
}

func greet(_ *step.Context, in greetInput) (greetOutput, error) {
	return greetOutput{Text: "hello " + in.Name}, nil
}

// answers is a host that answers every call with one envelope.
type answers string

func (a answers) Call(string, []byte) []byte { return []byte(a) }

const wholeInput = `{
	"with": {"name": "world"}, "step": "s", "item": 3, "attempt": 2, "later": {"hosts": "say more"},
	"run": {"id": "r", "workflow": "w", "by": "x"},
	"target": {"name": "web-1", "address": "192.0.2.1", "port": 2222, "protocol": "ssh", "os": "linux", "tags": ["a", "b"],
		"vars": {"n": 1.5, "deep": {"list": [true, null]}}, "id": "asset"}
}`

func TestContextIsWhatTheHostSays(t *testing.T) {
	t.Parallel()
	_, failed := step.Invoke([]byte(wholeInput), nil, func(c *step.Context, with step.Raw) (step.Raw, error) {
		got := []any{c.Run, c.Workflow, c.Step, c.Item, c.Attempt, *c.Target, string(with)}
		want := []any{"r", "w", "s", 3, 2, step.Target{
			Name: "web-1", Address: "192.0.2.1", Port: 2222, Protocol: "ssh", OS: "linux", Tags: []string{"a", "b"},
			Vars: map[string]any{"n": 1.5, "deep": map[string]any{"list": []any{true, nil}}},
		}, `{"name": "world"}`}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
		return nil, nil
	})
	if failed != nil {
		t.Fatal(failed)
	}
}

func TestContextWithoutTarget(t *testing.T) {
	t.Parallel()
	for _, input := range []string{`{}`, `{"target":null}`, `{"target":{"name":"n","vars":null}}`} {
		_, failed := step.Invoke([]byte(input), nil, func(c *step.Context, with step.Raw) (step.Raw, error) {
			if string(with) != "{}" || c.Target != nil && (c.Target.Name != "n" || c.Target.Vars != nil) {
				t.Errorf("%s: got with %s, target %+v", input, with, c.Target)
			}
			return nil, nil
		})
		if failed != nil {
			t.Errorf("%s: %v", input, failed)
		}
	}
}

func TestInvokeTyped(t *testing.T) {
	t.Parallel()
	got, failed := step.Invoke([]byte(wholeInput), nil, step.Typed(greet))
	if failed != nil || string(got) != `{"text":"hello world"}` {
		t.Errorf("got %s, %v", got, failed)
	}
}

func TestFailuresOfActions(t *testing.T) {
	t.Parallel()
	own := &step.Error{Code: "no_luck", Message: "m", Retryable: true, Phase: step.After}
	for name, c := range map[string]struct {
		input  string
		action func(*step.Context, greetInput) (greetOutput, error)
		want   step.Error
	}{
		"an Error":        {`{}`, func(*step.Context, greetInput) (greetOutput, error) { return greetOutput{}, own }, *own},
		"a wrapped Error": {`{}`, func(*step.Context, greetInput) (greetOutput, error) { return greetOutput{}, fmt.Errorf("w: %w", own) }, *own},
		"any other error": {`{}`, func(*step.Context, greetInput) (greetOutput, error) { return greetOutput{}, errors.New("e") }, step.Error{Code: step.PluginFailed, Message: "e"}},
		"a panic":         {`{}`, func(*step.Context, greetInput) (greetOutput, error) { panic("ouch") }, step.Error{Code: step.PluginFailed, Message: "the action panicked: ouch"}},
		"a run-time panic": {`{}`, func(_ *step.Context, in greetInput) (greetOutput, error) {
			return greetOutput{Text: in.Name[3:]}, nil
		}, step.Error{Code: step.PluginFailed, Message: "the action panicked: runtime error: slice bounds out of range [3:0]"}},
		"input of other type": {`{"with":{"name":1}}`, greet, step.Error{Code: step.BadRequest, Message: "the step's input: /name: a JSON string is wanted here, not a number", Phase: step.Before}},
		"unknown input":       {`{"with":{"nam":"x"}}`, greet, step.Error{Code: step.BadRequest, Message: "the step's input: /nam: unknown field", Phase: step.Before}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, failed := step.Invoke([]byte(c.input), nil, step.Typed(c.action))
			if failed == nil || *failed != c.want || out != nil {
				t.Errorf("got %s, %+v; want %+v", out, failed, c.want)
			}
		})
	}
}

func TestBadDocuments(t *testing.T) {
	t.Parallel()
	for _, input := range []string{``, `[]`, `{"item":"x"}`, `{"target":{"port":"22"}}`, `{"run":7}`, `{"target":{"tags":[1]}}`} {
		if _, failed := step.Invoke([]byte(input), nil, step.Typed(greet)); failed == nil || failed.Code != step.PluginFailed {
			t.Errorf("%q: got %v, want a failure of code plugin_failed", input, failed)
		}
	}
}

func TestOutputThatJSONCannotHold(t *testing.T) {
	t.Parallel()
	_, failed := step.Invoke([]byte(`{}`), nil, step.Typed(func(*step.Context, struct{}) (any, error) { return make(chan int), nil }))
	if failed == nil || failed.Code != step.PluginFailed {
		t.Errorf("got %v, want a failure", failed)
	}
}

// probe makes a host call and returns its error.
func probe(host step.Host) (result step.ProbeTCPResult, err error) {
	_, failed := step.Invoke([]byte(`{}`), host, func(c *step.Context, _ step.Raw) (step.Raw, error) {
		result, err = c.ProbeTCP(step.ProbeTCPRequest{Host: "h", Port: 1})
		return nil, nil
	})
	if failed != nil {
		return result, failed
	}
	return result, err
}

func TestEnvelopes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		envelope string
		want     *step.Error
	}{
		"ok":             {`{"ok":{"connected":true,"address":"a","resolved":[],"latency_ms":1,"of_a_later_host":1}}`, nil},
		"error":          {`{"error":{"code":"throttled","message":"m","retryable":true,"phase":"before","later":1}}`, &step.Error{Code: step.Throttled, Message: "m", Retryable: true, Phase: step.Before}},
		"both":           {`{"ok":{},"error":{}}`, protocol("the host's answer is neither ok nor error")},
		"neither":        {`{}`, protocol("the host's answer is neither ok nor error")},
		"another":        {`{"done":{}}`, protocol("the host's answer is neither ok nor error")},
		"not JSON":       {`}`, protocol("not JSON at byte 0")},
		"nothing":        {``, protocol("not JSON at byte 0")},
		"wrong type":     {`{"ok":{"connected":1}}`, protocol("the host's result: /connected: true or false is wanted here, not a number")},
		"error no error": {`{"error":"x"}`, protocol("a JSON object is wanted here, not a string")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			result, err := probe(answers(c.envelope))
			var got *step.Error
			if err != nil && !errors.As(err, &got) {
				t.Fatalf("got %T, want an *step.Error", err)
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
			if c.want == nil && !result.Connected {
				t.Errorf("got %+v", result)
			}
		})
	}
}

func protocol(message string) *step.Error {
	return &step.Error{Code: step.Protocol, Message: "probe_tcp: " + message, Phase: step.After}
}

func TestRequestsThatJSONCannotHold(t *testing.T) {
	t.Parallel()
	h := steptest.New(t).SSHExec(func(step.SSHExecRequest) (step.SSHExecResult, error) { return step.SSHExecResult{}, nil })
	_, failed := steptest.CallRaw(h, func(c *step.Context, _ step.Raw) (step.Raw, error) {
		_, err := c.SSHExec(step.SSHExecRequest{Argv: []string{"rm", "a\xff"}})
		return nil, err
	}, `{}`)
	if failed == nil || failed.Code != step.BadRequest || failed.Phase != step.Before || len(h.Calls()) != 0 {
		t.Errorf("got %+v and %d calls; want bad_request and none: another command than the one asked for must not run", failed, len(h.Calls()))
	}
}

func TestLogs(t *testing.T) {
	t.Parallel()
	var got []step.LogRequest
	h := steptest.New(t).Log(func(r step.LogRequest) (step.LogResult, error) {
		got = append(got, r)
		return step.LogResult{}, nil
	})
	_, failed := steptest.CallRaw(h, func(c *step.Context, _ step.Raw) (step.Raw, error) {
		c.Debugf("a %d", 1)
		c.Infof("b %s %v", "x", true)
		c.Warnf("c 100%%")
		c.Errorf("d %q", "y")
		return nil, nil
	}, `{}`)
	want := []step.LogRequest{
		{Level: "debug", Message: "a 1"},
		{Level: "info", Message: "b x true"},
		{Level: "warn", Message: "c 100%"},
		{Level: "error", Message: `d "y"`},
	}
	if d := cmp.Diff(want, got); failed != nil || d != "" {
		t.Errorf("%v (-want +got):\n%s", failed, d)
	}
}

func TestFailf(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ got, want string }{
		{step.Failf("c", "plain").Message, "plain"},
		{step.Failf("c", "%s %d %v %q %%", "a", int64(-1), errors.New("e"), "q\"").Message, `a -1 e "q\"" %`},
		{step.Failf("c", "%v %v %v %v %v", 1.5, uint64(2), int32(3), []byte("b"), step.Denied).Message, "1.5 2 3 b denied"},
		{step.Failf("c", "%s %x %v %", "a", 1, struct{}{}).Message, "a %!(x) %!(v) %"},
		{step.Failf("c", "%s").Message, "%!(s)"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
	e := step.Failf("c", "m")
	if again := e.Retry(); e.Retryable || !again.Retryable || again.Code != "c" {
		t.Errorf("Retry: got %+v from %+v", again, e)
	}
}

func TestRunOutsideTheSandboxFails(t *testing.T) {
	t.Parallel()
	if got := step.Run(greet); got != 1 {
		t.Errorf("got %d, want 1", got)
	}
	if _, err := probe(nil); err == nil {
		t.Error("a host call without a host succeeded")
	}
}
