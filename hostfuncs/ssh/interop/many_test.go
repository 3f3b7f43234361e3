package interop_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"opsconductor.dev/hostfuncs"
	"opsconductor.dev/hostfuncs/hostfunctest"
	"opsconductor.dev/hostfuncs/ssh"
	"opsconductor.dev/hostfuncs/ssh/sshtest"
)

// fanOuts are one call of ssh_exec_many for servers of many kinds.
func fanOuts() []row {
	return []row{
		{"ssh_exec_many, a mixed set", func(t *testing.T) { mixed(t, 32) }},
		{"ssh_exec_many, a mixed set, one at a time", func(t *testing.T) { mixed(t, 1) }},
		{"ssh_exec_many, cancelled while one hangs", func(t *testing.T) {
			set := &mixedSet{broker: &hostfunctest.Broker{Functions: []string{"ssh_exec_many"}, Targets: map[string]hostfuncs.Target{}, Credentials: map[string]hostfuncs.Credential{}}}
			set.add("hangs", fake(t, sshtest.FakeConfig{Stall: sshtest.Banner}).Endpoint("hangs"))
			ctx, cancel := context.WithTimeoutCause(t.Context(), 500*time.Millisecond, errors.New("the attempt's time is over"))
			defer cancel()
			_, e := set.call(ctx, t, pool(t, patient()), []string{"hangs"}, 1)
			if e == nil || e.Code != hostfuncs.Timeout || e.Phase != hostfuncs.Before {
				t.Errorf("%+v, want timeout of phase before", e)
			}
		}},
	}
}

// mixedSet are targets and what is wanted of each: "" or an error's code.
type mixedSet struct {
	broker *hostfunctest.Broker
	want   map[string]string
}

// add makes an endpoint a target.
func (m *mixedSet) add(name string, e ssh.Endpoint) {
	m.broker.Targets[name] = hostfuncs.Target{Name: name, Address: e.Host, Port: e.Port, Protocol: "ssh", HostKeys: e.HostKeys, Credential: name}
	c := e.Credential
	c.Name = name
	m.broker.Credentials[name] = c
}

// call calls the host function in a session, as the sandbox does.
func (m *mixedSet) call(ctx context.Context, t *testing.T, p *ssh.Pool, names []string, parallel int) (ssh.ExecManyResult, *hostfuncs.Error) {
	t.Helper()
	all := ssh.Functions(p)
	f := all[slices.IndexFunc(all, func(f hostfuncs.Func) bool { return f.Name == "ssh_exec_many" })]
	request, err := json.Marshal(ssh.ExecManyRequest{Targets: names, Parallel: parallel, Argv: []string{"sh", "-c", "echo out; echo err >&2; exit 3"}})
	if err != nil {
		t.Fatal(err)
	}
	var env struct {
		OK    ssh.ExecManyResult
		Error *hostfuncs.Error
	}
	if err := json.Unmarshal(f.Invoke(ctx, &hostfuncs.Session{Tenant: "default", Broker: m.broker, MaxOutput: 1 << 16}, request), &env); err != nil {
		t.Fatal(err)
	}
	return env.OK, env.Error
}

// newMixedSet starts them: good ones of each kind, and one for each way to fail.
func newMixedSet(t *testing.T) *mixedSet {
	t.Helper()
	m := &mixedSet{want: map[string]string{"nobody": "denied"}, broker: &hostfunctest.Broker{
		Functions: []string{"ssh_exec_many"}, Targets: map[string]hostfuncs.Target{}, Credentials: map[string]hostfuncs.Credential{},
	}}
	put := func(name, code string, e ssh.Endpoint) { m.add(name, e); m.want[name] = code }
	for i := range 4 {
		put(fmt.Sprintf("openssh%d", i), "", server(t).Endpoint("x"))
		put(fmt.Sprintf("fake%d", i), "", fake(t, sshtest.FakeConfig{}).Endpoint("x"))
	}
	if os.Geteuid() == 0 {
		put("dropbear", "", dropbearWith(t, sshtest.User(t, "/bin/sh")))
	}
	other := server(t).Endpoint("x")
	other.HostKeys = []string{public(t, sshtest.NewKey())}
	put("other-key", "host_key_mismatch", other)
	refused := server(t).Endpoint("x")
	refused.Credential.PrivateKey = sshtest.Plain(sshtest.NewKey())
	put("refused", "auth_failed", refused)
	put("hangs", "timeout", fake(t, sshtest.FakeConfig{Stall: sshtest.Kex}).Endpoint("x"))
	put("dies", "lost", fake(t, sshtest.FakeConfig{Close: sshtest.Running}).Endpoint("x"))
	put("forced", "protocol", server(t, "ForceCommand exit 0").Endpoint("x"))
	away := server(t).Endpoint("x")
	away.Port = 1
	put("away", "unreachable", away)
	return m
}

// mixed wants of each server exactly its own outcome: no failure spoils another.
func mixed(t *testing.T, parallel int) {
	t.Helper()
	m := newMixedSet(t)
	var names []string
	for name := range m.want {
		names = append(names, name)
	}
	got, e := m.call(t.Context(), t, pool(t, hasty()), names, parallel)
	failures := 0
	for _, code := range m.want {
		if code != "" {
			failures++
		}
	}
	if e != nil || len(got.Results) != len(names) || got.Failed != failures {
		t.Fatalf("%v: %d entries, %d failed; want %d and %d", e, len(got.Results), got.Failed, len(names), failures)
	}
	for _, r := range got.Results {
		switch want := m.want[r.Target]; {
		case want == "" && (r.Exec == nil || r.Error != nil || r.Exec.ExitCode == nil || *r.Exec.ExitCode != 3 || r.Exec.Stdout != "out\n" || r.Exec.Stderr != "err\n"):
			t.Errorf("%s: %+v, %+v; want exit code 3, out and err", r.Target, r.Exec, r.Error)
		case want != "" && (r.Error == nil || r.Error.Code != want || r.Exec != nil):
			t.Errorf("%s: %+v, %+v; want %s", r.Target, r.Exec, r.Error, want)
		}
	}
}
