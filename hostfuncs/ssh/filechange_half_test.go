package ssh_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"opsconductor.dev/hostfuncs"
	"opsconductor.dev/hostfuncs/ssh"
	"opsconductor.dev/hostfuncs/ssh/sshtest"
)

// answering is a server on which one kind of request is answered with a status where
// answer says so, and as usual where it does not.
func answering(t *testing.T, kind sshtest.SFTPKind, answer func(body []byte) (status uint32, ok bool)) (*ssh.Pool, ssh.Endpoint) {
	t.Helper()
	return lying(t, sshtest.SFTP{Answer: func(asked sshtest.SFTPKind, id uint32, body []byte) []byte {
		if asked == kind {
			if status, ok := answer(body); ok {
				return sshtest.Packet(sshtest.SFTPStatus, id, status, "no", "")
			}
		}
		return nil
	}})
}

// A removal that is refused or cancelled half way says how far it came, and stops there;
// what somebody else has removed in the meantime is removed.
func TestRemoveHalf(t *testing.T) {
	t.Parallel()
	tree := func() string {
		dir := filepath.Join(t.TempDir(), "tree")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"a", "b", "c"} {
			if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return dir
	}
	dir := tree()
	p, e := lying(t, sshtest.SFTP{Answer: func(kind sshtest.SFTPKind, id uint32, body []byte) []byte {
		if (kind == sshtest.SFTPRemove || kind == sshtest.SFTPRmdir) && bytes.HasSuffix(body, []byte("/a")) {
			return sshtest.Packet(sshtest.SFTPStatus, id, uint32(3), "no", "")
		}
		return nil
	}})
	_, err := p.Remove(t.Context(), e, ssh.Remove{Path: dir, Recursive: true})
	wantError(t, err, hostfuncs.Denied, hostfuncs.After, "2 entries were removed before")
	only(t, dir, "a")

	dir = tree()
	ctx, cancel := context.WithCancelCause(t.Context())
	p, e = answering(t, sshtest.SFTPRemove, func([]byte) (uint32, bool) { cancel(errOperator); return 0, false })
	_, err = p.Remove(ctx, e, ssh.Remove{Path: dir, Recursive: true})
	wantError(t, err, hostfuncs.Cancelled, hostfuncs.After, "1 entries were removed before")
	only(t, dir, "a", "b")

	dir = tree()
	p, e = answering(t, sshtest.SFTPRemove, func(body []byte) (uint32, bool) {
		return 2, bytes.HasSuffix(body, []byte("/b")) && os.Remove(filepath.Join(dir, "b")) == nil
	})
	if n, err := p.Remove(t.Context(), e, ssh.Remove{Path: dir, Recursive: true}); err != nil || n != 4 {
		t.Errorf("somebody else has removed one: %d (%v), want 4", n, err)
	}
	dir = tree()
	p, e = lying(t, sshtest.SFTP{Answer: func(kind sshtest.SFTPKind, id uint32, _ []byte) []byte {
		if kind == sshtest.SFTPReaddir { // empty answers without end
			return sshtest.Packet(sshtest.SFTPName, id, uint32(0))
		}
		return nil
	}})
	_, err = p.Remove(t.Context(), e, ssh.Remove{Path: dir, Recursive: true, Most: 10, Begin: never(t)})
	wantError(t, err, hostfuncs.BadRequest, hostfuncs.Before, "more than 10 entries")
	only(t, dir, "a", "b", "c")
}

// A folder that somebody else makes in the meantime is there; a file is not one. A call
// that is cancelled half way makes no more.
func TestMkdirHalf(t *testing.T) {
	t.Parallel()
	for name, made := range map[string]func(path string) error{
		"a folder": func(path string) error { return os.Mkdir(path, 0o700) },
		"a file":   func(path string) error { return os.WriteFile(path, nil, 0o600) },
	} {
		path := filepath.Join(t.TempDir(), "d")
		p, e := answering(t, sshtest.SFTPMkdir, func([]byte) (uint32, bool) { return 4, made(path) == nil })
		_, err := p.Mkdir(t.Context(), e, ssh.Mkdir{Path: path})
		if name == "a folder" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		wantError(t, err, hostfuncs.Protocol, hostfuncs.After, "SFTP status 4")
	}
	dir := t.TempDir()
	ctx, cancel := context.WithCancelCause(t.Context())
	p, e := answering(t, sshtest.SFTPMkdir, func([]byte) (uint32, bool) { cancel(errOperator); return 0, false })
	_, err := p.Mkdir(ctx, e, ssh.Mkdir{Path: filepath.Join(dir, "a", "b"), Parents: true})
	wantError(t, err, hostfuncs.Cancelled, hostfuncs.After)
	only(t, dir, "a")
	only(t, filepath.Join(dir, "a"))
}

// What became of a change is asked of the server, and a file that is gone by then is said.
func TestChmodHalf(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var once sync.Once
	p, e := answering(t, sshtest.SFTPSetstat, func([]byte) (uint32, bool) {
		var err error
		once.Do(func() { err = os.Remove(path) })
		return 0, err == nil
	})
	_, _, err := p.Chmod(t.Context(), e, ssh.Chmod{Path: path, Mode: new(uint32(0o644))})
	wantError(t, err, hostfuncs.BadRequest, hostfuncs.After, "no such file")
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}
