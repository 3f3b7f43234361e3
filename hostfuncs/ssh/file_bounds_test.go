package ssh_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"opsconductor.dev/hostfuncs"
	"opsconductor.dev/hostfuncs/ssh"
	"opsconductor.dev/hostfuncs/ssh/sshtest"
)

// A file that an attempt reads, and a list of a folder, are no longer than the session
// lets an output be, and secrets are taken out of them.
func TestFileFunctionBounds(t *testing.T) {
	t.Parallel()
	c := newFileCall(t)
	c.session.MaxOutput = 700
	c.session.Opened(secret("hunter2-hunter2"))
	path := filepath.Join(c.dir, "f")
	for i := range 20 {
		if err := os.WriteFile(fmt.Sprintf("%s-%02d-hunter2-hunter2", path, i), []byte("the password is hunter2-hunter2\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(path, bytes.Repeat([]byte("x"), 701), 0o600); err != nil {
		t.Fatal(err)
	}
	var got ssh.GetResult
	if err := c.call(t, "ssh_get", fmt.Sprintf(`{"path":%q,"max_bytes":10000}`, path), &got); err == nil || err.Code != hostfuncs.OutputLimit {
		t.Errorf("more than the session allows: %v, want output_limit", err)
	}
	if err := c.call(t, "ssh_get", fmt.Sprintf(`{"path":%q}`, path+"-00-hunter2-hunter2"), &got); err != nil || got.Content != "the password is [redacted]\n" || !got.Redacted {
		t.Errorf("%+v %v, want the secret taken out, and that said", got, err)
	}
	var list ssh.ListResult
	err := c.call(t, "ssh_list", fmt.Sprintf(`{"path":%q}`, c.dir), &list)
	b, _ := json.Marshal(list.Entries)
	if err != nil || !list.Truncated || len(list.Entries) < 2 || len(b) > 700 || bytes.Contains(b, []byte("hunter2")) || !bytes.Contains(b, []byte("[redacted]")) {
		t.Errorf("%d entries of %d bytes, truncated %t (%v): %s", len(list.Entries), len(b), list.Truncated, err, b)
	}
	if _, err := c.pool.Get(t.Context(), fakeEndpoint(c.fake), path, -1); err == nil || !strings.Contains(err.Error(), "limit is negative") {
		t.Errorf("a negative limit: %v", err)
	}
	_, putErr := c.pool.Put(t.Context(), fakeEndpoint(c.fake), ssh.Put{Path: path, Mode: new(uint32(0o10644)), Begin: never(t)})
	wantError(t, putErr, hostfuncs.BadRequest, hostfuncs.Before, "more than permission bits")
}

// A file is flushed before it takes its place, where the server can, and a call that
// ends before it takes its place leaves it where it was.
func TestPutFlushes(t *testing.T) {
	t.Parallel()
	for _, over := range []bool{false, true} {
		dir := t.TempDir()
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		var mu sync.Mutex
		var asked []string
		p, e := lying(t, sshtest.SFTP{Answer: func(kind sshtest.SFTPKind, id uint32, body []byte) []byte {
			mu.Lock()
			defer mu.Unlock()
			switch {
			case kind == sshtest.SFTPFsetstat && over:
				cancel(errOperator)
			case kind == sshtest.SFTPExtended:
				for _, name := range []string{"fsync@openssh.com", "posix-rename@openssh.com"} {
					if bytes.Contains(body, []byte(name)) {
						asked = append(asked, name)
					}
				}
				if slices.Contains(asked, "fsync@openssh.com") && len(asked) == 1 {
					return sshtest.Packet(sshtest.SFTPStatus, id, uint32(0), "ok", "")
				}
			}
			return nil
		}, Extra: []string{"fsync@openssh.com"}})
		_, err := p.Put(ctx, e, ssh.Put{Path: filepath.Join(dir, "f"), Content: []byte("x")})
		mu.Lock()
		want := []string{"fsync@openssh.com", "posix-rename@openssh.com"}
		if over {
			want = want[:1]
			wantError(t, err, hostfuncs.Cancelled, hostfuncs.After, "Nothing was changed")
			only(t, dir)
		} else if err != nil {
			t.Error(err)
		}
		if !slices.Equal(asked, want) {
			t.Errorf("cancelled %t: the server was asked for %q, want %q", over, asked, want)
		}
		mu.Unlock()
	}
}

// Content that looks like the request that opens a new file is content.
func TestPutLooksLikeOpen(t *testing.T) {
	t.Parallel()
	e := endpoint(server(t, sshtest.Config{Options: []string{sftpOn}}))
	p := pool(t, ssh.Options{})
	for _, size := range []int{13, 100, 32 << 10, 3 * 32 << 10} {
		b := make([]byte, size)
		for end := min(size, 32<<10); end <= size; end += 32 << 10 {
			part := b[max(0, end-32<<10):end]
			part[4], part[len(part)-5] = 3, 0x28
		}
		name := filepath.Join(t.TempDir(), "file")
		if _, err := p.Put(t.Context(), e, ssh.Put{Path: name, Content: b}); err != nil {
			t.Errorf("%d bytes: %v", size, err)
			continue
		}
		if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, b) {
			t.Errorf("%d bytes: %d bytes are there, %v", size, len(got), err)
		}
	}
}
