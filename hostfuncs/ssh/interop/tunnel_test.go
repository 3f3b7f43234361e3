package interop_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"opsconductor.dev/hostfuncs"
	"opsconductor.dev/hostfuncs/ssh"
	"opsconductor.dev/hostfuncs/ssh/sshtest"
)

// tunnels are TCP connections from behind three jump hosts on.
func tunnels() []row {
	return []row{
		{"tunnel behind three hops, 4 MiB both ways at once", func(t *testing.T) {
			e, _ := chain(t)
			carries(t, pool(t, patient()), e, echoes(t), 4<<20)
		}},
		{"tunnel from dropbear", func(t *testing.T) {
			carries(t, pool(t, patient()), dropbearWith(t, sshtest.User(t, "/bin/sh")), echoes(t), 1<<20)
		}},
		{"tunnel behind three hops, nobody listens", func(t *testing.T) {
			e, _ := chain(t)
			_, err := pool(t, patient()).Dial(t.Context(), e, "tcp", "127.0.0.1:1")
			sshtest.WantError(t, err, hostfuncs.Unreachable, hostfuncs.Before, "127.0.0.1:1", "web1")
		}},
		{"tunnel behind three hops, the last one forwards nothing", func(t *testing.T) {
			e, _ := chain(t)
			last := server(t, "AllowTcpForwarding no").Endpoint("web2")
			last.Via = e.Via
			_, err := pool(t, patient()).Dial(t.Context(), last, "tcp", echoes(t))
			sshtest.WantError(t, err, hostfuncs.Protocol, hostfuncs.Before, "web2", "AllowTcpForwarding")
		}},
		{"tunnel behind three hops, an address that may not be dialled", func(t *testing.T) {
			e, _ := chain(t)
			e.Check = forbidMetadata
			_, err := pool(t, patient()).Dial(t.Context(), e, "tcp", "169.254.169.254:80")
			sshtest.WantError(t, err, hostfuncs.Denied, hostfuncs.Before, "not there")
		}},
		{"tunnel behind three hops, the middle dies", func(t *testing.T) {
			e, middle := chain(t)
			dies(t, pool(t, hasty()), e, middle)
		}},
	}
}

// echoes is a TCP server that says what it hears, and returns where.
func echoes(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { _, _ = io.Copy(c, c); _ = c.Close() })
		}
	})
	t.Cleanup(func() { _ = l.Close(); wg.Wait() })
	return l.Addr().String()
}

// carries sends bytes through four tunnels at a time and wants each back as it was.
func carries(t *testing.T, p *ssh.Pool, e ssh.Endpoint, to string, size int) {
	t.Helper()
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			c, err := p.Dial(t.Context(), e, "tcp", to)
			if err != nil {
				t.Error(err)
				return
			}
			defer func() { _ = c.Close() }()
			_ = c.SetDeadline(time.Now().Add(time.Minute))
			sent := bytes.Repeat(fmt.Appendf(nil, "tunnel %d\n", i), size/9)
			var send sync.WaitGroup
			send.Go(func() {
				if _, err := c.Write(sent); err != nil {
					t.Errorf("tunnel %d: write: %v", i, err)
				}
			})
			got := make([]byte, len(sent))
			if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, sent) {
				t.Errorf("tunnel %d: %v; what came back is what was sent: %t", i, err, bytes.Equal(got, sent))
			}
			send.Wait()
		})
	}
	wg.Wait()
}

// dies cuts a jump host's connection under a tunnel: reads end, and the next one works.
func dies(t *testing.T, p *ssh.Pool, e ssh.Endpoint, middle *sshtest.Proxy) {
	t.Helper()
	to := echoes(t)
	c, err := p.Dial(t.Context(), e, "tcp", to)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	began := time.Now()
	middle.Cut()
	if n, err := c.Read(make([]byte, 1)); err == nil || hostfuncs.Classify(err, "") == hostfuncs.TimedOut {
		t.Errorf("after the cut %d bytes were read, %v, in %s; want the end", n, err, time.Since(began))
	}
	carries(t, p, e, to, 1<<10)
}

// forbidMetadata lets addresses of the link alone be dialled by nobody.
func forbidMetadata(_ context.Context, a netip.Addr) error {
	if a.IsLinkLocalUnicast() {
		return hostfuncs.Errorf(hostfuncs.Denied, hostfuncs.Before, "not there")
	}
	return nil
}
