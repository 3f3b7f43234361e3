package sshtest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// mine is a word of this process that no other process has, not one of the same
// number either: users outlive a process that is killed.
func mine(before, between string) string {
	return fmt.Sprintf("%s%d%s%s", before, os.Getpid(), between, strings.ToLower(rand.Text()[:10]))
}

// Account is a user of this machine, made for a test.
type Account struct{ Name, Password string }

// NewAccount makes a user of this machine with a password, a login shell and no
// home; Remove takes it away again. It has to be root.
func NewAccount(ctx context.Context, shell string) (Account, error) {
	a := Account{mine("oct", "x"), mine("canary-", "-") + "-Pa55'\"$x"}
	unlock, err := LockAccounts()
	if err != nil {
		return a, err
	}
	defer unlock()
	if err := sweep(ctx); err != nil {
		return a, err
	}
	if err := system(ctx, "", "useradd", "-M", "-d", "/", "-s", shell, a.Name); err != nil {
		return a, err
	}
	if err := system(ctx, a.Name+":"+a.Password+"\n", "chpasswd"); err != nil {
		return a, errors.Join(err, system(ctx, "", "userdel", "-f", a.Name))
	}
	return a, nil
}

// Remove ends what runs as the user and removes it.
func (a Account) Remove(ctx context.Context) error {
	unlock, err := LockAccounts()
	if err != nil {
		return err
	}
	defer unlock()
	_ = system(ctx, "", "pkill", "-KILL", "-u", a.Name) // nothing runs: it says so
	return system(ctx, "", "userdel", "-f", a.Name)
}

// LockAccounts is held while the machine's list of users changes, by all tests
// that run on it. The function that it returns lets go.
func LockAccounts() (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(os.TempDir(), "opsconductor-accounts.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the lock of the machine's users: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil { //nolint:gosec // a small number
		return nil, errors.Join(fmt.Errorf("lock the machine's users: %w", err), f.Close())
	}
	return func() { _ = f.Close() }, nil
}

// Sudoers adds lines to what sudo allows, until remove is called. It has to be root.
func Sudoers(lines ...string) (remove func(), err error) {
	file := filepath.Join(sudoersFolder, mine("opsconductor-", "-"))
	if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o440); err != nil { //nolint:gosec // sudo wants it readable
		return nil, fmt.Errorf("add to what sudo allows: %w", err)
	}
	return func() { _ = os.Remove(file) }, nil
}

// system runs a program of the machine; it has to succeed.
func system(ctx context.Context, stdin string, argv ...string) error {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...) //nolint:gosec // the test's own words
	cmd.Stdin = strings.NewReader(stdin)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", argv[0], err, out)
	}
	return nil
}
