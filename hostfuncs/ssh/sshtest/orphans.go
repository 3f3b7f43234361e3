package sshtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
)

// sudoersFolder holds what sudo allows, a file for each test that adds to it.
const sudoersFolder = "/etc/sudoers.d"

// owned finds the number of the process that made a user or a file of sudo's.
var owned = regexp.MustCompile(`^(?:oct|opsconductor-)(\d+)[x-]`)

// sweep removes the users of tests that were killed before they could, and what
// sudo allows them. The lock of the machine's users is held.
func sweep(ctx context.Context) error {
	users, err := os.ReadFile("/etc/passwd")
	if err != nil {
		return fmt.Errorf("look for users that killed tests left: %w", err)
	}
	rules, err := filepath.Glob(filepath.Join(sudoersFolder, "opsconductor-*"))
	if err != nil {
		return fmt.Errorf("look for what killed tests left of sudo's rules: %w", err)
	}
	var failed error
	for _, file := range rules {
		if Orphaned(filepath.Base(file)) {
			failed = errors.Join(failed, os.Remove(file))
		}
	}
	for line := range strings.Lines(string(users)) {
		if name, _, _ := strings.Cut(line, ":"); Orphaned(name) {
			failed = errors.Join(failed, system(ctx, "", "userdel", "-f", name))
		}
	}
	return failed
}

// Orphaned says that the process that made a name is not there any more.
func Orphaned(name string) bool {
	m := owned.FindStringSubmatch(name)
	if m == nil {
		return false
	}
	pid, err := strconv.Atoi(m[1])
	return err == nil && errors.Is(syscall.Kill(pid, 0), syscall.ESRCH)
}
