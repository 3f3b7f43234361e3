package ssh_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"opsconductor.dev/hostfuncs"
	"opsconductor.dev/hostfuncs/ssh"
	"opsconductor.dev/hostfuncs/ssh/sshtest"
)

// instead returns an option of sshd by which an account runs a script in place of a
// program, whose real path is in $real.
func instead(t *testing.T, program, script string) string {
	t.Helper()
	needSCP(t)
	real, err := exec.LookPath(program)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	text := fmt.Sprintf("#!/bin/sh\nreal=%s\n%s\n", real, script)
	if err := os.WriteFile(filepath.Join(dir, program), []byte(text), 0o700); err != nil { //nolint:gosec // a program
		t.Fatal(err)
	}
	return "SetEnv PATH=" + dir + ":" + os.Getenv("PATH")
}

// A file that was sent by scp, and whose move to its place did not end well, is in its
// place, or never will be, or nobody knows: what is said is true.
func TestSCPMove(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		mv     string
		cut    bool
		code   hostfuncs.Code
		words  string
		stands string // at the path, then
	}{
		"stopped before it": {`: >"$3.there"; exec sleep 1000`, false, hostfuncs.Cancelled, "Nothing was changed: the temporary file is removed", "old"},
		"stopped after it":  {`"$real" "$@"; : >"$3.there"; exec sleep 1000`, false, hostfuncs.Cancelled, "Whether the new file took its place is not known", "new"},
		"cut before it":     {`: >"$3.there"; while [ -d "${3%/*}" ] && ! [ -e "$3.go" ]; do sleep 0.05; done; "$real" "$@"; : >"$3.done"`, true, hostfuncs.Lost, "Nothing was changed: the temporary file is removed", "old"},
		"cut after it":      {`"$real" "$@"; : >"$3.there"; exec sleep 20`, true, hostfuncs.Lost, "Whether the new file took its place is not known", "new"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			px, e := proxied(t, sshtest.Config{Options: []string{instead(t, "mv", `set -- -f "$3" "$4"; `+tc.mv)}})
			path := filepath.Join(t.TempDir(), "f")
			if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			done, p := make(chan error, 1), pool(t, quick())
			go func() {
				_, err := p.Put(ctx, e, ssh.Put{Path: path, Content: []byte("new")})
				done <- err
			}()
			eventually(t, "the file is being moved", func() bool { _, err := os.Stat(path + ".there"); return err == nil })
			if tc.cut {
				px.Cut()
			} else {
				cancel(errOperator)
			}
			err := <-done
			wantError(t, err, tc.code, hostfuncs.After, tc.words)
			if name == "cut before it" { // what was asked for before the cut comes late
				if err := os.WriteFile(path+".go", nil, 0o600); err != nil {
					t.Fatal(err)
				}
				eventually(t, "the move was tried", func() bool { _, err := os.Stat(path + ".done"); return err == nil })
			}
			_ = errors.Join(os.Remove(path+".there"), os.Remove(path+".go"), os.Remove(path+".done"))
			if b, err := os.ReadFile(path); err != nil || string(b) != tc.stands {
				t.Errorf("at the path is %q (%v), want %q", b, err, tc.stands)
			}
			only(t, filepath.Dir(path), "f")
		})
	}
}

// A file that was sent by scp and cannot be read back was sent: the error is of phase
// after, also where the server was not even reached for it.
func TestSCPNotReadBack(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		f     string // what scp -f does, from the second time on
		code  hostfuncs.Code
		words string
	}{
		"refused": {`printf '\001scp: no\n'; exit 1`, hostfuncs.Protocol, "Nothing was changed: the temporary file is removed"},
		"altered": {`printf 'C0600 3 f\nnew\0'; exit 0`, hostfuncs.Protocol, "what was read back is not what was sent"},
		"longer":  {`printf 'C0600 4 f\n'; exit 0`, hostfuncs.Protocol, "what was read back is not what was sent"},
		"none":    {`exit 1`, hostfuncs.Protocol, "scp did not answer there"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			seen := filepath.Join(t.TempDir(), "seen")
			script := fmt.Sprintf(`[ "$1" != -f ] || ! [ -e %[1]s ] || { %[2]s; }; : >%[1]s; exec "$real" "$@"`, seen, tc.f)
			e := endpoint(server(t, sshtest.Config{Options: []string{instead(t, "scp", script)}}))
			_, err := pool(t, quick()).Put(t.Context(), e, ssh.Put{Path: filepath.Join(dir, "f"), Content: []byte("abc")})
			wantError(t, err, tc.code, hostfuncs.After, tc.words)
			if he := (*hostfuncs.Error)(nil); errors.As(err, &he) && !he.Stopped {
				t.Errorf("it is not said that nothing goes on: %+v", he)
			}
			only(t, dir)
		})
	}
}
