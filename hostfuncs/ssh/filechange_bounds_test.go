package ssh_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"opsconductor.dev/hostfuncs"
	"opsconductor.dev/hostfuncs/ssh"
	"opsconductor.dev/hostfuncs/ssh/sshtest"
)

// A folder has the mode that was asked for, whatever the umask of the server, and the
// folders above it the mode that the server gives.
func TestMkdirMode(t *testing.T) {
	t.Parallel()
	p, e := pool(t, ssh.Options{}), endpoint(server(t, sshtest.Config{Options: []string{"Subsystem sftp internal-sftp -u 0077"}}))
	for _, mode := range []uint32{0o777, 0o2775, 0o7, 0} {
		path := filepath.Join(t.TempDir(), "a", "b")
		if _, err := p.Mkdir(t.Context(), e, ssh.Mkdir{Path: path, Parents: true, Mode: &mode}); err != nil {
			t.Fatal(err)
		}
		got, err := p.Stat(t.Context(), e, path, false)
		above, aboveErr := os.Stat(filepath.Dir(path))
		if err != nil || aboveErr != nil || got.Mode != mode || above.Mode().Perm() != 0o700 {
			t.Errorf("mode %o: %+v (%v), above it %v (%v); want that mode, and 0700", mode, got, err, above, aboveErr)
		}
	}
	_, err := p.Mkdir(t.Context(), e, ssh.Mkdir{Path: "/x", Mode: new(uint32(0o10000)), Begin: never(t)})
	wantError(t, err, hostfuncs.BadRequest, hostfuncs.Before, "more than permission bits")
	_, _, err = p.Chmod(t.Context(), e, ssh.Chmod{Path: "/x", Mode: new(uint32(0o10000)), Begin: never(t)})
	wantError(t, err, hostfuncs.BadRequest, hostfuncs.Before, "permission bits")
}

// A folder of 10,000 entries is listed whole, of a bigger one as many, and one of more
// entries, or deeper, than may be removed is left as it is.
func TestFolderBounds(t *testing.T) {
	t.Parallel()
	p, e, dir := filesOn(t)
	wide, deep := filepath.Join(dir, "wide"), filepath.Join(dir, "deep")
	if err := errors.Join(os.Mkdir(wide, 0o700), os.MkdirAll(deep+strings.Repeat("/d", 66), 0o700)); err != nil {
		t.Fatal(err)
	}
	name := func(i int) string { return filepath.Join(wide, fmt.Sprintf("%05d%s", i, strings.Repeat("n", 250))) }
	for i := range 10_000 {
		if err := os.Mkdir(name(i), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := p.List(t.Context(), e, wide, 10_000); err != nil || len(got.Entries) != 10_000 || got.Truncated {
		t.Errorf("%d entries, truncated %t (%v), want 10000, whole", len(got.Entries), got.Truncated, err)
	}
	_, err := p.Remove(t.Context(), e, ssh.Remove{Path: wide, Recursive: true, Most: 10_000, Begin: never(t)}) // with itself
	wantError(t, err, hostfuncs.BadRequest, hostfuncs.Before, "more than 10000 entries")
	_, err = p.Remove(t.Context(), e, ssh.Remove{Path: wide, Recursive: true, Begin: never(t)})
	wantError(t, err, hostfuncs.BadRequest, hostfuncs.Before, "more than 1000 entries")
	if err := os.Mkdir(name(10_000), 0o700); err != nil {
		t.Fatal(err)
	}
	if got, err := p.List(t.Context(), e, wide, 10_000); err != nil || len(got.Entries) != 10_000 || !got.Truncated {
		t.Errorf("%d entries, truncated %t (%v), want 10000 of more", len(got.Entries), got.Truncated, err)
	}
	if n, err := p.Remove(t.Context(), e, ssh.Remove{Path: name(3), Recursive: true}); err != nil || n != 1 {
		t.Errorf("one of them: %d (%v), want 1", n, err)
	}
	_, err = p.Remove(t.Context(), e, ssh.Remove{Path: deep, Recursive: true, Begin: never(t)})
	wantError(t, err, hostfuncs.BadRequest, hostfuncs.Before, "more than 64 folders deep")
	if n, err := p.Remove(t.Context(), e, ssh.Remove{Path: filepath.Join(deep, "d", "d"), Recursive: true}); err != nil || n != 65 {
		t.Errorf("a folder, 64 folders deep: %d (%v), want 65", n, err)
	}
	for _, bad := range []ssh.Remove{{Path: wide, Most: -1}, {Path: wide, Most: 10_001}, {Path: "."}, {Path: "/"}, {Path: ".."}, {Path: dir + "/.."}, {Path: ""}, {Path: "a\x00b"}} {
		bad.Begin = never(t)
		_, err := p.Remove(t.Context(), e, bad)
		wantError(t, err, hostfuncs.BadRequest, hostfuncs.Before)
	}
	_, err = p.List(t.Context(), e, wide, 10_001)
	wantError(t, err, hostfuncs.BadRequest, hostfuncs.Before, "between 1 and 10000")
}

// A link in the place of a folder, or in it, is taken away, and what it leads to stays.
func TestRemoveLinks(t *testing.T) {
	t.Parallel()
	p, e, dir := filesOn(t)
	outside := t.TempDir()
	link, tree := filepath.Join(dir, "link"), filepath.Join(dir, "tree")
	err := errors.Join(
		os.WriteFile(filepath.Join(outside, "kept"), nil, 0o600), os.Mkdir(tree, 0o700),
		os.Symlink(outside, link), os.Symlink(outside, filepath.Join(tree, "link")), os.Symlink("none", filepath.Join(tree, "broken")),
	)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]int{link + "/": 1, tree: 3} {
		if n, err := p.Remove(t.Context(), e, ssh.Remove{Path: path, Recursive: true}); err != nil || n != want {
			t.Errorf("remove %s: %d (%v), want %d", path, n, err, want)
		}
	}
	only(t, dir)
	only(t, outside, "kept")
}

// Names that a server gives with a path, as of another folder, are of this one.
func TestListedNames(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	outside := filepath.Join(t.TempDir(), "passwd")
	if err := errors.Join(os.WriteFile(outside, nil, 0o600), os.WriteFile(filepath.Join(dir, "passwd"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	up, err := filepath.Rel(dir, outside)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{up, outside, strings.Repeat("n", 4000)} {
		p, e := naming(t, name)
		got, err := p.List(t.Context(), e, dir, 10)
		if err != nil || len(got.Entries) != 1 || got.Entries[0].Name != filepath.Base(name) {
			t.Errorf("%.50q: %+v (%v), want %.50q", name, got.Entries, err, filepath.Base(name))
		}
		_, err = p.Remove(t.Context(), e, ssh.Remove{Path: dir, Recursive: true})
		if len(name) < 256 && err != nil {
			t.Errorf("%q: %v", name, err)
		}
		only(t, filepath.Dir(outside), "passwd")
		if err := errors.Join(os.MkdirAll(dir, 0o700), os.WriteFile(filepath.Join(dir, "passwd"), nil, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"", "/", "x/.", "x/..", "a\x00b"} {
		p, e := naming(t, name)
		_, err := p.List(t.Context(), e, dir, 10)
		wantError(t, err, hostfuncs.Protocol, hostfuncs.Before, "cannot be in a folder")
		_, err = p.Remove(t.Context(), e, ssh.Remove{Path: dir, Recursive: true, Begin: never(t)})
		wantError(t, err, hostfuncs.Protocol, hostfuncs.Before, "cannot be in a folder")
	}
	for _, name := range []string{".", ".."} {
		p, e := naming(t, name)
		if got, err := p.List(t.Context(), e, dir, 10); err != nil || len(got.Entries) > 0 {
			t.Errorf("%q: %+v (%v), want nothing", name, got.Entries, err)
		}
	}
	only(t, dir, "passwd")
}

// naming is a server that names one entry of a folder, whatever is in it.
func naming(t *testing.T, name string) (*ssh.Pool, ssh.Endpoint) {
	t.Helper()
	told := false
	return lying(t, sshtest.SFTP{Answer: func(kind sshtest.SFTPKind, id uint32, _ []byte) []byte {
		if kind != sshtest.SFTPReaddir {
			return nil
		}
		if told = !told; told {
			return sshtest.Packet(sshtest.SFTPName, id, uint32(1), name, "long", attrs(1, 0o100644))
		}
		return sshtest.Packet(sshtest.SFTPStatus, id, uint32(1), "EOF", "")
	}})
}

// What is recorded before a change tells it from any other.
func TestChangeHashes(t *testing.T) {
	t.Parallel()
	p, e, dir := filesOn(t)
	over := errors.New("only its hash was wanted")
	seen := map[string]string{}
	check := func(what string, change func(ssh.Begin) error) {
		t.Helper()
		hash := ""
		err := change(func(_ context.Context, h string) error { hash = h; return over })
		if err == nil || len(hash) != 64 || seen[hash] != "" {
			t.Errorf("%s: hash %q (%v), the same as of %q; want one of its own", what, hash, err, seen[hash])
		}
		seen[hash] = what
	}
	path := filepath.Join(dir, "f")
	if err := errors.Join(os.WriteFile(path, nil, 0o600), os.WriteFile(path+"g", nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	one, two := new(uint32(1)), new(uint32(2))
	for i, m := range []ssh.Mkdir{{Path: path + "d"}, {Path: path + "e"}, {Path: path + "d", Parents: true}, {Path: path + "d", Mode: one}, {Path: path + "d", Mode: two}} {
		check(fmt.Sprint("mkdir ", i), func(b ssh.Begin) error { m.Begin = b; _, err := p.Mkdir(t.Context(), e, m); return err })
	}
	for i, r := range []ssh.Remove{{Path: path}, {Path: path + "g"}, {Path: path, Recursive: true}} {
		check(fmt.Sprint("remove ", i), func(b ssh.Begin) error { r.Begin = b; _, err := p.Remove(t.Context(), e, r); return err })
	}
	for i, c := range []ssh.Chmod{{Path: path, Mode: one}, {Path: path + "g", Mode: one}, {Path: path, Mode: two}, {Path: path, UID: one}, {Path: path, UID: two}, {Path: path, GID: one}, {Path: path, GID: two}} {
		check(fmt.Sprint("chmod ", i), func(b ssh.Begin) error { c.Begin = b; _, _, err := p.Chmod(t.Context(), e, c); return err })
	}
	for i, w := range []ssh.Put{{Path: path + "p"}, {Path: path + "q"}, {Path: path + "p", Content: []byte("x")}, {Path: path + "p", Content: []byte("y")}, {Path: path + "p", Mode: one}, {Path: path + "p", Mode: two}, {Path: path + "p", UID: one}, {Path: path + "p", GID: one}, {Path: path + "p", UID: one, GID: one}} {
		check(fmt.Sprint("put ", i), func(b ssh.Begin) error { w.Begin = b; _, err := p.Put(t.Context(), e, w); return err })
	}
	only(t, dir, "f", "fg")
}
