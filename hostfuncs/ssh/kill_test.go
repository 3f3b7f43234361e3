package ssh_test

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"opsconductor.dev/hostfuncs/ssh"
)

// startTime returns a process's start in ticks, as /proc has it.
func startTime(t *testing.T, pid int) string {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(string(b[strings.LastIndex(string(b), ") ")+2:]))[19]
}

// groupLeader starts a shell's text in a process group of its own, and returns it with
// its output. Who calls it ends it.
func groupLeader(t *testing.T, text string) (*exec.Cmd, io.Reader) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh", "-c", text)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, out
}

// The text that kills works in each shell, tells another process with the same id
// by its start, and does not touch what is outside of the group.
func TestKillText(t *testing.T) {
	t.Parallel()
	for name, sh := range shells() {
		for _, mode := range []string{"group", "one"} {
			t.Run(name+" "+mode, func(t *testing.T) {
				t.Parallel()
				cmd, out := groupLeader(t, `trap "" TERM; sleep 1000 & echo $!; while :; do wait; done`)
				var child int
				if _, err := fmt.Fscan(out, &child); err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = stopProcess(child); _ = stopProcess(cmd.Process.Pid); _ = cmd.Wait() })
				pid := fmt.Sprint(cmd.Process.Pid)
				ask := func(start string) string {
					got, err := shell(t, sh, ssh.KillText, "sh", "nonce", pid, start, mode, "4").Output()
					if err != nil {
						t.Error(err)
					}
					return string(got)
				}
				if got := ask("1"); got != "nonce dead\n" || !running(cmd.Process.Pid) {
					t.Errorf("for a process that started at another time: %q, and it runs: %t", got, running(cmd.Process.Pid))
				}
				if got := ask(startTime(t, cmd.Process.Pid)); got != "nonce dead\n" {
					t.Errorf("it says %q, want dead", got)
				}
				if running(cmd.Process.Pid) {
					t.Error("the process still runs")
				}
				if running(child) == (mode == "group") {
					t.Errorf("mode %s, and the child runs: %t", mode, running(child))
				}
				if got := ask("-"); got != "nonce dead\n" && mode == "group" {
					t.Errorf("for what is gone: %q, want dead", got)
				}
			})
		}
	}
}

// Where /proc does not show all processes, kill itself says what is there.
func TestKillTextWithoutProc(t *testing.T) {
	t.Parallel()
	if !mayMount(t) {
		t.Skip("needs leave to mount")
	}
	cmd, out := groupLeader(t, `trap "" TERM; echo up; exec sleep 1000`)
	t.Cleanup(func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	if _, err := out.Read(make([]byte, 3)); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	ask := func() string {
		script := `mount -t tmpfs -o size=4k none /proc && exec "$@"`
		got, err := exec.CommandContext(t.Context(), "unshare", "-m", "sh", "-c", script, "sh", //nolint:gosec // the test's own words
			"sh", "-c", ssh.KillText, "sh", "nonce", fmt.Sprint(cmd.Process.Pid), "-", "group", "4").Output()
		if err != nil {
			t.Error(err)
		}
		return string(got)
	}
	if got := ask(); got != "nonce dead\n" {
		t.Errorf("it says %q, want dead", got)
	}
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Error("the process still runs")
	}
	if got := ask(); got != "nonce dead\n" {
		t.Errorf("for what is gone: %q, want dead", got)
	}
}

// How long a group has to end is time, and not how often was looked: that takes long
// where there is much to do.
func TestKillTextTakesItsTime(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "sleep"), []byte("#!/bin/sh\nexec /bin/sleep 0.5\n"), 0o700); err != nil { //nolint:gosec // a program
		t.Fatal(err)
	}
	cmd, out := groupLeader(t, `trap "" TERM; echo up; exec sleep 1000`)
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	if _, err := out.Read(make([]byte, 3)); err != nil {
		t.Fatal(err)
	}
	pid := fmt.Sprint(cmd.Process.Pid)
	kill := exec.CommandContext(t.Context(), "sh", "-c", ssh.KillText, "sh", "nonce", pid, startTime(t, cmd.Process.Pid), "group", "40") //nolint:gosec // the test's own words
	kill.Env = []string{"PATH=" + dir}
	start := time.Now()
	got, err := kill.Output()
	if took := time.Since(start); err != nil || string(got) != "nonce dead\n" || took < 2*time.Second || took > 12*time.Second {
		t.Errorf("%q, %v after %s; want it dead after about 2 s, and not after 40 times half a second", got, err, took)
	}
}
