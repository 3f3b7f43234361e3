package ssh_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"opsconductor.dev/hostfuncs"
	"opsconductor.dev/hostfuncs/hostfunctest"
	"opsconductor.dev/hostfuncs/ssh"
	"opsconductor.dev/hostfuncs/ssh/sshtest"
)

// cli calls the functions for dialogs in one session.
type cli struct {
	t    *testing.T
	pool *ssh.Pool
	s    *hostfuncs.Session
	b    *hostfunctest.Broker

	mu  sync.Mutex
	log []string
	all []string // answers
}

func newCLI(t *testing.T, dev sshtest.Device) (*cli, *sshtest.Fake) {
	t.Helper()
	f := fake(t, sshtest.FakeConfig{Device: &dev})
	c := &cli{t: t, pool: pool(t, ssh.Options{DialogQuiet: 100 * time.Millisecond})}
	c.s, c.b = onFake(f, sshtest.Password)
	c.b.Functions = []string{"ssh_open", "ssh_send", "ssh_close"}
	c.b.Credentials["enable"] = hostfuncs.Credential{Name: "enable", Version: 1, Kind: "password", Password: secret(enableSecret)}
	c.s.Log = func(_, message string) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.log = append(c.log, message)
	}
	t.Cleanup(func() { _ = c.s.Close() })
	return c, f
}

// call calls a function and decodes its result.
func (c *cli) call(function, request string, into any) *hostfuncs.Error {
	c.t.Helper()
	for _, f := range ssh.Functions(c.pool) {
		if f.Name != function {
			continue
		}
		answer := f.Invoke(c.t.Context(), c.s, []byte(request))
		c.all = append(c.all, string(answer))
		env := struct {
			OK    any
			Error *hostfuncs.Error
		}{OK: into}
		if err := json.Unmarshal(answer, &env); err != nil {
			c.t.Fatal(err)
		}
		return env.Error
	}
	c.t.Fatalf("no function %s", function)
	return nil
}

// Nothing of a secret is in any answer, log line or audit record.
func TestDialogFunctions(t *testing.T) {
	t.Parallel()
	c, f := newCLI(t, ios())
	var opened ssh.OpenResult
	if err := c.call("ssh_open", `{"platform":"ios","privileged":true,"enable_credential":"enable","stream":true}`, &opened); err != nil {
		t.Fatal(err)
	}
	if opened.Session != "1" || opened.Mode != "privileged" || opened.Prompt != "router1#" || !strings.Contains(opened.Output, "Authorized") {
		t.Errorf("%+v", opened)
	}
	for _, tc := range []struct{ request, output, mode, refused string }{
		{`"text":"show version"`, "Cisco IOS Software, Version 15.2\nrouter1 uptime is 1 day", "privileged", ""},
		{`"text":"leak"`, "the secret is [redacted]", "privileged", ""},
		{`"mode":"config","text":"interface Ethernet0"`, "", "config", ""},
		{`"mode":"exec","text":"bogus ` + enableSecret + `"`, "        ^\n% Invalid input detected at '^' marker.", "exec", "% Invalid input detected at '^' marker."},
		{`"text":"enable","answers":[{"question":"Password: $","credential":"enable"}]`, "Password:", "privileged", ""},
	} {
		var r ssh.SendResult
		if err := c.call("ssh_send", `{"session":"1",`+tc.request+`}`, &r); err != nil || r.Output != tc.output || r.Mode != tc.mode || r.Refused != tc.refused {
			t.Errorf("%s: %v %+v", tc.request, err, r)
		}
	}
	var closed ssh.CloseResult
	if err := c.call("ssh_close", `{"session":"1"}`, &closed); err != nil || !closed.Closed {
		t.Errorf("%v %+v", err, closed)
	}
	if err := c.call("ssh_send", `{"session":"1","text":"x"}`, nil); err == nil || err.Code != hostfuncs.BadRequest || !strings.Contains(err.Message, "no open session") {
		t.Errorf("%+v", err)
	}
	everything := strings.Join(c.all, "\n") + strings.Join(c.log, "\n") + fmt.Sprintf("%+v", c.b.Records())
	for _, s := range []string{enableSecret, sshtest.Password} {
		if strings.Contains(everything, s) {
			t.Errorf("a secret got out: %s", strings.ReplaceAll(everything, s, "<HERE>"))
		}
	}
	if !strings.Contains(strings.Join(f.Typed(), "\n"), enableSecret) || !strings.Contains(strings.Join(c.log, "\n"), "sent: show version") {
		t.Errorf("log %q", c.log)
	}
}

// A session ends with the attempt, and there are eight at most.
func TestDialogsOfAnAttempt(t *testing.T) {
	t.Parallel()
	c, _ := newCLI(t, ios())
	for i := range 9 {
		err := c.call("ssh_open", `{}`, nil)
		if i < 8 && err != nil {
			t.Fatal(err)
		}
		if i == 8 && (err == nil || err.Code != hostfuncs.Quota) {
			t.Errorf("a ninth: %+v", err)
		}
	}
	if err := c.s.Close(); err != nil {
		t.Error(err)
	}
	if err := c.call("ssh_send", `{"session":"1","text":"x"}`, nil); err == nil || err.Code != hostfuncs.BadRequest {
		t.Errorf("after the end: %+v", err)
	}
}

// The grant of ssh_send is looked at for each line.
func TestDialogNeedsEachGrant(t *testing.T) {
	t.Parallel()
	c, f := newCLI(t, ios())
	if err := c.call("ssh_open", `{"platform":"ios"}`, nil); err != nil {
		t.Fatal(err)
	}
	before := len(f.Typed())
	c.b.Functions = []string{"ssh_open"}
	if err := c.call("ssh_send", `{"session":"1","text":"reload"}`, nil); err == nil || err.Code != hostfuncs.Denied {
		t.Errorf("%+v", err)
	}
	c.b.Functions = []string{"ssh_open", "ssh_send"}
	if err := c.call("ssh_send", `{"session":"1","credential":"nobody's"}`, nil); err == nil || err.Code != hostfuncs.Denied {
		t.Errorf("%+v", err)
	}
	if n := len(f.Typed()); n != before {
		t.Errorf("%d lines were sent all the same", n-before)
	}
}
