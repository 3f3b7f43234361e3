package ssh_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"opsconductor.dev/hostfuncs"
	"opsconductor.dev/hostfuncs/ssh"
	"opsconductor.dev/hostfuncs/ssh/sshtest"
)

// begunBy starts a guarded command and leaves it at work, as a host that dies does.
// It returns the parts of the journal's claim.
func begunBy(t *testing.T, o ssh.Options, base string, e ssh.Endpoint, c ssh.Command, g ssh.Guard) []string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	g.Leave = func(error) bool { return true }
	done := make(chan error, 1)
	p := pool(t, o)
	go func() {
		_, err := p.ExecGuarded(ctx, e, c, g)
		done <- err
	}()
	var claim string
	link := filepath.Join(base, "g-"+g.Token, "go")
	eventually(t, "the command has begun", func() bool { claim, _ = os.Readlink(link); return claim != "" })
	cancel()
	<-done
	return strings.Split(claim, ",")
}

func number(t *testing.T, text string) int {
	t.Helper()
	var n int
	if _, err := fmt.Sscan(text, &n); err != nil || n <= 1 {
		t.Fatalf("%q is no process id", text)
	}
	return n
}

// What happens to the command or the target behind our back is said, and the
// command is not run a second time.
func TestGuardedDoubts(t *testing.T) {
	t.Parallel()
	e := endpoint(server(t, sshtest.Config{}))
	for name, tt := range map[string]struct {
		happens func(t *testing.T, journal string, claim []string)
		code    hostfuncs.Code
		words   string
	}{
		"killed with what looked after it": {func(t *testing.T, _ string, claim []string) {
			_ = syscall.Kill(-number(t, claim[5]), syscall.SIGKILL)
			_ = syscall.Kill(-number(t, claim[1]), syscall.SIGKILL)
		}, hostfuncs.Lost, "is gone without an exit code"},
		"the target was restarted": {func(t *testing.T, journal string, claim []string) {
			claim[3] = "00000000-0000-0000-0000-000000000000"
			if err := errors.Join(os.Remove(journal+"/go"), os.Symlink(strings.Join(claim, ","), journal+"/go")); err != nil {
				t.Fatal(err)
			}
		}, hostfuncs.Lost, "was restarted while the command ran"},
		"the process id is another's": {func(t *testing.T, journal string, claim []string) {
			_ = syscall.Kill(-number(t, claim[5]), syscall.SIGKILL)
			_ = syscall.Kill(-number(t, claim[1]), syscall.SIGKILL)
			claim[1], claim[5] = fmt.Sprint(os.Getpid()), fmt.Sprint(os.Getpid())
			if err := errors.Join(os.Remove(journal+"/go"), os.Symlink(strings.Join(claim, ","), journal+"/go")); err != nil {
				t.Fatal(err)
			}
		}, hostfuncs.Lost, "is gone without an exit code"},
		"its output was removed": {func(t *testing.T, journal string, claim []string) {
			_ = syscall.Kill(-number(t, claim[1]), syscall.SIGKILL)
			eventually(t, "its end is written down", func() bool { _, err := os.Lstat(journal + "/exit"); return err == nil })
			files, _ := filepath.Glob(journal + "/out.*")
			for _, f := range files {
				_ = os.Remove(f)
			}
		}, hostfuncs.Lost, "has been removed from its journal"},
		"another command was begun": {func(t *testing.T, journal string, claim []string) {
			claim[4] = "another"
			if err := errors.Join(os.Remove(journal+"/go"), os.Symlink(strings.Join(claim, ","), journal+"/go")); err != nil {
				t.Fatal(err)
			}
		}, hostfuncs.Protocol, "another command in this one's place"},
		"cancelled before it began": {func(t *testing.T, journal string, _ []string) {
			if err := errors.Join(os.Remove(journal+"/go"), os.Symlink("1,killed", journal+"/go")); err != nil {
				t.Fatal(err)
			}
		}, hostfuncs.Cancelled, "cancelled before it had begun"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o, base := guardedBy(t)
			file, lines := ledger(t)
			g, c := ssh.Guard{Token: newToken()}, counted(file, "30")
			claim := begunBy(t, o, base, e, c, g)
			first := append([]string(nil), claim...)
			t.Cleanup(func() { _ = syscall.Kill(-number(t, first[1]), syscall.SIGKILL) })
			eventually(t, "it is in the ledger", func() bool { return len(lines()) == 1 })
			tt.happens(t, filepath.Join(base, "g-"+g.Token), claim)
			heard := false
			g.Since, g.Heard = time.Now(), func() { heard = true }
			_, err := pool(t, o).ExecGuarded(t.Context(), e, c, g)
			var he *hostfuncs.Error
			if !errors.As(err, &he) || he.Code != tt.code || he.Phase != hostfuncs.After || he.Retryable || he.Journaled || !strings.Contains(he.Message, tt.words) {
				t.Errorf("got %#v, want %s, after, not to be tried again: %s", he, tt.code, tt.words)
			}
			if !heard {
				t.Error("nobody was told that the target has said what became of the command")
			}
			if got := lines(); len(got) != 1 {
				t.Errorf("executions: %q, want one", got)
			}
		})
	}
}

// A target that was restarted since an earlier attempt may have lost the journal,
// so that no journal proves nothing.
func TestGuardedRestartedWithoutJournal(t *testing.T) {
	t.Parallel()
	e := endpoint(server(t, sshtest.Config{}))
	o, _ := guardedBy(t)
	file, lines := ledger(t)
	_, err := pool(t, o).ExecGuarded(t.Context(), e, counted(file, "0"), ssh.Guard{Token: newToken(), Since: time.Now().Add(-100 * 365 * 24 * time.Hour)})
	wantError(t, err, hostfuncs.Lost, hostfuncs.After, "journal may have been lost")
	if got := lines(); len(got) != 0 {
		t.Errorf("executions: %q, want none", got)
	}
}

// A journal goes after a week: by then the lack of one proves nothing, however long
// the target has been up.
func TestGuardedAfterJournalsGo(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	for ago, want := range map[time.Duration]int64{0: 60, time.Hour: 3660, 5 * day: 5*86400 + 60, 6 * day: math.MaxInt32, 400 * day: math.MaxInt32} {
		if got := ssh.JournalAge(ago); got != want {
			t.Errorf("a command that may have begun %s ago: a target must be up for %d s, want %d", ago, got, want)
		}
	}
}

// Without a journal nothing begins, and the error says why.
func TestGuardedWithoutJournal(t *testing.T) {
	t.Parallel()
	e := endpoint(server(t, sshtest.Config{}))
	small := filepath.Join(t.TempDir(), "small")
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.Mkdir(small, 0o700))
	mounted := os.Geteuid() == 0 && exec.CommandContext(t.Context(), "mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", small).Run() == nil
	if mounted {
		t.Cleanup(func() { _ = exec.CommandContext(context.WithoutCancel(t.Context()), "umount", "-l", small).Run() })
	}
	for name, tt := range map[string]struct {
		prepare func(base string) (journals string)
		code    hostfuncs.Code
		words   []string
		mount   bool
	}{
		"no folder for it": {func(string) string { return "/nonexistent/x" }, hostfuncs.Protocol, []string{"/nonexistent/x-UID", "No such file"}, false},
		"a file":           {func(b string) string { must(os.WriteFile(b, nil, 0o600)); return "" }, hostfuncs.Protocol, []string{"can't be written"}, false},
		"a symbolic link":  {func(b string) string { must(os.Symlink(t.TempDir(), b)); return "" }, hostfuncs.Protocol, []string{"symbolic link or belongs to another user"}, false},
		"another user's": {func(b string) string {
			must(os.Mkdir(b, 0o777))
			must(os.Chown(b, 12345, 12345))
			return ""
		}, hostfuncs.Protocol, []string{"symbolic link or belongs to another user"}, false},
		"a full disk": {func(string) string {
			_ = os.WriteFile(filepath.Join(small, "filler"), make([]byte, 1<<20), 0o600)
			must(os.MkdirAll(fmt.Sprintf("%s-%d", filepath.Join(small, "j"), os.Getuid()), 0o700))
			return filepath.Join(small, "j")
		}, hostfuncs.Quota, []string{"disk is full", "not begun"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			if os.Geteuid() != 0 && name == "another user's" || tt.mount && !mounted {
				t.Skip("needs root, and leave to mount")
			}
			o, base := guardedBy(t)
			if j := tt.prepare(base); j != "" {
				o.Journals = j
			}
			file, lines := ledger(t)
			heard := false
			_, err := pool(t, o).ExecGuarded(t.Context(), e, counted(file, "0"), ssh.Guard{Token: newToken(), Heard: func() { heard = true }})
			wantError(t, err, tt.code, hostfuncs.Before, append(tt.words, "web1", "journal")...)
			if heard || len(lines()) != 0 {
				t.Errorf("heard %t, executions %q; want neither", heard, lines())
			}
		})
	}
}

// What is cancelled is killed by its journal, and confirmed dead; what has not
// begun never can.
func TestGuardedCancel(t *testing.T) {
	t.Parallel()
	e := endpoint(server(t, sshtest.Config{}))
	o, base := guardedBy(t)
	file, lines := ledger(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	token := newToken()
	done := make(chan error, 1)
	go func() {
		_, err := pool(t, o).ExecGuarded(ctx, e, counted(file, "30"), ssh.Guard{Token: token})
		done <- err
	}()
	eventually(t, "it runs", func() bool { return len(lines()) == 1 })
	claim, _ := os.Readlink(filepath.Join(base, "g-"+token, "go"))
	cancel(errors.New("cancelled by me"))
	wantError(t, <-done, hostfuncs.Cancelled, hostfuncs.After, "cancelled by me", "with its process group; it is confirmed dead")
	if running(number(t, strings.Split(claim, ",")[1])) {
		t.Error("it still runs")
	}
	c := counted(file, "30")
	c.Timeout = 700 * time.Millisecond
	_, err := pool(t, o).ExecGuarded(t.Context(), e, c, ssh.Guard{Token: newToken()})
	wantError(t, err, hostfuncs.Timeout, hostfuncs.After, "timeout of 700ms", "with its process group; it is confirmed dead")
}

// A wrapper that was stopped at any moment and goes on after a new attempt has
// taken its place does not run the command.
func TestGuardedLateWrapper(t *testing.T) {
	t.Parallel()
	e := endpoint(server(t, sshtest.Config{}))
	o, base := guardedBy(t)
	for _, stopAt := range []string{"", "in.", "said."} { // before the journal; before the recorder; before the claim
		for n := range 4 {
			t.Run(fmt.Sprintf("%q %d", stopAt, n), func(t *testing.T) {
				file, lines := ledger(t)
				g := ssh.Guard{Token: newToken()}
				late := stopped(t, o, base, e, counted(file, "0.2"), g, stopAt)
				g.Since = time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
				defer cancel()
				goOn := time.AfterFunc(2*time.Second, func() { carryOn(late) }) // one that has the command is waited for
				r, err := pool(t, o).ExecGuarded(ctx, e, counted(file, "0.2"), g)
				goOn.Stop()
				wantCounted(t, r, err)
				carryOn(late)
				eventually(t, "the late ones are gone", func() bool { return !slices.ContainsFunc(late, running) })
				if got := lines(); len(got) != 2 {
					t.Errorf("stopped %v: executions %q, want one", late, got)
				}
			})
		}
	}
}

// What keeps the output may be late on a busy target: it is waited for.
func TestGuardedLateOutput(t *testing.T) {
	t.Parallel()
	e := endpoint(server(t, sshtest.Config{}))
	for _, stream := range []string{"out", "err"} {
		t.Run(stream, func(t *testing.T) {
			t.Parallel()
			o, base := guardedBy(t)
			file, lines := ledger(t)
			g := ssh.Guard{Token: newToken()}
			done := make(chan struct{})
			go func() {
				defer close(done)
				r, err := pool(t, o).ExecGuarded(t.Context(), e, counted(file, "3"), g)
				wantCounted(t, r, err)
			}()
			eventually(t, "it runs", func() bool { return len(lines()) == 1 })
			var late []int
			eventually(t, "what keeps "+stream+" is stopped", func() bool {
				late = stopAll("tee\x00" + filepath.Join(base, "g-"+g.Token, stream+"."))
				return len(late) == 1
			})
			time.AfterFunc(4*time.Second, func() { carryOn(late) })
			<-done
		})
	}
}

// stopped starts a guarded command, stops each of its processes once a file of the
// journal is there (""; at once), and cuts the call off.
func stopped(t *testing.T, o ssh.Options, base string, e ssh.Endpoint, c ssh.Command, g ssh.Guard, at string) []int {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	g.Leave = func(error) bool { return true }
	p := pool(t, o)
	done := make(chan error, 1)
	go func() {
		_, err := p.ExecGuarded(ctx, e, c, g)
		done <- err
	}()
	var late []int
	deadline := time.Now().Add(5 * time.Second)
	for len(late) == 0 && time.Now().Before(deadline) {
		if at != "" {
			if m, _ := filepath.Glob(filepath.Join(base, "g-"+g.Token, at+"*")); len(m) == 0 {
				continue
			}
		}
		late = stopAll(g.Token)
	}
	late = append(late, stopAll(g.Token)...)
	cancel()
	<-done
	t.Cleanup(func() { carryOn(late) })
	return late
}

func carryOn(pids []int) {
	for _, pid := range pids {
		_ = syscall.Kill(pid, syscall.SIGCONT)
	}
}

// stopAll stops the processes that have a text in their arguments.
func stopAll(text string) []int {
	var out []int
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, f := range files {
		b, _ := os.ReadFile(f)
		if !strings.Contains(string(b), text) {
			continue
		}
		var pid int
		if _, err := fmt.Sscanf(f, "/proc/%d/cmdline", &pid); err == nil && pid != os.Getpid() && syscall.Kill(pid, syscall.SIGSTOP) == nil {
			out = append(out, pid)
		}
	}
	return out
}
