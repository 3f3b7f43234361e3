package ssh_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"opsconductor.dev/hostfuncs"
	"opsconductor.dev/hostfuncs/ssh"
	"opsconductor.dev/hostfuncs/ssh/sshtest"
)

// hostile returns a pool of little patience and an endpoint whose SFTP misbehaves.
func hostile(t *testing.T, c sshtest.SFTP) (*ssh.Pool, ssh.Endpoint) {
	t.Helper()
	return pool(t, ssh.Options{FileTimeout: 500 * time.Millisecond, OpenTimeout: time.Second}), fakeEndpoint(fake(t, sshtest.FakeConfig{SFTP: &c}))
}

// lying returns a pool of the usual patience and an endpoint whose SFTP lies.
func lying(t *testing.T, c sshtest.SFTP) (*ssh.Pool, ssh.Endpoint) {
	t.Helper()
	return pool(t, ssh.Options{}), fakeEndpoint(fake(t, sshtest.FakeConfig{SFTP: &c}))
}

// attrs are the attributes of a file: size and mode.
func attrs(size uint64, mode uint32) []byte {
	return sshtest.Packet(0, 0x05, uint32(size>>32), uint32(size), mode)[5:] //nolint:gosec // the two halves
}

// A server that falls silent or ends the session at a request is left, with the
// code that says so, and in bounded time.
func TestSFTPStalls(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	if err := os.WriteFile(path, []byte("there"), 0o600); err != nil {
		t.Fatal(err)
	}
	get := func(p *ssh.Pool, e ssh.Endpoint) error { _, err := p.Get(t.Context(), e, path, 100); return err }
	list := func(p *ssh.Pool, e ssh.Endpoint) error { _, err := p.List(t.Context(), e, dir, 100); return err }
	put := func(p *ssh.Pool, e ssh.Endpoint) error {
		_, err := p.Put(t.Context(), e, ssh.Put{Path: path, Content: []byte("new content")})
		return err
	}
	for _, tc := range []struct {
		name  string
		kind  sshtest.SFTPKind
		call  func(*ssh.Pool, ssh.Endpoint) error
		phase hostfuncs.Phase
	}{
		{"init", sshtest.SFTPInit, get, hostfuncs.Before},
		{"stat", sshtest.SFTPStat, get, hostfuncs.Before},
		{"open", sshtest.SFTPOpen, get, hostfuncs.Before},
		{"read", sshtest.SFTPRead, get, hostfuncs.Before},
		{"opendir", sshtest.SFTPOpendir, list, hostfuncs.Before},
		{"readdir", sshtest.SFTPReaddir, list, hostfuncs.Before},
		{"put: lstat", sshtest.SFTPLstat, put, hostfuncs.Before},
		{"put: open", sshtest.SFTPOpen, put, hostfuncs.After},
		{"put: write", sshtest.SFTPWrite, put, hostfuncs.After},
		{"put: read back", sshtest.SFTPRead, put, hostfuncs.After},
		{"put: mode", sshtest.SFTPFsetstat, put, hostfuncs.After},
		{"put: rename", sshtest.SFTPExtended, put, hostfuncs.After},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			p, e := hostile(t, sshtest.SFTP{Stall: []sshtest.SFTPKind{tc.kind}})
			start := time.Now()
			err := tc.call(p, e)
			wantError(t, err, hostfuncs.Timeout, tc.phase, "gave no answer for 500ms")
			if took := time.Since(start); took > 10*time.Second {
				t.Errorf("it took %s", took)
			}
			p, e = hostile(t, sshtest.SFTP{Close: []sshtest.SFTPKind{tc.kind}})
			err = tc.call(p, e)
			if tc.kind == sshtest.SFTPInit { // that is no SFTP, so scp gets it
				if err != nil {
					t.Errorf("by scp: %v", err)
				}
				return
			}
			wantError(t, err, hostfuncs.Lost, tc.phase)
		})
	}
	t.Cleanup(func() {
		if b, err := os.ReadFile(path); err != nil || string(b) != "there" {
			t.Errorf("the file has %q (%v), want it as it was", b, err)
		}
	})
}

// What was asked of a server that is silent at the rename may have happened; what
// it was silent before may not.
func TestSFTPUnknown(t *testing.T) {
	t.Parallel()
	for kind, words := range map[sshtest.SFTPKind]string{sshtest.SFTPExtended: "took its place is not known", sshtest.SFTPWrite: "was not touched"} {
		p, e := hostile(t, sshtest.SFTP{Stall: []sshtest.SFTPKind{kind}})
		_, err := p.Put(t.Context(), e, ssh.Put{Path: filepath.Join(t.TempDir(), "f"), Content: []byte("x")})
		wantError(t, err, hostfuncs.Timeout, hostfuncs.After, words)
		if kind == sshtest.SFTPExtended && (strings.Contains(err.Error(), "not touched") || strings.Contains(err.Error(), "Nothing was changed")) {
			t.Errorf("after a rename without an answer it is said that nothing happened: %v", err)
		}
	}
}

// What a server may answer, and must not harm.
func TestSFTPLies(t *testing.T) {
	t.Parallel()
	reads := func(answer func(id uint32) []byte) func(sshtest.SFTPKind, uint32, []byte) []byte {
		return func(kind sshtest.SFTPKind, id uint32, _ []byte) []byte {
			switch kind { //nolint:exhaustive // the real server answers the rest
			case sshtest.SFTPStat, sshtest.SFTPLstat:
				return sshtest.Packet(sshtest.SFTPAttrs, id, attrs(100, 0o100644))
			case sshtest.SFTPOpen:
				return sshtest.Packet(sshtest.SFTPHandle, id, "h")
			case sshtest.SFTPRead:
				return answer(id)
			}
			return nil
		}
	}
	lists := func(mode uint32, answer func(id uint32) []byte) func(sshtest.SFTPKind, uint32, []byte) []byte {
		return func(kind sshtest.SFTPKind, id uint32, _ []byte) []byte {
			switch kind { //nolint:exhaustive // the real server answers the rest
			case sshtest.SFTPStat:
				return sshtest.Packet(sshtest.SFTPAttrs, id, attrs(0, mode))
			case sshtest.SFTPOpendir:
				return sshtest.Packet(sshtest.SFTPHandle, id, "h")
			case sshtest.SFTPReaddir:
				return answer(id)
			}
			return nil
		}
	}
	name := func(n string) func(id uint32) []byte {
		return func(id uint32) []byte {
			return sshtest.Packet(sshtest.SFTPName, id, uint32(1), n, "long", attrs(1, 0o100644))
		}
	}
	const folder = 0o040755
	get := func(p *ssh.Pool, e ssh.Endpoint) error { _, err := p.Get(t.Context(), e, "/f", 1<<20); return err }
	list := func(p *ssh.Pool, e ssh.Endpoint) error { _, err := p.List(t.Context(), e, "/d", 10); return err }
	for what, tc := range map[string]struct {
		answer func(sshtest.SFTPKind, uint32, []byte) []byte
		call   func(*ssh.Pool, ssh.Endpoint) error
		code   hostfuncs.Code
		words  string
	}{
		"endless file": {reads(func(id uint32) []byte {
			return sshtest.Packet(sshtest.SFTPData, id, strings.Repeat("x", 1<<15))
		}), get, hostfuncs.OutputLimit, "more than 1048576 bytes"},
		"endless empty reads": {reads(func(id uint32) []byte { return sshtest.Packet(sshtest.SFTPData, id, "") }), get, hostfuncs.Protocol, "far more than was asked for"},
		"a length beyond the packet": {reads(func(id uint32) []byte {
			return sshtest.Packet(sshtest.SFTPData, id, uint32(1<<31), []byte("x"))
		}), get, hostfuncs.Protocol, "not SFTP as it should be"},
		"another's identifier": {reads(func(id uint32) []byte { return sshtest.Packet(sshtest.SFTPData, id+1000, "x") }), get, hostfuncs.Protocol, "not SFTP as it should be"},
		"a packet of 1 GiB":    {reads(func(uint32) []byte { return []byte{0x40, 0, 0, 0, 103, 0, 0, 0, 0} }), get, hostfuncs.Protocol, "not SFTP as it should be"},
		"a size of 2^63": {func(kind sshtest.SFTPKind, id uint32, _ []byte) []byte {
			if kind == sshtest.SFTPStat {
				return sshtest.Packet(sshtest.SFTPAttrs, id, attrs(1<<63, 0o100644))
			}
			return nil
		}, get, hostfuncs.OutputLimit, "more than"},
		"a name that leads up":    {lists(folder, name("x/..")), list, hostfuncs.Protocol, "cannot be in a folder"},
		"a name that is the root": {lists(folder, name("/")), list, hostfuncs.Protocol, "cannot be in a folder"},
		"a name with a NUL":       {lists(folder, name("a\x00b")), list, hostfuncs.Protocol, "cannot be in a folder"},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			p, e := hostile(t, sshtest.SFTP{Answer: tc.answer})
			wantError(t, tc.call(p, e), tc.code, hostfuncs.Before, tc.words)
		})
	}
	for what, answer := range map[string]func(uint32) []byte{
		"endless folder": name("again"),
		"empty answers":  func(id uint32) []byte { return sshtest.Packet(sshtest.SFTPName, id, uint32(0)) },
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			p, e := hostile(t, sshtest.SFTP{Answer: lists(folder, answer)})
			got, err := p.List(t.Context(), e, "/d", 10)
			if err != nil || !got.Truncated || len(got.Entries) > 10 {
				t.Errorf("%d entries, truncated %t (%v), want at most 10, truncated", len(got.Entries), got.Truncated, err)
			}
		})
	}
}

// A server that stores other bytes than were sent is found out.
func TestSFTPCorrupts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p, e := lying(t, sshtest.SFTP{Answer: func(kind sshtest.SFTPKind, id uint32, _ []byte) []byte {
		if kind == sshtest.SFTPWrite {
			return sshtest.Packet(sshtest.SFTPStatus, id, uint32(0), "ok", "") // and nothing is written
		}
		return nil
	}})
	_, err := p.Put(t.Context(), e, ssh.Put{Path: filepath.Join(dir, "f"), Content: []byte("content")})
	var he *hostfuncs.Error
	if !errors.As(err, &he) || he.Code != hostfuncs.Protocol || !he.Stopped || !strings.Contains(he.Message, "not what was sent") {
		t.Errorf("%+v, want protocol, stopped", he)
	}
	only(t, dir)
}

// While it is written the file is for its owner alone, from the first moment.
func TestPutPrivate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	modes := make(chan os.FileMode, 10)
	p, e := lying(t, sshtest.SFTP{Answer: func(kind sshtest.SFTPKind, _ uint32, _ []byte) []byte {
		if kind == sshtest.SFTPWrite {
			found, _ := filepath.Glob(filepath.Join(dir, ".opsconductor-*"))
			for _, f := range found {
				if info, err := os.Stat(f); err == nil {
					modes <- info.Mode()
				}
			}
		}
		return nil
	}})
	if _, err := p.Put(t.Context(), e, ssh.Put{Path: filepath.Join(dir, "f"), Content: []byte("x"), Mode: new(uint32(0o666))}); err != nil {
		t.Fatal(err)
	}
	if len(modes) != 1 || <-modes != 0o600 {
		t.Error("the temporary file is not of mode 0600 when the content comes")
	}
	onDisk(t, filepath.Join(dir, "f"), []byte("x"), 0o666)
}

// A server that cannot rename over a file.
func TestPutNotAtomic(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	var refuse atomic.Bool
	p, e := lying(t, sshtest.SFTP{Plain: true, Answer: func(kind sshtest.SFTPKind, id uint32, body []byte) []byte {
		if kind == sshtest.SFTPRename && bytes.HasSuffix(body, []byte("/f")) && refuse.CompareAndSwap(true, false) {
			return sshtest.Packet(sshtest.SFTPStatus, id, uint32(4), "Failure", "")
		}
		return nil
	}})
	got, err := p.Put(t.Context(), e, ssh.Put{Path: path, Content: []byte("first")})
	if err != nil || !got.Atomic {
		t.Fatalf("%+v %v, want atomic", got, err)
	}
	got, err = p.Put(t.Context(), e, ssh.Put{Path: path, Content: []byte("second")})
	if err != nil || got.Atomic {
		t.Fatalf("%+v %v, want not atomic", got, err)
	}
	onDisk(t, path, []byte("second"), 0o644)
	refuse.Store(true)
	_, err = p.Put(t.Context(), e, ssh.Put{Path: path, Content: []byte("third")})
	var he *hostfuncs.Error
	if !errors.As(err, &he) || !he.Stopped || !strings.Contains(he.Message, "Nothing was changed") {
		t.Errorf("%+v, want stopped", he)
	}
	onDisk(t, path, []byte("second"), 0o644)
}

// Cancelled while the server is silent, a call that has not acted ends at once.
func TestSFTPCancel(t *testing.T) {
	t.Parallel()
	f := fake(t, sshtest.FakeConfig{SFTP: &sshtest.SFTP{Stall: []sshtest.SFTPKind{sshtest.SFTPStat}}})
	p := pool(t, ssh.Options{})
	ctx, cancel := context.WithCancelCause(t.Context())
	done := make(chan error, 1)
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { _, err := p.Get(ctx, fakeEndpoint(f), "/f", 10); done <- err })
	eventually(t, "the server has fallen silent", func() bool { return f.Stalls() == 1 })
	cancel(errors.New("the run was cancelled"))
	wantError(t, <-done, hostfuncs.Cancelled, hostfuncs.Before, "the run was cancelled")
}
