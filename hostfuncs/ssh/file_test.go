package ssh_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"opsconductor.dev/hostfuncs"
	"opsconductor.dev/hostfuncs/ssh"
	"opsconductor.dev/hostfuncs/ssh/sshtest"
)

const sftpOn = "Subsystem sftp internal-sftp -u 0022"

// filesOn returns a pool, the endpoint of a real sshd with SFTP, and a folder.
func filesOn(t *testing.T) (*ssh.Pool, ssh.Endpoint, string) {
	t.Helper()
	return pool(t, ssh.Options{}), endpoint(server(t, sshtest.Config{Options: []string{sftpOn}})), t.TempDir()
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

// onDisk checks a file's content and mode, and that nothing else is in its folder.
func onDisk(t *testing.T, path string, content []byte, mode os.FileMode) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(b, content) {
		t.Errorf("%s has %d bytes (%v), want %d", path, len(b), err, len(content))
	}
	if info, err := os.Lstat(path); err != nil || info.Mode() != mode {
		t.Errorf("%s: mode %v (%v), want %v", path, info.Mode(), err, mode)
	}
	only(t, filepath.Dir(path), filepath.Base(path))
}

// only checks which names a folder has.
func only(t *testing.T, dir string, names ...string) {
	t.Helper()
	found, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range found {
		got = append(got, f.Name())
	}
	if fmt.Sprint(got) != fmt.Sprint(names) {
		t.Errorf("%s has %q, want %q", dir, got, names)
	}
}

func TestPut(t *testing.T) {
	t.Parallel()
	p, e, dir := filesOn(t)
	big := bytes.Repeat([]byte("0123456789abcde\n"), 3<<20/16+1)
	for i, tc := range []struct {
		content []byte
		mode    *uint32
		want    os.FileMode
	}{
		{[]byte("hello\n"), nil, 0o644},
		{nil, new(uint32(0o600)), 0o600},
		{[]byte("\xff\x00é"), new(uint32(0o755)), 0o755},
		{big, new(uint32(0o4750)), 0o750 | os.ModeSetuid},
	} {
		path := filepath.Join(dir, fmt.Sprint(i), "it's a \"file\"\n")
		if err := os.Mkdir(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		begun := 0
		w := ssh.Put{Path: path, Content: tc.content, Mode: tc.mode, Begin: func(context.Context, string) error { begun++; return nil }}
		for again, changed := range []bool{true, false} {
			got, err := p.Put(t.Context(), e, w)
			want := ssh.Written{Size: int64(len(tc.content)), SHA256: sum(tc.content), Mode: got.Mode, Changed: changed, Atomic: true}
			want.UID, want.GID = new(uint32(os.Getuid())), new(uint32(os.Getgid())) //nolint:gosec // of this machine
			if d := cmp.Diff(want, got); err != nil || d != "" {
				t.Fatalf("put %d, time %d: %v (-want +got):\n%s", i, again, err, d)
			}
			onDisk(t, path, tc.content, tc.want)
		}
		if begun != 1 {
			t.Errorf("%d intents, want 1: what is there already needs none", begun)
		}
	}
}

// A file is replaced with its mode kept, a link is replaced and not followed, and
// only a wrong mode is set right without sending the content.
func TestPutReplaces(t *testing.T) {
	t.Parallel()
	p, e, dir := filesOn(t)
	path, other := filepath.Join(dir, "conf"), filepath.Join(t.TempDir(), "other")
	if err := errors.Join(os.WriteFile(path, []byte("old"), 0o640), os.Chmod(path, 0o640), os.WriteFile(other, []byte("keep"), 0o600)); err != nil {
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
	if got := put(ssh.Put{Content: []byte("new")}); !got.Changed || got.Mode != 0o640 {
		t.Errorf("%+v, want changed with mode 640", got)
	}
	onDisk(t, path, []byte("new"), 0o640)
	before, _ := os.Stat(path)
	if got := put(ssh.Put{Content: []byte("new"), Mode: new(uint32(0o600))}); !got.Changed {
		t.Errorf("%+v, want changed", got)
	}
	onDisk(t, path, []byte("new"), 0o600)
	if after, _ := os.Stat(path); !os.SameFile(before, after) {
		t.Error("the content was sent again for a mode")
	}
	if err := errors.Join(os.Remove(path), os.Symlink(other, path)); err != nil {
		t.Fatal(err)
	}
	put(ssh.Put{Content: []byte("keep")})
	onDisk(t, path, []byte("keep"), 0o644)
	onDisk(t, other, []byte("keep"), 0o600)
}

// What cannot be written says why, before anything is begun where that can be known.
func TestPutErrors(t *testing.T) {
	t.Parallel()
	p, e, dir := filesOn(t)
	pipe := filepath.Join(t.TempDir(), "pipe") // not one of the machine's devices: root would replace it
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, tc := range map[string]struct {
		code  hostfuncs.Code
		words string
	}{
		"":                                    {hostfuncs.BadRequest, "path is empty"},
		dir + "/":                             {hostfuncs.BadRequest, "names a folder"},
		dir + "/.":                            {hostfuncs.BadRequest, "names a folder"},
		dir + "/..":                           {hostfuncs.BadRequest, "names a folder"},
		dir + "/a\x00b":                       {hostfuncs.BadRequest, "NUL"},
		dir + strings.Repeat("/x", 2048):      {hostfuncs.BadRequest, "4096 is the most"},
		dir:                                   {hostfuncs.BadRequest, "is no file"},
		pipe:                                  {hostfuncs.BadRequest, "is no file"},
		dir + "/no/such":                      {hostfuncs.BadRequest, "folder does not exist"},
		dir + "/" + strings.Repeat("n", 1000): {hostfuncs.Protocol, "SFTP status 5"},
	} {
		_, err := p.Put(t.Context(), e, ssh.Put{Path: path, Content: []byte("x"), Begin: func(context.Context, string) error { t.Error("an intent"); return nil }})
		wantError(t, err, tc.code, hostfuncs.Before, tc.words)
	}
	_, err := p.Put(t.Context(), e, ssh.Put{Path: "/proc/opsconductor-test", Content: []byte("x")})
	var he *hostfuncs.Error
	if !errors.As(err, &he) || he.Phase != hostfuncs.After || !he.Stopped || !strings.Contains(he.Message, "Nothing was changed") {
		t.Errorf("a folder that takes no files: %+v, want after, stopped", he)
	}
	_, err = p.Put(t.Context(), e, ssh.Put{Path: dir + "/f", Content: []byte("x"), Begin: func(context.Context, string) error { return errors.New("no lease") }})
	wantError(t, err, hostfuncs.Protocol, hostfuncs.Before, "no lease")
	only(t, dir)
}

// Cancelled in the middle of a write, the call removes what it had begun.
func TestPutCancelled(t *testing.T) {
	t.Parallel()
	p, e, dir := filesOn(t)
	path := filepath.Join(dir, "f")
	ctx, cancel := context.WithCancelCause(t.Context())
	var watch sync.WaitGroup
	defer watch.Wait()
	watch.Go(func() {
		eventually(t, "the new file is begun", func() bool { names, _ := os.ReadDir(dir); return len(names) > 0 })
		cancel(errors.New("the run was cancelled"))
	})
	_, err := p.Put(ctx, e, ssh.Put{Path: path, Content: bytes.Repeat([]byte("x"), 200<<20)})
	var he *hostfuncs.Error
	if !errors.As(err, &he) || he.Code != hostfuncs.Cancelled || he.Phase != hostfuncs.After || !he.Stopped || !strings.Contains(he.Message, "the run was cancelled") {
		t.Errorf("%+v, want cancelled, after, stopped, with the cause", he)
	}
	only(t, dir)
}

// A call that ends while its intent is recorded changes nothing, and says so.
func TestPutCancelledBefore(t *testing.T) {
	t.Parallel()
	p, e, dir := filesOn(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	over := make(chan struct{})
	_, err := p.Put(ctx, e, ssh.Put{Path: filepath.Join(dir, "f"), Content: []byte("x"), Begin: func(context.Context, string) error {
		cancel(errors.New("the run was cancelled"))
		<-over
		return nil
	}})
	close(over)
	wantError(t, err, hostfuncs.Cancelled, hostfuncs.Before, "the run was cancelled")
	if err := p.Close(); err != nil { // waits for what was left behind
		t.Error(err)
	}
	only(t, dir)
}

func TestGet(t *testing.T) {
	t.Parallel()
	p, e, dir := filesOn(t)
	big := bytes.Repeat([]byte("0123456789abcdef"), 5<<20/32+7)
	path := filepath.Join(dir, "f")
	if err := errors.Join(os.WriteFile(path, big, 0o640), os.Symlink("f", path+"link"), os.WriteFile(path+"0", nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{path, path + "link"} {
		got, err := p.Get(t.Context(), e, name, len(big))
		if err != nil || !bytes.Equal(got.Content, big) || got.SHA256 != sum(big) || got.Mode != 0o640 {
			t.Errorf("get %s: %d bytes, mode %o, %v", name, len(got.Content), got.Mode, err)
		}
	}
	if got, err := p.Get(t.Context(), e, path+"0", 0); err != nil || len(got.Content) != 0 || got.SHA256 != sum(nil) {
		t.Errorf("an empty file: %+v %v", got, err)
	}
	want, _ := os.ReadFile("/proc/version")
	if got, err := p.Get(t.Context(), e, "/proc/version", 1<<16); err != nil || !bytes.Equal(got.Content, want) || got.Size != 0 {
		t.Errorf("a file of /proc, which says it has 0 bytes: %q %v, want %q", got.Content, err, want)
	}
	if got, err := p.Get(t.Context(), e, "/proc/version", len(want)); err != nil || !bytes.Equal(got.Content, want) {
		t.Errorf("at most as much as there is: %q %v, want %q", got.Content, err, want)
	}
	if err := syscall.Mkfifo(path+"pipe", 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		limit int
		code  hostfuncs.Code
		words string
	}{
		path:               {len(big) - 1, hostfuncs.OutputLimit, "more than"},
		"/proc/version":    {len(want) - 1, hostfuncs.OutputLimit, fmt.Sprintf("more than %d bytes", len(want)-1)},
		dir:                {10, hostfuncs.BadRequest, "is a folder"},
		path + "pipe":      {10, hostfuncs.BadRequest, "is a device, socket or pipe"},
		dir + "/none":      {10, hostfuncs.BadRequest, "no such file"},
		"":                 {10, hostfuncs.BadRequest, "empty"},
		"/proc/self/mem":   {10, hostfuncs.Protocol, "SFTP status 4"},
		path + "link/more": {10, hostfuncs.BadRequest, "no such file"},
	} {
		_, err := p.Get(t.Context(), e, name, tc.limit)
		wantError(t, err, tc.code, hostfuncs.Before, tc.words)
	}
}

func TestStat(t *testing.T) {
	t.Parallel()
	p, e, dir := filesOn(t)
	path := filepath.Join(dir, "f")
	at := time.Unix(1_700_000_000, 0).UTC()
	if err := errors.Join(os.WriteFile(path, []byte("12345"), 0o600), os.Chmod(path, 0o4711|os.ModeSetuid), os.Chtimes(path, at, at), os.Symlink("f\xff", path+"l"), os.Symlink("f", path+"m"), syscall.Mkfifo(path+"pipe", 0o600)); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name   string
		follow bool
		want   string
	}{
		{path, false, "file 5 "},
		{path + "m", true, "file 5 "},
		{path + "m", false, "link 1 f"},
		{path + "l", false, "link 2 f\xff"},
		{dir, false, "folder "},
		{path + "pipe", false, "other 0 "},
	} {
		got, err := p.Stat(t.Context(), e, tc.name, tc.follow)
		if err != nil || got == nil || !strings.HasPrefix(fmt.Sprintf("%s %d %s", got.Type, got.Size, got.Link), tc.want) {
			t.Errorf("stat %q: %+v %v, want %q", tc.name, got, err, tc.want)
		}
	}
	got, err := p.Stat(t.Context(), e, path, false)
	if err != nil || got.Mode != 0o4711 || !got.Modified.Equal(at) || int(got.UID) != os.Getuid() || int(got.GID) != os.Getgid() {
		t.Errorf("%+v %v, want mode 4711, %s, and the test's own user and group", got, err, at)
	}
	for _, none := range []string{path + "x", path + "l"} {
		if got, err := p.Stat(t.Context(), e, none, true); err != nil || got != nil {
			t.Errorf("nothing at %q: %+v %v", none, got, err)
		}
	}
}

func TestList(t *testing.T) {
	t.Parallel()
	p, e, dir := filesOn(t)
	names := []string{"-rf", ".hidden", "a b", "line\nbreak", "z\xff"}
	for _, n := range names {
		if err := os.WriteFile(filepath.Join(dir, n), []byte(n), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/etc", filepath.Join(dir, "z\xff\xff")); err != nil {
		t.Fatal(err)
	}
	got, err := p.List(t.Context(), e, dir, 6)
	if err != nil || got.Truncated || len(got.Entries) != 6 || got.Entries[5].Type != ssh.FileLink {
		t.Fatalf("%+v %v, want 6 entries, the last a link", got, err)
	}
	for i, n := range names {
		if f := got.Entries[i]; f.Name != n || f.Type != ssh.FileRegular || f.Size != int64(len(n)) {
			t.Errorf("entry %d is %+v, want %q", i, f, n)
		}
	}
	if got, err := p.List(t.Context(), e, dir, 5); err != nil || !got.Truncated || len(got.Entries) != 5 {
		t.Errorf("%+v %v, want 5 entries, truncated", got, err)
	}
	for name, words := range map[string]string{filepath.Join(dir, "a b"): "is no folder", dir + "/none": "no such file"} {
		_, err := p.List(t.Context(), e, name, 5)
		wantError(t, err, hostfuncs.BadRequest, hostfuncs.Before, words)
	}
	_, err = p.List(t.Context(), e, dir, 0)
	wantError(t, err, hostfuncs.BadRequest, hostfuncs.Before, "limit")
}

func TestNoSFTP(t *testing.T) {
	t.Parallel()
	p := pool(t, ssh.Options{})
	e := endpoint(server(t, sshtest.Config{}))
	_, err := p.Stat(t.Context(), e, "/", false)
	wantError(t, err, hostfuncs.Protocol, hostfuncs.Before, "has no SFTP")
	e = endpoint(server(t, sshtest.Config{Options: []string{"Subsystem sftp /bin/echo something else"}}))
	_, err = p.Stat(t.Context(), e, "/", false)
	wantError(t, err, hostfuncs.Protocol, hostfuncs.Before, "did not speak it")
}
