package sshtest

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"testing"
)

// TestOrphans wants what a killed test left taken away before another makes a user,
// and nothing of a test that still runs: a process's number comes again.
func TestOrphans(t *testing.T) {
	mine := User(t, "/bin/sh", "$a ALL=(ALL) NOPASSWD: ALL")
	dead := exec.CommandContext(t.Context(), "true")
	if err := dead.Run(); err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("oct%dx1", dead.Process.Pid)
	rule := filepath.Join(sudoersFolder, fmt.Sprintf("opsconductor-%d-1", dead.Process.Pid))
	if err := system(t.Context(), "", "useradd", "-M", name); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(rule, []byte(name+" ALL=(ALL) ALL\n"), 0o440); err != nil { //nolint:gosec // sudo wants it readable
		t.Fatal(err)
	}
	next := User(t, "/bin/sh")
	if _, err := user.Lookup(name); err == nil {
		t.Errorf("the user %s of a killed test is still there", name)
	}
	if _, err := os.Stat(rule); err == nil {
		t.Errorf("what sudo allows a killed test's user is still in %s", rule)
	}
	for _, a := range []Account{mine, next} {
		if _, err := user.Lookup(a.Name); err != nil {
			t.Errorf("the user of a running test is gone: %v", err)
		}
	}
	if left, err := filepath.Glob(filepath.Join(sudoersFolder, fmt.Sprintf("opsconductor-%d-*", os.Getpid()))); err != nil || len(left) != 1 {
		t.Errorf("sudo's rules of this test are %v, %v; want one file", left, err)
	}
}
