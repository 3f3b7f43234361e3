package ssh_test

import (
	"bytes"
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

// appliance starts an sshd that, like an appliance, runs scp and nothing else.
func appliance(t *testing.T) *sshtest.Server {
	t.Helper()
	return forced(t, `case "$SSH_ORIGINAL_COMMAND" in "scp "*) exec sh -c "$SSH_ORIGINAL_COMMAND" ;; esac
echo "% Invalid input detected at '^' marker."
exit 1
`)
}

// forced starts an sshd whose account runs one script, whatever is asked for.
func forced(t *testing.T, script string) *sshtest.Server {
	t.Helper()
	path := filepath.Join(t.TempDir(), "forced")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script), 0o700); err != nil { //nolint:gosec // a program
		t.Fatal(err)
	}
	return server(t, sshtest.Config{Options: []string{"ForceCommand " + path}})
}

func needSCP(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("scp"); err != nil {
		t.Fatal("there is no scp here: apt-get install openssh-client")
	}
}

// Servers without SFTP take and give files by scp: in whole where a shell can move
// them to their place, straight to it where there is none.
func TestSCP(t *testing.T) {
	t.Parallel()
	needSCP(t)
	big := bytes.Repeat([]byte("0123456789abcde\n"), 3<<20/16+1)
	for name, tc := range map[string]struct {
		server *sshtest.Server
		atomic bool
	}{"no SFTP": {server(t, sshtest.Config{}), true}, "appliance": {appliance(t), false}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, e := pool(t, ssh.Options{}), endpoint(tc.server)
			for i, content := range [][]byte{[]byte("hello\n"), nil, []byte("\xff\x00é"), big} {
				path := filepath.Join(t.TempDir(), "it's a \"file\"")
				begun := 0
				w := ssh.Put{Path: path, Content: content, Mode: new(uint32(0o640)), Begin: func(context.Context, string) error { begun++; return nil }}
				for again, changed := range []bool{true, false} {
					got, err := p.Put(t.Context(), e, w)
					want := ssh.Written{Size: int64(len(content)), SHA256: sum(content), Mode: 0o640, Changed: changed, Atomic: tc.atomic || !changed}
					if err != nil || got != want {
						t.Fatalf("put %d, time %d: %+v %v, want %+v", i, again, got, err, want)
					}
				}
				onDisk(t, path, content, 0o640)
				if begun != 1 {
					t.Errorf("%d intents, want 1", begun)
				}
				got, err := p.Get(t.Context(), e, path, len(content))
				if err != nil || !bytes.Equal(got.Content, content) || got.SHA256 != sum(content) || got.Mode != 0o640 || !got.OverSCP {
					t.Errorf("get %d: %d bytes, mode %o, over scp %t, %v", i, len(got.Content), got.Mode, got.OverSCP, err)
				}
			}
		})
	}
}

func TestSCPReplaces(t *testing.T) {
	t.Parallel()
	needSCP(t)
	p, e, dir := pool(t, ssh.Options{}), endpoint(server(t, sshtest.Config{})), t.TempDir()
	path := filepath.Join(dir, "-conf")
	if err := errors.Join(os.WriteFile(path, []byte("old"), 0o600), os.Chmod(path, 0o750)); err != nil { //nolint:gosec // the mode to keep
		t.Fatal(err)
	}
	put := func(w ssh.Put) ssh.Written {
		t.Helper()
		w.Path = path
		got, err := p.Put(t.Context(), e, w)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	if got := put(ssh.Put{Content: []byte("new content")}); !got.Changed || got.Mode != 0o750 {
		t.Errorf("%+v, want changed with mode 750", got)
	}
	onDisk(t, path, []byte("new content"), 0o750)
	if got := put(ssh.Put{Content: []byte("new content"), Mode: new(uint32(0o4700))}); !got.Changed || got.Mode != 0o4700 {
		t.Errorf("%+v, want changed with mode 4700", got)
	}
	onDisk(t, path, []byte("new content"), 0o700|os.ModeSetuid)
	uid, gid := uint32(os.Getuid()), uint32(os.Getgid()) //nolint:gosec // small numbers
	if got := put(ssh.Put{Content: []byte("new content"), UID: &uid, GID: &gid}); !got.Changed {
		t.Errorf("%+v, want changed: scp does not say whose a file is", got)
	}
}

// What cannot be done over scp changes nothing and says why.
func TestSCPRefused(t *testing.T) {
	t.Parallel()
	needSCP(t)
	p, shell, box := pool(t, ssh.Options{}), endpoint(server(t, sshtest.Config{})), endpoint(appliance(t))
	deaf := endpoint(forced(t, "echo 'scp: not for you' >&2\nexit 1\n"))
	chatty := endpoint(forced(t, "echo 'Welcome to your router'\n"))
	dir := t.TempDir()
	folder, file := filepath.Join(dir, "folder"), filepath.Join(dir, "file")
	if err := errors.Join(os.Mkdir(folder, 0o700), os.WriteFile(file, []byte("12345"), 0o600), os.Symlink(folder, filepath.Join(dir, "link"))); err != nil {
		t.Fatal(err)
	}
	get := func(e ssh.Endpoint, path string, limit int) error {
		_, err := p.Get(t.Context(), e, path, limit)
		return err
	}
	put := func(e ssh.Endpoint, w ssh.Put) error {
		w.Content = []byte("new")
		_, err := p.Put(t.Context(), e, w)
		return err
	}
	for _, tc := range []struct {
		name  string
		err   error
		code  hostfuncs.Code
		phase hostfuncs.Phase
		words []string
	}{
		{"get: nothing there", get(shell, filepath.Join(dir, "none"), 10), hostfuncs.BadRequest, hostfuncs.Before, []string{"no such file"}},
		{"get: a folder", get(shell, folder, 10), hostfuncs.BadRequest, hostfuncs.Before, []string{"not a regular file"}},
		{"get: too long", get(shell, file, 4), hostfuncs.OutputLimit, hostfuncs.Before, []string{"more than 4 bytes"}},
		{"get: no scp", get(deaf, file, 10), hostfuncs.Protocol, hostfuncs.Before, []string{"no SFTP", "scp did not answer", "not for you", "install scp or enable SFTP"}},
		{"get: not scp", get(chatty, file, 10), hostfuncs.Protocol, hostfuncs.Before, []string{"no SFTP", "Welcome to your router"}},
		{"put: a folder", put(shell, ssh.Put{Path: folder}), hostfuncs.BadRequest, hostfuncs.After, []string{"it is a directory", "Nothing was changed"}},
		{"put: a link to a folder", put(shell, ssh.Put{Path: filepath.Join(dir, "link")}), hostfuncs.BadRequest, hostfuncs.After, []string{"it is a directory", "Nothing was changed"}},
		{"put: no folder", put(shell, ssh.Put{Path: filepath.Join(dir, "a", "b")}), hostfuncs.BadRequest, hostfuncs.After, []string{"no such file or folder", "Nothing was changed"}},
		{"put: an owner, no shell", put(box, ssh.Put{Path: file, UID: new(uint32(1))}), hostfuncs.BadRequest, hostfuncs.Before, []string{"scp cannot set an owner"}},
		{"put: no scp", put(deaf, ssh.Put{Path: file}), hostfuncs.Protocol, hostfuncs.Before, []string{"no SFTP"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			wantError(t, tc.err, tc.code, tc.phase, tc.words...)
		})
	}
	only(t, dir, "file", "folder", "link")
	only(t, folder)
	if b, err := os.ReadFile(file); err != nil || string(b) != "12345" {
		t.Errorf("the file is %q (%v), want it as it was", b, err)
	}
}

// A sender that lies about a file's length or never ends is left.
func TestSCPLies(t *testing.T) {
	t.Parallel()
	p := pool(t, ssh.Options{})
	for name, tc := range map[string]struct {
		script string
		code   hostfuncs.Code
	}{
		"shorter than it says": {`printf 'C0644 10 f\n12345'`, hostfuncs.Lost},
		"longer than it says":  {`printf 'C0644 3 f\n12345\0'; sleep 1`, hostfuncs.Protocol},
		"negative":             {`printf 'C0644 -3 f\n'; sleep 1`, hostfuncs.Protocol},
		"no name":              {`printf 'C0644 3\n'; sleep 1`, hostfuncs.Protocol},
		"a folder":             {`printf 'D0755 0 f\n'; sleep 1`, hostfuncs.Protocol},
		"endless header":       {`exec yes C0644 | tr -d '\n'`, hostfuncs.Protocol},
		"huge":                 {`printf 'C0644 99999999999 f\n'; sleep 1`, hostfuncs.OutputLimit},
		"refused at the end":   {`printf 'C0644 3 f\n123\001it changed\n'; sleep 1`, hostfuncs.Protocol},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := endpoint(forced(t, fmt.Sprintf(`case "$SSH_ORIGINAL_COMMAND" in "scp "*) %s ;; *) exit 1 ;; esac`, tc.script)))
			_, err := p.Get(t.Context(), e, "/f", 1<<20)
			wantError(t, err, tc.code, hostfuncs.Before)
		})
	}
}
