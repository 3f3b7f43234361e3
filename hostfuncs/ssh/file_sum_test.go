package ssh_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"opsconductor.dev/hostfuncs"
	"opsconductor.dev/hostfuncs/ssh"
	"opsconductor.dev/hostfuncs/ssh/sshtest"
)

// summing is a server of files whose program for hashes is a script.
type summing struct {
	pool  *ssh.Pool
	at    ssh.Endpoint
	fake  *sshtest.Fake
	dir   string
	reads atomic.Int64 // requests for parts of a file
}

// newSumming returns a server that runs script in place of sha256sum, and has no openssl
// unless the script is openssl's ("": it runs no commands at all); forget: it says that
// it has written, and writes nothing.
func newSumming(t *testing.T, script string, forget bool) *summing {
	t.Helper()
	bin := t.TempDir()
	programs := map[string]string{"sha256sum": script, "openssl": "exit 1"}
	if script == realOpenSSL {
		programs = map[string]string{"sha256sum": "exit 1", "openssl": script}
	}
	for name, text := range programs {
		if err := os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\n"+text+"\n"), 0o700); err != nil { //nolint:gosec // a program
			t.Fatal(err)
		}
	}
	s := &summing{pool: pool(t, ssh.Options{}), dir: t.TempDir()}
	conf := sshtest.FakeConfig{Env: []string{"PATH=" + bin + ":" + os.Getenv("PATH")}, SFTP: &sshtest.SFTP{
		Answer: func(kind sshtest.SFTPKind, id uint32, _ []byte) []byte {
			if kind == sshtest.SFTPRead {
				s.reads.Add(1)
			}
			if kind == sshtest.SFTPWrite && forget {
				return sshtest.Packet(sshtest.SFTPStatus, id, uint32(0), "ok", "")
			}
			return nil
		},
	}}
	if script == "" {
		conf.Refuse = sshtest.Exec
	}
	s.fake = fake(t, conf)
	s.at = fakeEndpoint(s.fake)
	return s
}

const (
	realSum     = `exec /usr/bin/sha256sum "$@"`
	realOpenSSL = `exec /usr/bin/openssl "$@"`
)

// What was written to a long file is compared by the hash that the server makes, and
// read back where it makes none, or another: it may see other files by that name.
func TestPutSummed(t *testing.T) {
	t.Parallel()
	long := content(1 << 20)
	for name, tc := range map[string]struct {
		script string
		size   int
		asked  bool
		reads  bool
	}{
		"by the server":                {realSum, len(long), true, false},
		"by openssl":                   {realOpenSSL, len(long), true, false},
		"another":                      {"echo " + sum(nil) + " -", len(long), true, true},
		"none":                         {"exit 1", len(long), true, true},
		"no shell":                     {"", len(long), true, true},
		"too short to start a program": {realSum, len(long) - 1, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSumming(t, tc.script, false)
			path := filepath.Join(s.dir, "it's a \"$file\"")
			if _, err := s.pool.Put(t.Context(), s.at, ssh.Put{Path: path, Content: long[:tc.size]}); err != nil {
				t.Fatal(err)
			}
			onDisk(t, path, long[:tc.size], 0o644)
			if asked, reads := s.fake.Execs() > 0, s.reads.Load() > 0; asked != tc.asked || reads != tc.reads {
				t.Errorf("asked for a hash %t, read back %t; want %t, %t", asked, reads, tc.asked, tc.reads)
			}
		})
		t.Run(name+", nothing written", func(t *testing.T) {
			t.Parallel()
			s := newSumming(t, tc.script, true)
			_, err := s.pool.Put(t.Context(), s.at, ssh.Put{Path: filepath.Join(s.dir, "f"), Content: long[:tc.size]})
			wantError(t, err, hostfuncs.Protocol, hostfuncs.After, "not what was sent", "Nothing was changed")
			only(t, s.dir)
		})
	}
}

// A file that is there is taken for the one to write when its bytes say so, and never
// by the word of the server, which may have hashed another by that name.
func TestPutSameSummed(t *testing.T) {
	t.Parallel()
	long := content(1 << 20)
	other := bytes.Clone(long)
	other[500_000] ^= 1
	for name, tc := range map[string]struct {
		there   []byte
		script  string
		changed bool
		reads   bool
	}{
		"the same":                          {long, realSum, false, true},
		"the same, no shell":                {long, "", false, true},
		"the same, no such program":         {long, "exit 127", false, true},
		"another, by the server":            {other, realSum, true, false},
		"another, and the server says same": {other, "echo " + sum(long), true, true},
		"another, no shell":                 {other, "", true, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSumming(t, tc.script, false)
			path := filepath.Join(s.dir, "f")
			if err := os.WriteFile(path, tc.there, 0o644); err != nil { //nolint:gosec // the usual mode
				t.Fatal(err)
			}
			var before int64 = -1
			got, err := s.pool.Put(t.Context(), s.at, ssh.Put{Path: path, Content: long, Begin: func(context.Context, string) error {
				before = s.reads.Load()
				return nil
			}})
			if err != nil || got.Changed != tc.changed {
				t.Fatalf("%+v (%v), want changed %t", got, err, tc.changed)
			}
			if before < 0 {
				before = s.reads.Load()
			}
			if reads := before > 0; reads != tc.reads {
				t.Errorf("read to compare %t, want %t", reads, tc.reads)
			}
			onDisk(t, path, long, 0o644)
		})
	}
}

// No hash is asked for where a shell may read the name as another, and where it would be
// asked for by another user than the one who writes.
func TestPutNotSummed(t *testing.T) {
	t.Parallel()
	long := content(1 << 20)
	for _, name := range []string{"a\nb", `a\b`, "a!b"} {
		s := newSumming(t, realSum, false)
		if _, err := s.pool.Put(t.Context(), s.at, ssh.Put{Path: filepath.Join(s.dir, name, "f"), Content: long}); err == nil {
			t.Error("written to a folder that is not there")
		}
		if err := os.Mkdir(filepath.Join(s.dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
		if _, err := s.pool.Put(t.Context(), s.at, ssh.Put{Path: filepath.Join(s.dir, name, "f"), Content: long}); err != nil || s.fake.Execs() > 0 {
			t.Errorf("%q: %v, %d commands; want none", name, err, s.fake.Execs())
		}
	}
	needs(t, "sudo")
	user := newAccount(t, "/bin/sh")
	sudoers(t, user.name+" ALL=(ALL) NOPASSWD: ALL")
	dir, log := closed(t), closed(t)
	seen := log + "/seen"
	if err := errors.Join(os.WriteFile(seen, nil, 0o600), os.Chmod(seen, 0o666), os.Chmod(log, 0o755)); err != nil { //nolint:gosec // whoever runs the command writes there
		t.Fatal(err)
	}
	srv := accountServer(t, fmt.Sprintf(`ForceCommand case "$SSH_ORIGINAL_COMMAND" in *sha256*) echo asked >>%s ;; esac; eval "$SSH_ORIGINAL_COMMAND"`, seen))
	if _, err := pool(t, ssh.Options{}).Put(t.Context(), as(srv, user).As(&ssh.Become{}), ssh.Put{Path: dir + "/f", Content: long}); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(seen); err != nil || len(b) > 0 {
		t.Errorf("the account that logs in was asked for the hash of a file of root's (%q, %v)", b, err)
	}
}

// A login shell that talks does not hide the hash, and what it says is not one.
func TestSummedBehindWords(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "it's a \"$file\"")
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	const forced = `ForceCommand echo "Welcome to web1"; echo "- %s"; eval "$SSH_ORIGINAL_COMMAND"`
	const quiet = `case "$SSH_ORIGINAL_COMMAND" in *sftp-server) eval exec "$SSH_ORIGINAL_COMMAND" ;; esac; `
	for name, want := range map[string]string{path: sum([]byte("x")), path + "none": ""} {
		srv := server(t, sshtest.Config{Options: []string{
			"Subsystem sftp /usr/lib/openssh/sftp-server", fmt.Sprintf(strings.Replace(forced, "ForceCommand ", "ForceCommand "+quiet, 1), sum(nil)),
		}})
		if got, err := pool(t, ssh.Options{}).RemoteSum(t.Context(), endpoint(srv), name); err != nil || got != want {
			t.Errorf("the hash of %q is %q (%v), want %q", name, got, err, want)
		}
	}
}
