package ssh_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"opsconductor.dev/hostfuncs"
	"opsconductor.dev/hostfuncs/hostfunctest"
	"opsconductor.dev/hostfuncs/ssh"
	"opsconductor.dev/hostfuncs/ssh/sshtest"
)

// fleet is a session whose broker knows many targets, and what the host hears of it.
type fleet struct {
	*hostfuncs.Session
	broker *hostfunctest.Broker
	names  []string

	mu      sync.Mutex
	log     []string
	doubts  []string
	intents int
	logged  func(line string) // under mu
}

// newFleet returns a session with n fake targets, of which the last ones are lost
// while their command runs.
func newFleet(t *testing.T, n, lost int) *fleet {
	t.Helper()
	f := &fleet{broker: &hostfunctest.Broker{
		Functions: []string{"ssh_exec_many"}, Targets: map[string]hostfuncs.Target{}, Credentials: map[string]hostfuncs.Credential{},
	}}
	f.Session = &hostfuncs.Session{Tenant: "default", Broker: f.broker, MaxOutput: 1 << 20}
	f.Log = func(_, m string) {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.log = append(f.log, m); f.logged != nil {
			f.logged(m)
		}
	}
	f.Unsure = func(function string, e *hostfuncs.Error) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.doubts = append(f.doubts, function+" "+string(e.Code))
	}
	f.Intent = func(context.Context, string) error { f.intents++; return nil }
	for i := range n {
		conf := sshtest.FakeConfig{}
		if i >= n-lost {
			conf.Close = sshtest.Running
		}
		f.add(fmt.Sprintf("fake%02d", i), fakeEndpoint(fake(t, conf)))
	}
	return f
}

// add makes an endpoint a target.
func (f *fleet) add(name string, e ssh.Endpoint) {
	c := e.Credential
	c.Name = name
	f.broker.Credentials[name] = c
	f.broker.Targets[name] = hostfuncs.Target{Name: name, Address: e.Host, Port: e.Port, HostKeys: e.HostKeys, Credential: name}
	f.names = append(f.names, name)
}

// call calls ssh_exec_many for all of them.
func (f *fleet) call(ctx context.Context, t *testing.T, r ssh.ExecManyRequest) (ssh.ExecManyResult, *hostfuncs.Error) {
	t.Helper()
	return f.callBy(ctx, t, ssh.Options{}, r)
}

// callBy is call with a pool's options.
func (f *fleet) callBy(ctx context.Context, t *testing.T, o ssh.Options, r ssh.ExecManyRequest) (ssh.ExecManyResult, *hostfuncs.Error) {
	t.Helper()
	r.Targets, r.Stream = f.names, true
	request, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	all := ssh.Functions(pool(t, o))
	fn := all[slices.IndexFunc(all, func(f hostfuncs.Func) bool { return f.Name == "ssh_exec_many" })]
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	var env struct {
		OK    ssh.ExecManyResult
		Error *hostfuncs.Error
	}
	if err := json.Unmarshal(fn.Invoke(ctx, f.Session, request), &env); err != nil {
		t.Fatal(err)
	}
	return env.OK, env.Error
}

// shared is a folder that every user of the machine may write to.
func shared(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "opsconductor-shared-") //nolint:usetesting // other users write to it, and the test's own folder is closed to them
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o777); err != nil { //nolint:gosec // the users write to it
		t.Fatal(err)
	}
	return dir
}

// 56 targets, real ones and fakes, as another user: what came first is first in the
// result, a target that is lost is an entry of its own and a doubt, and a password
// is in nothing that comes out.
func TestExecManyMass(t *testing.T) {
	t.Parallel()
	needs(t, "sudo")
	const fakes, lost, reals = 52, 2, 4
	f := newFleet(t, fakes, lost)
	srv := accountServer(t)
	var lines []string
	wrong := ""
	for i := range reals {
		a := newAccount(t, "/bin/sh")
		lines = append(lines, a.name+" ALL=(ALL) ALL")
		e := as(srv, a)
		if i > 0 { // the first has no password for sudo
			e.Credential.Password = secret(a.password)
		} else {
			wrong = fmt.Sprintf("real%d", i)
		}
		f.add(fmt.Sprintf("real%d", i), e)
	}
	sudoers(t, lines...)
	slices.Reverse(f.names) // real3 is asked first, and answers last
	gate := filepath.Join(shared(t), "gate")
	over := 0
	f.logged = func(line string) {
		if strings.Contains(line, " of 56)") {
			if over++; over == len(f.names)-1 {
				_ = os.WriteFile(gate, nil, 0o600)
			}
		}
	}
	got, err := f.call(t.Context(), t, ssh.ExecManyRequest{
		Argv:   []string{"sh", "-c", `case $SUDO_USER in "$2") until [ -e "$1" ]; do sleep 0.05; done;; esac; id -un; exit 3`, "sh", gate, f.broker.Credentials["real3"].Username},
		Become: &ssh.BecomeRequest{}, Parallel: 16,
	})
	if err != nil || len(got.Results) != fakes+reals || got.Failed != lost+1 {
		t.Errorf("%v: %d entries, %d failed; want %d and %d", err, len(got.Results), got.Failed, fakes+reals, lost+1)
	}
	if len(got.Results) == 0 {
		return
	}
	if last := got.Results[len(got.Results)-1]; last.Target != "real3" {
		t.Errorf("the last entry is %s, want real3, which waited for all others", last.Target)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	told := 0
	for _, line := range f.log {
		if strings.Contains(line, " of 56)") {
			if r := got.Results[told]; !strings.HasPrefix(line, r.Target+": ") {
				t.Errorf("entry %d is %s, and the log says %q", told, r.Target, line)
			}
			told++
		}
	}
	for _, r := range got.Results {
		want := map[bool]string{true: "lost"}[r.Target >= fmt.Sprintf("fake%02d", fakes-lost) && strings.HasPrefix(r.Target, "fake")]
		if r.Target == wrong {
			want = "become_failed"
		}
		switch {
		case want != "" && (r.Error == nil || r.Error.Code != want):
			t.Errorf("%s: %+v, want %s", r.Target, r.Error, want)
		case want == "" && (r.Exec == nil || r.Exec.Stdout != "root\n" || *r.Exec.ExitCode != 3):
			t.Errorf("%s: %+v %+v, want root and exit code 3", r.Target, r.Exec, r.Error)
		}
	}
	if told != len(got.Results) || f.intents != 1 || !slices.Equal(f.doubts, []string{"ssh_exec_many lost", "ssh_exec_many lost"}) {
		t.Errorf("%d ends in the log, %d intents, doubts %q", told, f.intents, f.doubts)
	}
	if all := fmt.Sprintf("%+v %v", got, f.log); strings.Contains(all, "canary-") {
		t.Error("a password came out")
	}
}

// A cancel in the middle kills what runs and begins nothing more; it says that
// nothing goes on only where that is known.
func TestExecManyCancel(t *testing.T) {
	t.Parallel()
	needs(t)
	for name, lost := range map[string]int{"all known": 0, "one lost": 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const n, parallel = 52, 8
			f := newFleet(t, n, lost)
			srv := accountServer(t)
			f.add("real0", as(srv, newAccount(t, "/bin/bash")))
			slices.Reverse(f.names) // the real one, and what is lost, first
			dir := shared(t)
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			f.logged = func(line string) {
				if strings.HasSuffix(line, "stdout: begun") {
					f.doubts = append(f.doubts, "begun")
				}
			}
			answer := make(chan *hostfuncs.Error, 1)
			go func() {
				_, err := f.call(ctx, t, ssh.ExecManyRequest{
					Argv: []string{"sh", "-c", `trap "" TERM; echo $$ >"$1/$$"; echo begun; while [ -d "$1" ]; do sleep 0.3 & wait; done`, "sh", dir}, Parallel: parallel,
				})
				answer <- err
			}()
			eventually(t, "as many run as may", func() bool {
				f.mu.Lock()
				defer f.mu.Unlock()
				return len(f.doubts)-lost == parallel
			})
			cancel(errOperator)
			err := <-answer
			if err == nil || err.Code != hostfuncs.Cancelled || err.Phase != hostfuncs.After || err.Stopped != (lost == 0) || !strings.Contains(err.Message, "the operator cancelled the run") {
				t.Errorf("%+v, want cancelled, stopped %t", err, lost == 0)
			}
			files, _ := os.ReadDir(dir)
			if len(files) != parallel {
				t.Errorf("%d commands began, want %d", len(files), parallel)
			}
			for _, file := range files {
				pid := 0
				if _, err := fmt.Sscan(file.Name(), &pid); err != nil || running(pid) {
					t.Errorf("process %s still runs (%v)", file.Name(), err)
				}
			}
		})
	}
}
