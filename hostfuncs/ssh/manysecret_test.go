package ssh_test

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"opsconductor.dev/hostfuncs"
	"opsconductor.dev/hostfuncs/ssh"
	"opsconductor.dev/hostfuncs/ssh/sshtest"
)

// A secret of any target is in no output, line or error of another one, also of one
// that ran before it.
func TestExecManyKnowsAllSecrets(t *testing.T) {
	t.Parallel()
	const n = 5
	f := newFleet(t, 0, 0)
	var all []string
	for i := range n {
		password := fmt.Sprintf("quarry-%d-of-many", i)
		all = append(all, password)
		f.add(fmt.Sprintf("fake%02d", i), fakeEndpoint(fake(t, sshtest.FakeConfig{Password: password})))
		c := f.broker.Credentials[f.names[i]]
		c.Password = secret(password)
		f.broker.Credentials[f.names[i]] = c
	}
	away := f.broker.Targets["fake04"]
	away.Address, away.Port = "quarry-0-of-many.invalid", 1 // an error names the address
	f.broker.Targets["fake04"] = away
	argv := append([]string{"sh", "-c", `for word; do echo "out $word"; echo "err $word" >&2; done`, "sh"}, all...)
	got, err := f.call(t.Context(), t, ssh.ExecManyRequest{Argv: argv, Parallel: 1})
	if err != nil || len(got.Results) != n || got.Failed != 1 {
		t.Fatalf("%+v (%v), want %d results, of which one failed", got, err, n)
	}
	want := strings.Repeat("out [redacted]\n", n)
	for _, r := range got.Results {
		switch {
		case r.Target == "fake04":
			if r.Error == nil || r.Error.Code != "unreachable" || !strings.Contains(r.Error.Message, "[redacted].invalid") {
				t.Errorf("%s: %+v, want unreachable, without a secret in its words", r.Target, r.Error)
			}
		case r.Exec == nil || r.Exec.Stdout != want || r.Exec.Stderr != strings.ReplaceAll(want, "out", "err"):
			t.Errorf("%s: %+v %+v", r.Target, r.Exec, r.Error)
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if text := fmt.Sprintf("%+v", got) + strings.Join(f.log, "\n"); strings.Contains(text, "quarry-") {
		t.Errorf("a secret came out: %s", text)
	}
}

// What is known of a target that is run on some seconds later is asked for again: what
// has changed by that time counts.
func TestExecManyAsksAgain(t *testing.T) {
	t.Parallel()
	for later, denied := range map[time.Duration]int{0: 0, 6 * time.Second: 1} {
		f := newFleet(t, 3, 0)
		var mu sync.Mutex
		var passed time.Duration
		b := &revoker{Broker: f.broker, mu: &mu, revoked: map[string]bool{}}
		f.Broker = b
		f.logged = func(line string) {
			mu.Lock()
			defer mu.Unlock()
			if strings.Contains(line, "(1 of 3)") {
				b.revoked["fake02"], passed = true, later
			}
		}
		o := ssh.Options{Now: func() time.Time {
			mu.Lock()
			defer mu.Unlock()
			return time.Unix(1e9, 0).Add(passed)
		}}
		got, err := f.callBy(t.Context(), t, o, ssh.ExecManyRequest{Argv: []string{"true"}, Parallel: 1})
		if err != nil || len(got.Results) != 3 || got.Failed != denied {
			t.Fatalf("%s later: %+v (%v), want %d denied", later, got, err, denied)
		}
		if e := got.Results[2].Error; denied == 1 && (e == nil || e.Code != "denied" || e.Phase != "before") {
			t.Errorf("%s later: %+v, want denied", later, got.Results[2])
		}
	}
}

// revoker is a broker that denies some targets.
type revoker struct {
	hostfuncs.Broker
	mu      *sync.Mutex
	revoked map[string]bool
}

// Target denies what is revoked.
func (r *revoker) Target(ctx context.Context, s *hostfuncs.Session, function, name string) (hostfuncs.Target, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.revoked[name] {
		return hostfuncs.Target{}, hostfuncs.Errorf(hostfuncs.Denied, hostfuncs.Before, "%s is not granted any more", name)
	}
	return r.Broker.Target(ctx, s, function, name)
}

// After a cancel no further target is begun on, nor connected to.
func TestExecManyBeginsNoMore(t *testing.T) {
	t.Parallel()
	first, others := fake(t, sshtest.FakeConfig{}), []*sshtest.Fake{fake(t, sshtest.FakeConfig{}), fake(t, sshtest.FakeConfig{})}
	f := newFleet(t, 0, 0)
	f.add("first", fakeEndpoint(first))
	for i, o := range others {
		f.add(fmt.Sprintf("other%d", i), fakeEndpoint(o))
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	f.logged = func(line string) {
		if strings.HasSuffix(line, "stdout: begun") {
			cancel(errOperator)
		}
	}
	var asked atomic.Int64
	for name, target := range f.broker.Targets {
		target.Address = name + ".test"
		f.broker.Targets[name] = target
	}
	o := quick()
	o.Dialer.Lookup = func(context.Context, string) ([]netip.Addr, error) {
		asked.Add(1)
		return []netip.Addr{netip.MustParseAddr(first.Host)}, nil
	}
	_, err := f.callBy(ctx, t, o, ssh.ExecManyRequest{Argv: []string{"sh", "-c", "echo begun; exec sleep 1000"}, Parallel: 1})
	if err == nil || err.Code != hostfuncs.Cancelled || err.Phase != hostfuncs.After || !err.Stopped {
		t.Errorf("%+v, want cancelled, after, stopped", err)
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("%d names were looked up, want the first one's", n)
	}
	for i, o := range others {
		if o.Accepted() != 0 || o.Execs() != 0 {
			t.Errorf("other%d: %d connections, %d commands after the cancel; want none", i, o.Accepted(), o.Execs())
		}
	}
}

// A call that is cancelled while it connects has sent nothing.
func TestExecManyCancelledWhileItConnects(t *testing.T) {
	t.Parallel()
	f, silent := newFleet(t, 0, 0), fake(t, sshtest.FakeConfig{Stall: sshtest.Banner})
	f.add("silent0", fakeEndpoint(silent))
	f.add("silent1", fakeEndpoint(silent))
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	answer := make(chan *hostfuncs.Error, 1)
	go func() {
		_, err := f.call(ctx, t, ssh.ExecManyRequest{Argv: []string{"true"}})
		answer <- err
	}()
	eventually(t, "both are connecting", func() bool { return silent.Accepted() == 2 })
	cancel(errOperator)
	if err := <-answer; err == nil || err.Code != hostfuncs.Cancelled || err.Phase != hostfuncs.Before || err.Stopped || f.intents != 0 {
		t.Errorf("%+v with %d intents, want cancelled, before, and none", err, f.intents)
	}
}
