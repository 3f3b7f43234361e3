package ssh_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"opsconductor.dev/hostfuncs"
	"opsconductor.dev/hostfuncs/ssh"
	"opsconductor.dev/hostfuncs/ssh/sshtest"
)

// openToAll makes a folder in which every user of the machine may make theirs.
func openToAll(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "opsconductor-journals-") //nolint:usetesting // other users write to it, and the test's own folder is closed to them
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o777|os.ModeSticky); err != nil {
		t.Fatal(err)
	}
	return dir
}

// What runs as another user has its journal with that user, and is found, followed
// and cancelled there.
func TestGuardedBecome(t *testing.T) {
	t.Parallel()
	needs(t, "sudo", "doas", "su")
	srv := accountServer(t)
	user, other := newAccount(t, "/bin/sh"), newAccount(t, "/bin/sh")
	sudoers(t, user.name+" ALL=(ALL) ALL")
	e := as(srv, user)
	for name, tc := range map[string]struct {
		become ssh.Become
		uid    string
	}{
		"sudo with a password": {ssh.Become{User: other.name, Password: secret(user.password)}, other.name},
		"sudo to root":         {ssh.Become{Password: secret(user.password)}, "root"},
		"su in a terminal":     {ssh.Become{Method: ssh.Su, User: other.name, Password: secret(other.password)}, other.name},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := openToAll(t)
			o := quick()
			o.Journals = filepath.Join(dir, "j")
			file := filepath.Join(dir, "ledger")
			if err := errors.Join(os.WriteFile(file, nil, 0o600), os.Chmod(file, 0o666)); err != nil {
				t.Fatal(err)
			}
			lines := func() []string { b, _ := os.ReadFile(file); return strings.Fields(string(b)) }
			c := counted(file, "0.5")
			c.Become = &tc.become
			g := ssh.Guard{Token: newToken()}
			base := o.Journals + "-" + idOf(t, tc.uid)
			begunBy(t, o, base, e, c, g)
			g.Since = time.Now()
			r, err := pool(t, o).ExecGuarded(t.Context(), e, c, g)
			wantCounted(t, r, err)
			if got := lines(); len(got) != 2 {
				t.Errorf("executions: %q, want one", got)
			}
			c = counted(file, "30")
			c.Become, c.Timeout = &tc.become, 3*time.Second
			_, err = pool(t, o).ExecGuarded(t.Context(), e, c, ssh.Guard{Token: newToken()})
			wantError(t, err, hostfuncs.Timeout, hostfuncs.After, "with its process group; it is confirmed dead")
			if found, _ := filepath.Glob(o.Journals + "-*"); len(found) != 1 || found[0] != base {
				t.Errorf("journals stand in %q, want %s alone", found, base)
			}
		})
	}
}

// idOf returns a user's number.
func idOf(t *testing.T, name string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "id", "-u", name).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// The account's login shell does not matter, nor what /bin/sh starts from it.
func TestGuardedLoginShells(t *testing.T) {
	t.Parallel()
	needs(t, "bash", "dash", "busybox")
	srv := accountServer(t)
	dir := openToAll(t)
	box := filepath.Join(dir, "sh") // busybox is the shell when it is called so
	if err := os.Symlink("/usr/bin/busybox", box); err != nil {
		t.Fatal(err)
	}
	for _, shell := range []string{"/bin/bash", "/bin/dash", box} {
		t.Run(filepath.Base(shell), func(t *testing.T) {
			t.Parallel()
			o := quick()
			o.Journals = filepath.Join(dir, "j")
			e := as(srv, newAccount(t, shell))
			c := ssh.Command{Argv: []string{"sh", "-c", `printf '%s|' "$@" "$A"; cat; exit 3`, "sh", "a b", "'", "!x", "\n", `\`}, Env: map[string]string{"A": "it's"}, Stdin: []byte("in\n")}
			g := ssh.Guard{Token: newToken()}
			for range 2 {
				r, err := pool(t, o).ExecGuarded(t.Context(), e, c, g)
				if want := "a b|'|!x|\n|\\|it's|in\n"; err != nil || code(r) != 3 || string(r.Stdout.Bytes) != want {
					t.Errorf("%v: code %d, stdout %q; want 3, %q", err, code(r), r.Stdout.Bytes, want)
				}
				g.Since = time.Now()
			}
		})
	}
}

// A command that floods is stopped, with what it started, and its journal does not
// grow; the next attempt hears the same.
func TestGuardedFlood(t *testing.T) {
	t.Parallel()
	e := endpoint(server(t, sshtest.Config{}))
	for _, to := range []string{"1", "2"} {
		t.Run("stream "+to, func(t *testing.T) {
			t.Parallel()
			o, base := guardedBy(t)
			o.Discard = 256 << 10
			file, lines := ledger(t)
			c := ssh.Command{Argv: []string{"sh", "-c", `echo $$ >>"$1"; yes >&"$2"; echo end >>"$1"`, "sh", file, to}, MaxOutput: 1000}
			g := ssh.Guard{Token: newToken()}
			for range 2 {
				_, err := pool(t, o).ExecGuarded(t.Context(), e, c, g)
				wantError(t, err, hostfuncs.OutputLimit, hostfuncs.After, "so it was stopped", "max_output_bytes")
				var he *hostfuncs.Error
				if !errors.As(err, &he) || !he.Stopped || he.Retryable {
					t.Errorf("%#v; want stopped, not to be tried again", he)
				}
				g.Since = time.Now()
			}
			got := lines()
			if len(got) != 1 {
				t.Fatalf("executions: %q, want one that did not end by itself", got)
			}
			pid := number(t, got[0])
			eventually(t, "it is gone", func() bool { return !running(pid) })
			var size int64
			_ = filepath.WalkDir(base, func(_ string, d fs.DirEntry, _ error) error {
				if info, err := d.Info(); err == nil && info.Mode().IsRegular() {
					size += info.Size()
				}
				return nil
			})
			if size > 8<<10 {
				t.Errorf("the journal has %d bytes; 1001 of a stream are kept", size)
			}
		})
	}
}

// Nobody but the account reads a journal, and once the command has begun nothing
// that it was given stands there; no error has any of it.
func TestGuardedCanary(t *testing.T) {
	t.Parallel()
	e := endpoint(server(t, sshtest.Config{Options: []string{"LogLevel DEBUG3"}}))
	o, base := guardedBy(t)
	file, lines := ledger(t)
	const canary = "canary-5ecret"
	c := ssh.Command{
		Argv: []string{"sh", "-c", `cat >/dev/null; echo begin >>"$1"; until [ -e "$1.go" ]; do sleep 0.05; done; exit 3`, "sh", file, canary + "-argv"},
		Env:  map[string]string{"SECRET": canary + "-env"}, Stdin: []byte(canary + "-stdin"),
	}
	g := ssh.Guard{Token: newToken()}
	begunBy(t, o, base, e, c, g)
	eventually(t, "it runs", func() bool { return len(lines()) == 1 })
	sealed(t, base, canary)
	var said []string
	call := func(change func(o *ssh.Options, c *ssh.Command, g *ssh.Guard)) {
		o, c, g := o, c, g
		g.Since = time.Now()
		change(&o, &c, &g)
		_, err := pool(t, o).ExecGuarded(t.Context(), e, c, g)
		if err == nil {
			t.Error("no error")
			return
		}
		said = append(said, err.Error())
	}
	call(func(_ *ssh.Options, c *ssh.Command, _ *ssh.Guard) { c.Env = map[string]string{"SECRET": canary} }) // another command
	call(func(o *ssh.Options, _ *ssh.Command, _ *ssh.Guard) { o.Journals = "/proc/" + "none/x" })            // no journal
	call(func(_ *ssh.Options, c *ssh.Command, g *ssh.Guard) { g.Token = "x"; c.PTY = &ssh.Terminal{} })      // what can't be guarded
	call(func(_ *ssh.Options, _ *ssh.Command, g *ssh.Guard) {
		g.Token, g.Since = newToken(), time.Now().Add(-100*365*24*time.Hour) // a journal that may have been lost
	})
	call(func(_ *ssh.Options, c *ssh.Command, _ *ssh.Guard) { c.Timeout = 700 * time.Millisecond }) // killed
	for _, text := range said {
		if strings.Contains(text, canary) {
			t.Errorf("an error has what the command was given: %s", strings.ReplaceAll(text, canary, "<THE SECRET>"))
		}
	}
	sealed(t, base, canary)
}

// sealed looks at all that stands under the journals' folder: nobody else reads it,
// and a text is in none of it.
func sealed(t *testing.T, base, canary string) {
	t.Helper()
	seen := 0
	err := filepath.WalkDir(base, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		seen++
		info, err := d.Info()
		if err != nil {
			return err
		}
		text, link := []byte(path), info.Mode()&fs.ModeSymlink != 0
		if info.Mode().IsRegular() {
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			text = append(text, b...)
		}
		if link {
			to, _ := os.Readlink(path)
			text = append(text, to...)
		}
		if strings.Contains(string(text), canary) {
			t.Errorf("%s has what the command was given", d.Name())
		}
		if !link && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %s; want it closed to all others", d.Name(), info.Mode())
		}
		return nil
	})
	if err != nil || seen < 4 {
		t.Errorf("%d files seen, %v; want a journal", seen, err)
	}
}

// Where there are more journals than may be, none is begun, and the ones that are
// there are left alone.
func TestGuardedManyJournals(t *testing.T) {
	t.Parallel()
	e := endpoint(server(t, sshtest.Config{}))
	o, base := guardedBy(t)
	file, lines := ledger(t)
	first := ssh.Guard{Token: newToken()}
	r, err := pool(t, o).ExecGuarded(t.Context(), e, counted(file, "0"), first)
	wantCounted(t, r, err)
	for i := range ssh.MaxJournals {
		if err := os.Mkdir(filepath.Join(base, fmt.Sprintf("g-%032x", i)), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	token := newToken()
	_, err = pool(t, o).ExecGuarded(t.Context(), e, counted(file, "0"), ssh.Guard{Token: token})
	wantError(t, err, hostfuncs.Quota, hostfuncs.Before, "more than 10000 journals", "not begun", "web1")
	if _, err := os.Stat(filepath.Join(base, "g-"+token)); err == nil {
		t.Error("a journal that was refused is there")
	}
	first.Since = time.Now()
	r, err = pool(t, o).ExecGuarded(t.Context(), e, counted(file, "0"), first)
	wantCounted(t, r, err)
	if got := lines(); len(got) != 2 {
		t.Errorf("executions: %q, want one", got)
	}
}

// A file system that can't be written to is named as what it is.
func TestGuardedReadOnly(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	mount := func(args ...string) bool {
		return exec.CommandContext(context.WithoutCancel(t.Context()), args[0], args[1:]...).Run() == nil //nolint:gosec // the test's own words
	}
	if os.Geteuid() != 0 || !mount("mount", "-t", "tmpfs", "-o", "ro,size=64k", "tmpfs", dir) {
		t.Skip("needs root, and leave to mount")
	}
	t.Cleanup(func() { mount("umount", "-l", dir) })
	e := endpoint(server(t, sshtest.Config{}))
	o, _ := guardedBy(t)
	o.Journals = filepath.Join(dir, "j")
	file, lines := ledger(t)
	_, err := pool(t, o).ExecGuarded(t.Context(), e, counted(file, "0"), ssh.Guard{Token: newToken()})
	wantError(t, err, hostfuncs.Protocol, hostfuncs.Before, "mounted read-only", "not begun", "web1")
	if got := lines(); len(got) != 0 {
		t.Errorf("executions: %q, want none", got)
	}
}
