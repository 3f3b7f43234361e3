package interop_test

import (
	"bytes"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"opsconductor.dev/hostfuncs"
	"opsconductor.dev/hostfuncs/ssh"
	"opsconductor.dev/hostfuncs/ssh/sshtest"
)

// files are servers with SFTP, without it, and with one whose answers lead elsewhere.
func files() []row {
	rows := []row{
		{"OpenSSH, SFTP", func(t *testing.T) { putAndGet(t, server(t, "Subsystem sftp internal-sftp").Endpoint("web1"), false) }},
		{"OpenSSH, no SFTP", func(t *testing.T) {
			e := server(t).Endpoint("web1")
			putAndGet(t, e, true)
			_, err := pool(t, patient()).Stat(t.Context(), e, "/", false)
			sshtest.WantError(t, err, hostfuncs.Protocol, hostfuncs.Before, "has no SFTP", "web1")
		}},
		{"OpenSSH, something else in place of SFTP", func(t *testing.T) {
			_, err := pool(t, patient()).Stat(t.Context(), server(t, "Subsystem sftp /bin/echo hello").Endpoint("web1"), "/", false)
			sshtest.WantError(t, err, hostfuncs.Protocol, hostfuncs.Before, "did not speak it")
		}},
	}
	for _, name := range []string{"../../etc/cron.d/evil", "..\\..\\evil/x", "/etc/passwd", "x/..", "/", "a\x00b"} {
		rows = append(rows, row{fmt.Sprintf("SFTP server that names %q", name), func(t *testing.T) { astray(t, name) }})
	}
	return append(rows, row{"SFTP server that hangs", func(t *testing.T) {
		e := fake(t, sshtest.FakeConfig{SFTP: &sshtest.SFTP{Stall: []sshtest.SFTPKind{sshtest.SFTPOpendir}}}).Endpoint("fake1")
		_, err := pool(t, hasty()).List(t.Context(), e, "/", 10)
		sshtest.WantError(t, err, hostfuncs.Timeout, hostfuncs.Before, "fake1")
	}})
}

// filesAs are files that root alone may touch, by accounts that may become root.
func filesAs() []row {
	free, asks := "$a ALL=(ALL) NOPASSWD: ALL", "$a ALL=(ALL) ALL"
	return []row{
		{"OpenSSH, files as root by sudo, without a password", func(t *testing.T) { rootsFile(t, login(t, sshtest.User(t, "/bin/sh", free)), nil) }},
		{"OpenSSH, files as root by sudo, with a password", func(t *testing.T) {
			a := sshtest.User(t, "/bin/sh", asks)
			rootsFile(t, login(t, a), sshtest.Plain(a.Password))
		}},
		{"OpenSSH, files as root by sudo in a terminal of its own", func(t *testing.T) {
			a := sshtest.User(t, "/bin/sh", asks, "Defaults:$a use_pty")
			rootsFile(t, login(t, a), sshtest.Plain(a.Password))
		}},
		{"dropbear, files as root by sudo", func(t *testing.T) {
			a := sshtest.User(t, "/bin/sh", asks)
			rootsFile(t, dropbearWith(t, a), sshtest.Plain(a.Password))
		}},
		{"OpenSSH, files as root by sudo, wrong password", func(t *testing.T) {
			e := login(t, sshtest.User(t, "/bin/sh", asks)).As(&ssh.Become{Password: sshtest.Plain("not this one")})
			_, err := pool(t, patient()).Stat(t.Context(), e, "/", false)
			sshtest.WantError(t, err, hostfuncs.BecomeFailed, hostfuncs.Before, "wrong password", "Nothing was done there")
		}},
		{"OpenSSH, files as root by sudo, no sftp-server", func(t *testing.T) {
			e := login(t, sshtest.User(t, "/bin/sh", free), `ForceCommand exec /bin/sh -c "$(printf %s "$SSH_ORIGINAL_COMMAND" | sed s/sftp-server/none/g)"`)
			_, err := pool(t, patient()).Stat(t.Context(), e.As(&ssh.Become{}), "/", false)
			sshtest.WantError(t, err, hostfuncs.Protocol, hostfuncs.Before, "no sftp-server that root could start")
		}},
	}
}

// rootsFile writes a file into a folder of root's alone, and looks at it from here.
func rootsFile(t *testing.T, e ssh.Endpoint, password hostfuncs.Secret) {
	t.Helper()
	p, name, content := pool(t, patient()), filepath.Join(t.TempDir(), "f"), bytes.Repeat([]byte("a\x00\xff\r\x04\n"), 300_000)
	if err := os.Chmod(filepath.Dir(name), 0o700); err != nil { //nolint:gosec // a folder
		t.Fatal(err)
	}
	as := e.As(&ssh.Become{Password: password})
	w, err := p.Put(t.Context(), as, ssh.Put{Path: name, Content: content, Mode: new(uint32(0o400))})
	if err != nil || !w.Changed || !w.Atomic || w.Mode != 0o400 || w.UID == nil || *w.UID != 0 {
		t.Fatalf("put: %+v, %v; want an atomic change of root's with mode 0400", w, err)
	}
	if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, content) {
		t.Errorf("on disk are %d bytes (%v), want %d", len(got), err, len(content))
	}
	got, err := p.Get(t.Context(), as, name, len(content))
	if err != nil || !bytes.Equal(got.Content, content) || got.OverSCP {
		t.Errorf("get: %d bytes, over scp %t, %v; want %d", len(got.Content), got.OverSCP, err, len(content))
	}
	if left, err := os.ReadDir(filepath.Dir(name)); err != nil || len(left) != 1 {
		t.Errorf("%d files are in the folder (%v), want one", len(left), err)
	}
}

// putAndGet writes a file twice and reads it.
func putAndGet(t *testing.T, e ssh.Endpoint, scp bool) {
	t.Helper()
	p, content := pool(t, patient()), bytes.Repeat([]byte("a\x00\xffb\n"), 50_000)
	target := filepath.Join(t.TempDir(), "it's a file")
	for _, changed := range []bool{true, false} {
		w, err := p.Put(t.Context(), e, ssh.Put{Path: target, Content: content, Mode: new(uint32(0o600))})
		if err != nil || w.Changed != changed || w.Size != int64(len(content)) {
			t.Fatalf("put: %+v, %v; want changed %t", w, err, changed)
		}
	}
	if got, err := os.ReadFile(target); err != nil || !bytes.Equal(got, content) {
		t.Errorf("on disk are %d bytes (%v), want %d", len(got), err, len(content))
	}
	got, err := p.Get(t.Context(), e, target, len(content))
	if err != nil || !bytes.Equal(got.Content, content) || got.OverSCP != scp {
		t.Errorf("get: %d bytes, over scp %t, %v; want %d bytes, over scp %t", len(got.Content), got.OverSCP, err, len(content), scp)
	}
}

// astray is a folder in which the server names a path: its last part alone is taken,
// and not even that where it is no name of a file.
func astray(t *testing.T, name string) {
	t.Helper()
	attrs := sshtest.Packet(0, 0x04, uint32(0o100644))[5:]
	folder := sshtest.Packet(0, 0x04, uint32(0o040755))[5:]
	conf := sshtest.SFTP{Answer: func(kind sshtest.SFTPKind, id uint32, _ []byte) []byte {
		switch kind { //nolint:exhaustive // the real server answers the rest
		case sshtest.SFTPStat, sshtest.SFTPLstat:
			return sshtest.Packet(sshtest.SFTPAttrs, id, folder)
		case sshtest.SFTPOpendir:
			return sshtest.Packet(sshtest.SFTPHandle, id, "h")
		case sshtest.SFTPReaddir:
			return sshtest.Packet(sshtest.SFTPName, id, uint32(1), name, "long", attrs)
		}
		return nil
	}}
	p, e := pool(t, hasty()), fake(t, sshtest.FakeConfig{SFTP: &conf}).Endpoint("fake1")
	got, err := p.List(t.Context(), e, "/folder", 1)
	if last := path.Base(name); last != ".." && last != "/" && !strings.Contains(last, "\x00") {
		if err != nil || len(got.Entries) != 1 || got.Entries[0].Name != last {
			t.Errorf("%+v, %v; want the entry %q", got.Entries, err, last)
		}
		return
	}
	sshtest.WantError(t, err, hostfuncs.Protocol, hostfuncs.Before, "cannot be in a folder", "fake1")
}
