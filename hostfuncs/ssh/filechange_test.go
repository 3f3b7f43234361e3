package ssh_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"opsconductor.dev/hostfuncs"
	"opsconductor.dev/hostfuncs/ssh"
	"opsconductor.dev/hostfuncs/ssh/sshtest"
)

// never fails the test when something is begun.
func never(t *testing.T) ssh.Begin {
	t.Helper()
	return func(context.Context, string) error { t.Error("something was begun"); return nil }
}

func TestMkdir(t *testing.T) {
	t.Parallel()
	p, e, dir := filesOn(t)
	path := filepath.Join(dir, "a", "b c", "d")
	_, err := p.Mkdir(t.Context(), e, ssh.Mkdir{Path: path, Begin: never(t)})
	wantError(t, err, hostfuncs.BadRequest, hostfuncs.Before, "ask for parents")
	if changed, err := p.Mkdir(t.Context(), e, ssh.Mkdir{Path: path, Parents: true, Mode: new(uint32(0o1750))}); err != nil || !changed {
		t.Errorf("changed %t, %v", changed, err)
	}
	for name, want := range map[string]os.FileMode{path: os.ModeDir | os.ModeSticky | 0o750, filepath.Dir(path): os.ModeDir | 0o755} {
		if info, err := os.Stat(name); err != nil || info.Mode() != want {
			t.Errorf("%s: %v %v, want %v", name, info, err, want)
		}
	}
	if changed, err := p.Mkdir(t.Context(), e, ssh.Mkdir{Path: path + "/", Mode: new(uint32(0o700)), Begin: never(t)}); err != nil || changed {
		t.Errorf("one that is there: changed %t, %v", changed, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "f"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = p.Mkdir(t.Context(), e, ssh.Mkdir{Path: dir + "/f", Begin: never(t)})
	wantError(t, err, hostfuncs.BadRequest, hostfuncs.Before, "is no folder")
	_, err = p.Mkdir(t.Context(), e, ssh.Mkdir{Path: "/proc/opsconductor-test"})
	wantError(t, err, hostfuncs.BadRequest, hostfuncs.After, "no such file")
}

func TestRemove(t *testing.T) {
	t.Parallel()
	p, e, dir := filesOn(t)
	outside := filepath.Join(t.TempDir(), "kept")
	tree := filepath.Join(dir, "tree")
	err := errors.Join(
		os.WriteFile(outside, nil, 0o600), os.MkdirAll(filepath.Join(tree, "x", "y"), 0o700),
		os.WriteFile(filepath.Join(tree, "x", "y", "-f\xff"), nil, 0o600), os.Symlink(filepath.Dir(outside), filepath.Join(tree, "x", "link")),
		os.Symlink(outside, filepath.Join(dir, "link")), os.WriteFile(filepath.Join(dir, "f"), nil, 0o600), os.Mkdir(filepath.Join(dir, "empty"), 0o700),
	)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []ssh.Remove{{Path: tree}, {Path: tree, Recursive: true, Most: 4}} {
		r.Begin = never(t)
		_, err := p.Remove(t.Context(), e, r)
		wantError(t, err, hostfuncs.BadRequest, hostfuncs.Before, "folder")
	}
	for _, tc := range []struct {
		r    ssh.Remove
		want int
	}{
		{ssh.Remove{Path: filepath.Join(dir, "f")}, 1},
		{ssh.Remove{Path: filepath.Join(dir, "link")}, 1},
		{ssh.Remove{Path: filepath.Join(dir, "empty")}, 1},
		{ssh.Remove{Path: tree, Recursive: true, Most: 5}, 5},
		{ssh.Remove{Path: tree, Recursive: true, Begin: never(t)}, 0},
	} {
		if n, err := p.Remove(t.Context(), e, tc.r); err != nil || n != tc.want {
			t.Errorf("remove %s: %d %v, want %d", tc.r.Path, n, err, tc.want)
		}
	}
	only(t, dir)
	only(t, filepath.Dir(outside), "kept")
}

func TestChmod(t *testing.T) {
	t.Parallel()
	p, e, dir := filesOn(t)
	path := filepath.Join(dir, "f")
	if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Symlink("f", path+"l")); err != nil {
		t.Fatal(err)
	}
	now, changed, err := p.Chmod(t.Context(), e, ssh.Chmod{Path: path, Mode: new(uint32(0o2751)), GID: new(uint32(os.Getgid()))}) //nolint:gosec // a group's number
	if err != nil || !changed || now.Mode != 0o2751 {
		t.Errorf("%+v changed %t %v, want mode 2751", now, changed, err)
	}
	if info, _ := os.Stat(path); info.Mode() != os.ModeSetgid|0o751 {
		t.Errorf("mode is %v", info.Mode())
	}
	if now, changed, err := p.Chmod(t.Context(), e, ssh.Chmod{Path: path, Mode: new(uint32(0o2751)), Begin: never(t)}); err != nil || changed || now.Mode != 0o2751 {
		t.Errorf("again: %+v changed %t %v", now, changed, err)
	}
	for name, words := range map[string]string{path + "l": "symbolic link", path + "x": "no such file"} {
		_, _, err := p.Chmod(t.Context(), e, ssh.Chmod{Path: name, Mode: new(uint32(0o600)), Begin: never(t)})
		wantError(t, err, hostfuncs.BadRequest, hostfuncs.Before, words)
	}
}

// A change that the server does not answer may have happened.
func TestChangeStalls(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "f"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	p, e := hostile(t, sshtest.SFTP{Stall: []sshtest.SFTPKind{sshtest.SFTPMkdir, sshtest.SFTPRemove, sshtest.SFTPSetstat}})
	start := time.Now()
	_, err := p.Mkdir(t.Context(), e, ssh.Mkdir{Path: filepath.Join(dir, "d")})
	wantError(t, err, hostfuncs.Timeout, hostfuncs.After, "gave no answer")
	_, err = p.Remove(t.Context(), e, ssh.Remove{Path: filepath.Join(dir, "f")})
	wantError(t, err, hostfuncs.Timeout, hostfuncs.After, "0 entries were removed before")
	_, _, err = p.Chmod(t.Context(), e, ssh.Chmod{Path: filepath.Join(dir, "f"), Mode: new(uint32(0o644))})
	wantError(t, err, hostfuncs.Timeout, hostfuncs.After, "gave no answer")
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("it took %s", took)
	}
}

// A server that names .. in a folder that is to be removed does not lead out of it.
func TestRemoveTraversal(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p, e := hostile(t, sshtest.SFTP{Answer: func(kind sshtest.SFTPKind, id uint32, _ []byte) []byte {
		if kind == sshtest.SFTPReaddir {
			return sshtest.Packet(sshtest.SFTPName, id, uint32(1), "x/..", strings.Repeat("l", 10), attrs(1, 0o040755))
		}
		return nil
	}})
	_, err := p.Remove(t.Context(), e, ssh.Remove{Path: dir, Recursive: true, Begin: never(t)})
	if err == nil {
		t.Error("a name that leads up was taken")
	}
	only(t, dir)
}
