package engine_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/registry/wasmfile/wasmtest"
	"opsconductor.dev/host/runner/engine"
)

func newProcess(t *testing.T, change func(*engine.Settings)) *engine.Process {
	t.Helper()
	return newEngine(t, engine.NameProcess, change).(*engine.Process)
}

// looker is a module whose action asks the host function look, with an empty
// request.
func looker() []byte {
	var b wasmtest.Builder
	f := b.Import(engine.UserModule, "look", "I>I")
	b.Memory(1)
	b.Action("run", concat(wasmtest.I64(0), wasmtest.Call(f), []byte{0x1a, 0x41, 0})...)
	return b.Bytes()
}

func ownedBy(owner string) engine.Config {
	c := config()
	c.Owner = owner
	return c
}

// TestKilledInMidCall: the death of a process ends the calls in it, and nothing else.
func TestKilledInMidCall(t *testing.T) {
	t.Parallel()
	for _, place := range []string{"host", "spin"} {
		t.Run(place, func(t *testing.T) {
			t.Parallel()
			e := newProcess(t, nil)
			m := load(t, e, "guest", guest(t))
			if _, err := call(t.Context(), m, ownedBy("victim"), "noop", nil); err != nil {
				t.Fatal(err)
			}
			victim := e.PIDs()
			if _, err := call(t.Context(), m, ownedBy("neighbour"), "noop", nil); err != nil {
				t.Fatal(err)
			}
			if len(victim) != 1 || len(e.PIDs()) != 2 {
				t.Fatalf("processes: %v, then %v, want one for each owner", victim, e.PIDs())
			}
			kill := func() {
				if err := syscall.Kill(victim[0], syscall.SIGKILL); err != nil {
					t.Error(err)
				}
			}
			c := ownedBy("victim")
			c.Host = func(ctx context.Context, _ string, _ []byte) []byte {
				kill()
				<-ctx.Done() // it ends with the process
				return nil
			}
			if place == "spin" {
				timer := time.AfterFunc(300*time.Millisecond, kill)
				defer timer.Stop()
			}
			_, err := call(t.Context(), m, c, place, []byte("{}"))
			wantCode(t, err, automation.CodeSandboxCrashed)
			if err == nil || !strings.Contains(err.Error(), "killed") {
				t.Errorf("got %v, want it to say how the process ended", err)
			}
			if got := e.Stats(); got.ProcessDeaths != 1 || got.Processes != 1 || got.Instances != 0 {
				t.Errorf("got %+v, want one death, and the neighbour's process", got)
			}
			for _, owner := range []string{"victim", "neighbour"} {
				if _, err := call(t.Context(), m, ownedBy(owner), "noop", nil); err != nil {
					t.Errorf("%s's next attempt: %v", owner, err)
				}
			}
		})
	}
}

// TestOwnersDoNotShareAProcess, at the same time or one after the other.
func TestOwnersDoNotShareAProcess(t *testing.T) {
	t.Parallel()
	e := newProcess(t, nil)
	m := load(t, e, "looker", looker())
	for round := range 3 {
		for n, owner := range []string{"a", "b", "c"} {
			if _, err := call(t.Context(), m, ownedBy(owner), "run", nil); err != nil {
				t.Fatal(err)
			}
			want := 3
			if round == 0 {
				want = n + 1
			}
			if got := len(e.PIDs()); got != want {
				t.Errorf("round %d, after %s: %d processes, want %d", round, owner, got, want)
			}
		}
	}
}

// TestHostileProcess: a process that breaks the protocol ends, with the attempts in
// it, and the host goes on.
func TestHostileProcess(t *testing.T) {
	t.Parallel()
	for misdeed, code := range engine.Misdeeds() {
		t.Run(misdeed, func(t *testing.T) {
			t.Parallel()
			e := newProcess(t, func(s *engine.Settings) {
				s.Child = []string{"/proc/self/exe", misdeedCommand, misdeed}
				s.GuestGrace = 200 * time.Millisecond
			})
			m := load(t, e, "looker", looker())
			c := ownedBy("a")
			c.Limits.HostCalls, c.Limits.OutputBytes = 5, 1<<20
			calls := 0
			c.Host = func(ctx context.Context, name string, _ []byte) []byte {
				if calls++; name != "look" || calls > 5 {
					t.Errorf("host call %d of %q", calls, name)
				}
				if misdeed != "too many host calls" {
					<-ctx.Done()
				}
				return []byte("{}")
			}
			budget := 30 * time.Second
			if code == automation.CodeTimeout {
				budget = 300 * time.Millisecond
			}
			ctx, cancel := context.WithTimeout(t.Context(), budget)
			defer cancel()
			_, err := call(ctx, m, c, "run", nil)
			wantCode(t, err, code)
			eventually(t, func() bool { return e.Stats().ProcessDeaths == 1 || code == automation.CodeOutputLimit })
			if s := e.Stats(); s.Instances != 0 || s.Abandoned != 0 {
				t.Errorf("left behind: %+v", s)
			}
		})
	}
}

// TestTooManyProcesses: an idle process makes room, one at work does not.
func TestTooManyProcesses(t *testing.T) {
	t.Parallel()
	e := newProcess(t, func(s *engine.Settings) { s.Processes = 1 })
	m := load(t, e, "looker", looker())
	for _, owner := range []string{"a", "b", "a"} {
		if _, err := call(t.Context(), m, ownedBy(owner), "run", nil); err != nil {
			t.Fatalf("%s: %v", owner, err)
		}
	}
	c := ownedBy("a")
	c.Host = func(ctx context.Context, _ string, _ []byte) []byte {
		_, err := call(ctx, m, ownedBy("b"), "run", nil)
		wantCode(t, err, automation.CodeUnavailable)
		return []byte("{}")
	}
	if _, err := call(t.Context(), m, c, "run", nil); err != nil {
		t.Error(err)
	}
	if s := e.Stats(); s.Processes != 1 || s.ProcessDeaths != 0 {
		t.Errorf("got %+v, want one process, and no death", s)
	}
}

// TestIdleProcessLeaves, and the next attempt has a new one.
func TestIdleProcessLeaves(t *testing.T) {
	t.Parallel()
	e := newProcess(t, func(s *engine.Settings) { s.Pool.Idle = 50 * time.Millisecond })
	m := load(t, e, "looker", looker())
	eventually(t, func() bool { return e.Stats().Processes == 0 })
	if _, err := call(t.Context(), m, ownedBy("a"), "run", nil); err != nil {
		t.Error(err)
	}
}

// TestProcessHasNothing: what the kernel says about a process while it runs a guest.
func TestProcessHasNothing(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("only root may look into a process that forbids it")
	}
	e := newProcess(t, nil)
	m := load(t, e, "guest", guest(t))
	secret := "s3cret-" + strings.Repeat("canary", 4) + fmt.Sprint(time.Now().UnixNano())
	public := "public-" + fmt.Sprint(time.Now().UnixNano())
	c := ownedBy("a")
	looked := false
	c.Host = func(_ context.Context, _ string, request []byte) []byte {
		looked = true
		used := bytes.Clone([]byte(secret)) // as a broker has it while it works
		lookInto(t, e.PIDs()[0], secret, public)
		return fmt.Appendf(nil, `{"ok":{"request":%s,"used":%d}}`, request, len(used))
	}
	if _, err := call(t.Context(), m, c, "host", []byte(`"`+public+`"`)); err != nil {
		t.Fatal(err)
	}
	if !looked {
		t.Error("the host function was not called")
	}
}

func lookInto(t *testing.T, pid int, secret, public string) {
	t.Helper()
	dir := fmt.Sprintf("/proc/%d/", pid)
	status, err := os.ReadFile(dir + "status")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"NoNewPrivs:\t1\n", "Seccomp:\t2\n", "CapEff:\t0000000000000000\n", "CapPrm:\t0000000000000000\n"} {
		if !strings.Contains(string(status), want) {
			t.Errorf("the kernel does not say %q of the process", want)
		}
	}
	if env, err := os.ReadFile(dir + "environ"); err != nil || len(env) != 0 {
		t.Errorf("environment: %q, %v, want none", env, err)
	}
	fds, err := filepath.Glob(dir + "fd/*")
	if err != nil || len(fds) == 0 {
		t.Fatalf("descriptors: %v, %v", fds, err)
	}
	for _, fd := range fds {
		to, err := os.Readlink(fd)
		n := filepath.Base(fd)
		switch {
		case err != nil:
		case to == "/dev/null" && n <= "2", strings.HasPrefix(to, "socket:") && n == "3":
		case strings.HasPrefix(to, "anon_inode:[event"), strings.HasPrefix(to, "/memfd:opsconductor-plugin"), to == dir+"pagemap":
		default:
			t.Errorf("descriptor %s is %s", n, to)
		}
	}
	for _, form := range []string{secret, base64.StdEncoding.EncodeToString([]byte(secret))} {
		if inMemory(t, dir, form) {
			t.Error("the credential is in the process's memory")
		}
	}
	if !inMemory(t, dir, public) {
		t.Error("the request is not found in the process's memory: the search finds nothing")
	}
}

// inMemory searches the memory of a process.
func inMemory(t *testing.T, dir, what string) bool {
	t.Helper()
	maps, err := os.ReadFile(dir + "maps")
	if err != nil {
		t.Fatal(err)
	}
	mem, err := os.Open(dir + "mem")
	if err != nil {
		t.Fatal(err)
	}
	defer mem.Close() //nolint:errcheck // it was read
	for line := range strings.Lines(string(maps)) {
		var from, to int64
		var rights string
		if _, err := fmt.Sscanf(line, "%x-%x %s", &from, &to, &rights); err != nil || rights[0] != 'r' || strings.Contains(line, "[v") {
			continue
		}
		b := make([]byte, to-from)
		n, _ := mem.ReadAt(b, from)
		if bytes.Contains(b[:n], []byte(what)) {
			return true
		}
	}
	return false
}

// FuzzFromProcess: whatever a process sends, the host reads or refuses it.
func FuzzFromProcess(f *testing.F) {
	f.Add(engine.DoneFrame())
	f.Fuzz(func(_ *testing.T, b []byte) { engine.FromProcess(b) })
}

// FuzzToProcess: whatever a host sends, the process serves or refuses it.
func FuzzToProcess(f *testing.F) {
	f.Add(concat(engine.LoadFrame(looker()), engine.CallFrame("run")))
	f.Add(engine.CallFrame("run"))
	f.Fuzz(func(_ *testing.T, b []byte) { engine.ToProcess(b) })
}
