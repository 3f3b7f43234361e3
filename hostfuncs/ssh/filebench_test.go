package ssh_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/pkg/sftp"

	"opsconductor.dev/hostfuncs/ssh"
	"opsconductor.dev/hostfuncs/ssh/sshtest"
)

// BenchmarkFiles moves 100 MB over a connection that stands, beside pkg/sftp with
// concurrent requests, in the same run against the same sshd: once without any check,
// and once with the hash of what is read, and of what was written read back.
func BenchmarkFiles(b *testing.B) {
	srv, err := sshtest.Start(context.Background(), sshtest.Config{Dir: b.TempDir(), Options: []string{sftpOn, "LogLevel INFO"}})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = srv.Stop() })
	content := make([]byte, 100<<20)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(content)
	dir := b.TempDir()
	client, err := sftp.NewClient(bare(b, endpoint(srv)).Client(), sftp.UseConcurrentWrites(true))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = client.Close() })
	p := ssh.NewPool(ssh.Options{})
	b.Cleanup(func() { _ = p.Close() })
	e := endpoint(srv)
	n := 0
	moves := map[string]func(*testing.B) error{
		"put/bare": func(*testing.B) error { return bareWrite(client, filepath.Join(dir, "bare"), content) },
		"put/pool": func(b *testing.B) error {
			n++ // another content each time: what is there is not sent again
			content[0] = byte(n)
			_, err := p.Put(b.Context(), e, ssh.Put{Path: filepath.Join(dir, "pool"), Content: content})
			return err
		},
		"put/bare_checked": func(*testing.B) error {
			if err := bareWrite(client, filepath.Join(dir, "bare"), content); err != nil {
				return err
			}
			return bareRead(client, filepath.Join(dir, "bare"), sha256.New(), len(content))
		},
		"get/bare": func(*testing.B) error {
			return bareRead(client, filepath.Join(dir, "bare"), sha256.New(), len(content))
		},
		"get/pool": func(b *testing.B) error {
			got, err := p.Get(b.Context(), e, filepath.Join(dir, "bare"), len(content))
			if err == nil && len(got.Content) != len(content) {
				err = fmt.Errorf("got %d bytes", len(got.Content))
			}
			return err
		},
	}
	for _, name := range []string{"put/bare", "put/bare_checked", "put/pool", "get/bare", "get/pool"} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(content)))
			for b.Loop() {
				if err := moves[name](b); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
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
