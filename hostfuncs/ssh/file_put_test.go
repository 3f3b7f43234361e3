package ssh_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"opsconductor.dev/hostfuncs"
	"opsconductor.dev/hostfuncs/ssh"
	"opsconductor.dev/hostfuncs/ssh/sshtest"
)

// refusing is a Plain server that answers Failure to the renames and removals that no
// is true of, by the request's body.
func refusing(t *testing.T, no func(kind sshtest.SFTPKind, body string) bool) (*ssh.Pool, ssh.Endpoint) {
	t.Helper()
	return lying(t, sshtest.SFTP{Plain: true, Answer: func(kind sshtest.SFTPKind, id uint32, body []byte) []byte {
		if slices.Contains([]sshtest.SFTPKind{sshtest.SFTPRename, sshtest.SFTPRemove, sshtest.SFTPRmdir}, kind) && no(kind, string(body)) {
			return sshtest.Packet(sshtest.SFTPStatus, id, uint32(4), "Failure", "")
		}
		return nil
	}})
}

// Where a server cannot rename over a file and fails half way, it is said which file is
// where, and it is there.
func TestPutHalfWay(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		no    func(kind sshtest.SFTPKind, body string) bool
		words string
		files map[string]string // what stands where, then: the path, or a name of the message
	}{
		"neither the new nor the old to its place": {
			func(kind sshtest.SFTPKind, body string) bool {
				return kind == sshtest.SFTPRename && strings.HasSuffix(body, "/f")
			},
			`the old one is (\S+) beside it, the new one (\S+):`,
			map[string]string{"$1": "old", "$2": "new"},
		},
		"the old one stays aside": {
			func(kind sshtest.SFTPKind, _ string) bool { return kind != sshtest.SFTPRename },
			`The new file is in its place; the old one is (\S+) beside it`,
			map[string]string{"f": "new", "$1": "old"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			path := filepath.Join(dir, "f")
			if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
				t.Fatal(err)
			}
			p, e := refusing(t, tc.no)
			_, err := p.Put(t.Context(), e, ssh.Put{Path: path, Content: []byte("new")})
			var he *hostfuncs.Error
			if !errors.As(err, &he) || he.Phase != hostfuncs.After || he.Stopped || !regexp.MustCompile(tc.words).MatchString(he.Message) {
				t.Fatalf("%+v, want after, not stopped, with %q", he, tc.words)
			}
			found := regexp.MustCompile(tc.words).FindStringSubmatch(he.Message)
			for at, want := range tc.files {
				at = strings.NewReplacer("$1", found[1], "$2", found[len(found)-1]).Replace(at)
				if b, err := os.ReadFile(filepath.Join(dir, at)); err != nil || string(b) != want {
					t.Errorf("%s has %q (%v), want %q", at, b, err, want)
				}
			}
		})
	}
}

// A file that was given away has its new owner, and its bits of mode that a change of
// owner takes away.
func TestPutOwner(t *testing.T) {
	t.Parallel()
	needs(t, "chown")
	p, e, dir := filesOn(t)
	path := filepath.Join(dir, "f")
	for i, w := range []ssh.Put{
		{Content: []byte("1"), Mode: new(uint32(0o6755)), UID: new(uint32(1)), GID: new(uint32(2))},
		{Content: []byte("2")},
		{Content: []byte("2"), UID: new(uint32(3))},
		{Content: []byte("3"), GID: new(uint32(4))},
	} {
		w.Path = path
		got, err := p.Put(t.Context(), e, w)
		uid, gid, _ := ownerOf(t, path)
		info, statErr := os.Stat(path)
		want := [][2]uint32{{1, 2}, {1, 2}, {3, 2}, {3, 4}}[i]
		if err != nil || statErr != nil || [2]uint32{uid, gid} != want || [2]uint32{*got.UID, *got.GID} != want || info.Mode() != 0o755|os.ModeSetuid|os.ModeSetgid {
			t.Errorf("put %d: said %d:%d, on disk %d:%d %v (%v), want %v, with mode 6755", i, *got.UID, *got.GID, uid, gid, info.Mode(), err, want)
		}
	}
}

// A file that may not be read is another than the one to write; and so is a link, though
// it be as long as the content, and one whose type the server does not say keeps its mode.
func TestPutOver(t *testing.T) {
	t.Parallel()
	for name, status := range map[string]uint32{"may not be read": 3, "gone when it is opened": 2} {
		dir := t.TempDir()
		path := filepath.Join(dir, "f")
		if err := errors.Join(os.WriteFile(path, []byte("old"), 0o600), os.Chmod(path, 0o640)); err != nil { //nolint:gosec // the mode to keep
			t.Fatal(err)
		}
		p, e := lying(t, sshtest.SFTP{Answer: func(kind sshtest.SFTPKind, id uint32, body []byte) []byte {
			if kind == sshtest.SFTPOpen && bytes.Contains(body, []byte(path)) {
				return sshtest.Packet(sshtest.SFTPStatus, id, status, "no", "")
			}
			return nil
		}})
		got, err := p.Put(t.Context(), e, ssh.Put{Path: path, Content: []byte("new")})
		if err != nil || !got.Changed {
			t.Errorf("%s: %+v (%v), want changed", name, got, err)
		}
		onDisk(t, path, []byte("new"), 0o640)
	}
	p, e, dir := filesOn(t)
	path, other := filepath.Join(dir, "link"), filepath.Join(dir, "keep")
	if err := errors.Join(os.WriteFile(other, []byte("keep"), 0o600), os.Symlink("keep", path)); err != nil {
		t.Fatal(err)
	}
	if got, err := p.Put(t.Context(), e, ssh.Put{Path: path, Content: []byte("keep")}); err != nil || !got.Changed {
		t.Errorf("over a link to the same content: %+v (%v), want changed", got, err)
	}
	if info, err := os.Lstat(path); err != nil || info.Mode() != 0o644 {
		t.Errorf("at its place is %v (%v), want a file of mode 0644", info.Mode(), err)
	}
	p, e = lying(t, sshtest.SFTP{Answer: func(kind sshtest.SFTPKind, id uint32, body []byte) []byte {
		if kind == sshtest.SFTPLstat && bytes.HasSuffix(body, []byte("/keep")) {
			return sshtest.Packet(sshtest.SFTPAttrs, id, attrs(4, 0o600)) // no type
		}
		return nil
	}})
	if got, err := p.Put(t.Context(), e, ssh.Put{Path: other, Content: []byte("new")}); err != nil || got.Mode != 0o600 {
		t.Errorf("over a file of no known type: %+v (%v), want mode 0600", got, err)
	}
}

// New content goes to a file of a name that nobody can guess, beside its place; the
// longest name that the place can have is as good as any.
func TestPutTemporary(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var opened []string
	p, e := lying(t, sshtest.SFTP{Answer: func(kind sshtest.SFTPKind, _ uint32, body []byte) []byte {
		if kind == sshtest.SFTPOpen {
			opened = append(opened, regexp.MustCompile(`/[^\x00]+`).FindString(string(body)))
		}
		return nil
	}})
	path := filepath.Join(dir, strings.Repeat("n", 255))
	for _, content := range []string{"first", "second one"} {
		if _, err := p.Put(t.Context(), e, ssh.Put{Path: path, Content: []byte(content)}); err != nil {
			t.Fatal(err)
		}
	}
	onDisk(t, path, []byte("second one"), 0o644)
	name := regexp.MustCompile(`^` + regexp.QuoteMeta(dir) + `/\.opsconductor-[0-9a-f]{32}$`)
	if len(opened) != 2 || !name.MatchString(opened[0]) || !name.MatchString(opened[1]) || opened[0] == opened[1] {
		t.Errorf("opened %q, want two files of 128 bits of chance", opened)
	}
	_, err := p.Put(t.Context(), e, ssh.Put{Path: path + "n", Content: []byte("x"), Begin: never(t)})
	wantError(t, err, hostfuncs.Protocol, hostfuncs.Before)
	only(t, dir, filepath.Base(path))
}

// A server that answers what is written with far more than an answer is cut off.
func TestPutFlooded(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p, e := lying(t, sshtest.SFTP{Answer: func(kind sshtest.SFTPKind, id uint32, _ []byte) []byte {
		if kind == sshtest.SFTPWrite {
			return sshtest.Packet(sshtest.SFTPStatus, id, uint32(0), strings.Repeat("x", 200_000), "")
		}
		return nil
	}})
	_, err := p.Put(t.Context(), e, ssh.Put{Path: filepath.Join(dir, "f"), Content: content(512 << 10)})
	wantError(t, err, hostfuncs.Protocol, hostfuncs.After, "far more than was asked for", "may still be there")
}

// A call that ends while what was written is read back does not read on.
func TestPutCancelledReading(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	var reads atomic.Int64
	var first sync.Once
	f := fake(t, sshtest.FakeConfig{Refuse: sshtest.Exec, SFTP: &sshtest.SFTP{Answer: func(kind sshtest.SFTPKind, _ uint32, _ []byte) []byte {
		if kind == sshtest.SFTPRead {
			reads.Add(1)
			first.Do(func() { cancel(errOperator) })
		}
		return nil
	}}})
	_, err := pool(t, ssh.Options{}).Put(ctx, fakeEndpoint(f), ssh.Put{Path: filepath.Join(dir, "f"), Content: content(16 << 20)})
	wantError(t, err, hostfuncs.Cancelled, hostfuncs.After, "Nothing was changed")
	if n := reads.Load(); n > 256 {
		t.Errorf("%d parts of 512 were read after the end of the call", n)
	}
	only(t, dir)
}

// Whoever comes first decides: a call that has ended does not act any more, and one that
// acts ends with what became of that.
func TestEndOrAct(t *testing.T) {
	t.Parallel()
	p, did := pool(t, ssh.Options{}), errors.New("what became of it")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errOperator)
	end, act := p.EndAndAct(ctx, true, did)
	wantError(t, end, hostfuncs.Cancelled, hostfuncs.Before)
	wantError(t, act, hostfuncs.Cancelled, hostfuncs.Before, "nothing was changed")
	for range 20 { // both are there: no chance may choose the end of the call
		if end, act := p.EndAndAct(ctx, false, did); act != nil || !errors.Is(end, did) {
			t.Errorf("acting: %v, end: %v; want none, and %v", act, end, did)
		}
	}
}

// What is looked at while the call ends is not recorded as about to be changed.
func TestEndsWhileLooking(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ctx, cancel := context.WithCancelCause(t.Context())
	over := make(chan struct{})
	p, e := lying(t, sshtest.SFTP{Answer: func(kind sshtest.SFTPKind, _ uint32, body []byte) []byte {
		if kind == sshtest.SFTPStat && bytes.HasSuffix(body, []byte(dir)) { // the last look
			cancel(errOperator)
		}
		return nil
	}})
	var begun atomic.Bool
	_, err := p.Mkdir(ctx, e, ssh.Mkdir{Path: filepath.Join(dir, "d"), Begin: func(context.Context, string) error {
		begun.Store(true)
		<-over
		return nil
	}})
	close(over)
	wantError(t, err, hostfuncs.Cancelled, hostfuncs.Before, errOperator.Error())
	if err := p.Close(); err != nil { // waits for what was left behind
		t.Error(err)
	}
	if begun.Load() {
		t.Error("it was recorded as begun after the call's end")
	}
	only(t, dir)
}
