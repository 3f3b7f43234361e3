package ssh_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

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
		case want != "" && (e.Error == nil || e.Error.Code != want || e.Exec != nil):
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
	got, err = execMany(t, pool(t, quick()), s, `{"targets":["slow","t1"],"script":"echo 123456","parallel":1}`)
	if err != nil || len(got.Results) != 2 || got.Results[0].Target != "slow" {
		t.Fatalf("%+v (%v)", got, err)
	}
	if e := got.Results[1].Exec; e.Stdout != "123" || !e.StdoutTruncated || e.StdoutBytes != 7 {
		t.Errorf("the second has %q, truncated %t, want 3 bytes, cut", e.Stdout, e.StdoutTruncated)
	}
	for request, word := range map[string]string{
		`{"targets":[],"argv":["a"]}`:                 "1 to 1000",
		`{"targets":["a","a"],"argv":["a"]}`:          "twice",
		`{"targets":[""],"argv":["a"]}`:               "empty",
		`{"targets":["a"],"parallel":999}`:            "between 0 and 256",
		`{"targets":["a"],"parallel":999,"rows":1}`:   "unknown field",
		`{"targets":["a"]}`:                           "exactly one",
		`{"targets":["a"],"argv":["a"],"script":"b"}`: "exactly one",
	} {
		if _, err := execMany(t, pool(t, quick()), s, request); err == nil || err.Code != hostfuncs.BadRequest || !strings.Contains(err.Message, word) {
			t.Errorf("%s: %v, want bad_request with %q", request, err, word)
		}
	}
}
