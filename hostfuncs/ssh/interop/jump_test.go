package interop_test

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"opsconductor.dev/hostfuncs"
	"opsconductor.dev/hostfuncs/ssh"
	"opsconductor.dev/hostfuncs/ssh/sshtest"
)

// jumps are chains of three, whole and broken.
func jumps() []row {
	return []row{
		{"three hops", func(t *testing.T) {
			e, _ := chain(t)
			echo(t, pool(t, patient()), e, "from far away")
		}},
		{"three hops, the middle dies under a command", func(t *testing.T) {
			e, middle := chain(t)
			p := pool(t, hasty())
			pid, done := hold(t, p, e)
			middle.Cut()
			sshtest.WantError(t, <-done, hostfuncs.Lost, hostfuncs.After, "the connection to the jump host bastion2", "whether it goes on there is not known")
			_ = syscall.Kill(pid, syscall.SIGKILL)
			echo(t, p, e, "over new connections")
		}},
		{"three hops, the middle is away", func(t *testing.T) {
			e, middle := chain(t)
			middle.Stop()
			wantError(t, pool(t, hasty()), e, hostfuncs.Unreachable, hostfuncs.Before, "bastion2", "web1")
		}},
		{"three hops, the middle falls silent", func(t *testing.T) {
			e, middle := chain(t)
			middle.Freeze()
			defer middle.Thaw()
			wantError(t, pool(t, hasty()), e, hostfuncs.Timeout, hostfuncs.Before, "bastion2")
		}},
		{"three hops, another key in the middle", func(t *testing.T) {
			e, _ := chain(t)
			e.Via[1].HostKeys = []string{public(t, sshtest.NewKey())}
			wantError(t, pool(t, patient()), e, hostfuncs.HostKeyMismatch, hostfuncs.Before, "bastion2", "no credential was sent")
		}},
		{"a jump host that forwards nothing", func(t *testing.T) {
			e := server(t).Endpoint("web1")
			e.Via = []ssh.Endpoint{server(t, "AllowTcpForwarding no").Endpoint("bastion1")}
			wantError(t, pool(t, patient()), e, hostfuncs.Protocol, hostfuncs.Before, "bastion1", "AllowTcpForwarding")
		}},
	}
}

// chain is a server behind three jump hosts, the middle one behind a proxy.
func chain(t *testing.T) (ssh.Endpoint, *sshtest.Proxy) {
	t.Helper()
	e := server(t).Endpoint("web1")
	var middle *sshtest.Proxy
	for i := range 3 {
		srv := server(t)
		hop := srv.Endpoint(fmt.Sprintf("bastion%d", i+1))
		hop.Credential.Name = hop.Name + "-key"
		if i == 1 {
			px, err := sshtest.StartProxy(srv.Addr)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(px.Stop)
			middle, hop.Port = px, px.Port
		}
		e.Via = append(e.Via, hop)
	}
	return e, middle
}

// hold starts a command that stays, and returns its process, which the pool has heard
// of, and the call's end.
func hold(t *testing.T, p *ssh.Pool, e ssh.Endpoint) (pid int, done <-chan error) {
	t.Helper()
	heard, end := make(chan string, 1), make(chan error, 1)
	go func() {
		_, err := p.Exec(t.Context(), e, ssh.Command{
			Argv: []string{"sh", "-c", "echo $$; exec sleep 1000"},
			Live: &ssh.Live{Line: func(_, text string) { heard <- text }},
		})
		end <- err
	}()
	select {
	case text := <-heard:
		pid, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		return pid, end
	case err := <-end:
		t.Fatalf("the command did not stay: %v", err)
		return 0, nil
	}
}

// fleet runs one command on each of n servers, of which every twentieth hangs: each
// of the others has run it once, and each that hangs is a timeout.
func fleet(t *testing.T, n int) {
	t.Helper()
	hangs := func(i int) bool { return i%20 == 7 }
	f, err := sshtest.StartFleet(n, sshtest.FakeConfig{Quick: true}, hangs)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Stop)
	o := patient()
	o.HandshakeTimeout, o.ConnectTimeout = 10*time.Second, 20*time.Second
	p := pool(t, o)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	began := time.Now()
	outcomes, slots, next := make([]error, n), 64+n/20, atomic.Int64{}
	var wg sync.WaitGroup
	for range min(slots, n) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				_, outcomes[i] = p.Exec(ctx, f.Servers[i].Endpoint(fmt.Sprintf("fake%d", i)), ssh.Command{Argv: []string{"true"}})
			}
		})
	}
	wg.Wait()
	peak := peakMiB(t)
	t.Logf("%d servers in %.1f s, peak memory of servers and clients together %d MiB", n, time.Since(began).Seconds(), peak)
	if peak > mostMiB {
		t.Errorf("%d MiB of memory were used, want at most %d", peak, mostMiB)
	}
	bad := 0
	for i, runs := range f.Execs() {
		want := 1
		if hangs(i) {
			want = 0
			sshtest.WantError(t, outcomes[i], hostfuncs.Timeout, hostfuncs.Before, "fell silent, waiting for the banner", fmt.Sprintf("fake%d ", i))
		} else if outcomes[i] != nil {
			bad++
			t.Errorf("server %d: %v", i, outcomes[i])
		}
		if runs != want {
			bad++
			t.Errorf("server %d was asked %d times, want %d", i, runs, want)
		}
		if bad > 10 {
			t.Fatal("and more")
		}
	}
}

// mostMiB bounds what the process needs, 10,000 servers in it: it was 282 when this was written.
const mostMiB = 512

// peakMiB is the most memory that the process has had (VmHWM, proc_pid_status(5)).
func peakMiB(t *testing.T) int {
	t.Helper()
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), "VmHWM:")
	kib, err := strconv.Atoi(strings.Fields(rest + " 0")[0])
	if err != nil {
		t.Fatal(err)
	}
	return kib >> 10
}
