package ssh_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pkg/sftp"

	"opsconductor.dev/hostfuncs/ssh"
	"opsconductor.dev/hostfuncs/ssh/sshtest"
)

// fileBench moves files over connections that stand, by a Pool and by pkg/sftp alone.
type fileBench struct {
	client  *sftp.Client // with concurrent requests
	conn    *sshtest.Bare
	pool    *ssh.Pool
	at      ssh.Endpoint
	dir     string
	content []byte
	files   int
}

// BenchmarkFiles writes and reads one file of 64 MiB, and 200 of 4 KiB, by a Pool and by
// pkg/sftp in turn, one after the other in each round and another first each time, against the same sshd, and gives
// the medians of the rounds (-benchtime=9x: nine) and their ratios: how many times as fast
// as the bare client the Pool is. pkg/sftp has one session for all; checked reads back
// what it has written and hashes it; session opens one for each file, as the Pool does.
func BenchmarkFiles(b *testing.B) {
	srv, err := sshtest.Start(context.Background(), sshtest.Config{Dir: b.TempDir(), Options: []string{sftpOn, "LogLevel INFO"}})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = srv.Stop() })
	f := &fileBench{conn: bare(b, endpoint(srv)), pool: ssh.NewPool(ssh.Options{}), at: endpoint(srv)}
	b.Cleanup(func() { _ = f.pool.Close() })
	f.client, err = sftp.NewClient(f.conn.Client(), sftp.UseConcurrentWrites(true))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = f.client.Close() })
	f.content, f.files = content(64<<20), 1
	b.Run("one of 64 MiB", f.run)
	f.content, f.files = content(4<<10), 200
	b.Run("200 of 4 KiB", f.run)
}

// run goes through rounds and reports their medians.
func (f *fileBench) run(b *testing.B) {
	f.dir = filepath.Join(b.TempDir(), "files")
	moves := []struct {
		name string
		move func(context.Context, string) error
	}{
		{"put/bare", func(_ context.Context, path string) error { return bareWrite(f.client, path, f.content) }},
		{"put/checked", func(_ context.Context, path string) error { return f.checked(f.client, path) }},
		{"put/session", func(_ context.Context, path string) error { return f.session(path, f.checked) }},
		{"put/pool", f.put},
		{"get/bare", func(_ context.Context, path string) error { return f.kept(f.client, path) }},
		{"get/session", func(_ context.Context, path string) error { return f.session(path, f.kept) }},
		{"get/pool", f.get},
	}
	took := map[string][]time.Duration{}
	for round := 0; b.Loop(); round++ {
		f.begin(b)
		for k := range moves { // each is the first as often as the others
			m := moves[(k+round)%len(moves)]
			start := time.Now()
			for i := range f.files {
				if err := m.move(b.Context(), f.path(m.name, i)); err != nil {
					b.Fatal(m.name, err)
				}
			}
			took[m.name] = append(took[m.name], time.Since(start))
		}
	}
	median := func(name string) float64 {
		slices.Sort(took[name])
		return took[name][len(took[name])/2].Seconds()
	}
	for _, m := range moves {
		b.ReportMetric(median(m.name)*1000, "ms_"+m.name)
	}
	for _, of := range []string{"put/bare", "put/checked", "put/session", "get/bare", "get/session"} {
		b.ReportMetric(median(of)/median(of[:4]+"pool"), "x_"+of)
	}
	b.ReportMetric(0, "ns/op")
}

// path is where a move's file is: each writes files of its own, and all read the same.
func (f *fileBench) path(move string, i int) string {
	if strings.HasPrefix(move, "get") {
		move = "get"
	}
	return filepath.Join(f.dir, fmt.Sprint(strings.ReplaceAll(move, "/", "-"), i))
}

// begin removes what the round before has written, as what is there is not sent again,
// and makes the files that are read.
func (f *fileBench) begin(b *testing.B) {
	b.Helper()
	err := errors.Join(os.RemoveAll(f.dir), os.Mkdir(f.dir, 0o700))
	for i := range f.files {
		err = errors.Join(err, os.WriteFile(f.path("get", i), f.content, 0o600))
	}
	if err != nil {
		b.Fatal(err)
	}
}

func (f *fileBench) put(ctx context.Context, path string) error {
	_, err := f.pool.Put(ctx, f.at, ssh.Put{Path: path, Content: f.content})
	return err
}

func (f *fileBench) get(ctx context.Context, path string) error {
	got, err := f.pool.Get(ctx, f.at, path, len(f.content))
	if err == nil && len(got.Content) != len(f.content) {
		err = fmt.Errorf("got %d bytes", len(got.Content))
	}
	return err
}

// checked writes a file and reads it back.
func (f *fileBench) checked(c *sftp.Client, path string) error {
	if err := bareWrite(c, path, f.content); err != nil {
		return err
	}
	return bareRead(c, path, sha256.New(), len(f.content))
}

// kept reads a file, hashes it and keeps it.
func (f *fileBench) kept(c *sftp.Client, path string) error {
	to := bytes.NewBuffer(make([]byte, 0, len(f.content)))
	return bareRead(c, path, io.MultiWriter(sha256.New(), to), len(f.content))
}

// session moves a file on a session of its own.
func (f *fileBench) session(path string, move func(*sftp.Client, string) error) error {
	c, err := sftp.NewClient(f.conn.Client(), sftp.UseConcurrentWrites(true))
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	return move(c, path)
}

func bareWrite(client *sftp.Client, path string, content []byte) error {
	f, err := client.Create(path)
	if err != nil {
		return err
	}
	if _, err := f.ReadFrom(bytes.NewReader(content)); err != nil {
		return err
	}
	return f.Close()
}

func bareRead(client *sftp.Client, path string, to io.Writer, size int) error {
	f, err := client.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	n, err := f.WriteTo(to)
	if err == nil && n != int64(size) {
		err = fmt.Errorf("got %d bytes", n)
	}
	return err
}
