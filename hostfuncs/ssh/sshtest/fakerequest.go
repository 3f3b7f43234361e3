package sshtest

import (
	"context"
	"net"
	"strings"
	"sync/atomic"
	"syscall"

	"golang.org/x/crypto/ssh"
)

// asked misbehaves when a request has come on a channel: done says that the session is
// over, refused that it has its answer.
func (f *Fake) asked(ctx context.Context, conn net.Conn, r *ssh.Request) (done, refused bool) {
	phase, ok := map[string]Phase{"pty-req": Terminal, "subsystem": Subsystem, "exec": Exec}[r.Type]
	if !ok {
		return false, false
	}
	if phase == Exec {
		f.execs.Add(1)
	}
	if phase == f.conf.Refuse {
		_ = r.Reply(false, nil)
		return false, true
	}
	return phase == f.conf.Shut || !f.at(ctx, phase, conn), false
}

// muted is a connection on which nothing is sent any more once it is muted.
type muted struct {
	net.Conn

	mute atomic.Bool
}

// Write sends, or seems to.
func (m *muted) Write(b []byte) (int, error) {
	if m.mute.Load() {
		return len(b), nil
	}
	return m.Conn.Write(b) //nolint:wrapcheck // the connection's own
}

// hangUp ends the connection at once, and in good order: the client gets what was sent
// before. Closed with something unread, it would be reset.
func (m *muted) hangUp() {
	if tcp, ok := m.Conn.(*net.TCPConn); ok {
		_ = tcp.CloseWrite()
	}
}

func (f *Fake) flood(ch ssh.Channel) {
	line := []byte(strings.Repeat("flood ", 5000) + "\n")
	for {
		if _, err := ch.Write(line); err != nil {
			return
		}
	}
}

func signalName(s syscall.Signal) string {
	for name, n := range map[string]syscall.Signal{"SIGTERM": syscall.SIGTERM, "SIGKILL": syscall.SIGKILL, "SIGINT": syscall.SIGINT, "SIGHUP": syscall.SIGHUP} {
		if n == s {
			return name
		}
	}
	return "SIGUSR1"
}

// storm sends what nobody has asked for: requests, some of which want an answer,
// answers, host keys, and openings of channels.
func (f *Fake) storm(sc ssh.Conn, ch ssh.Channel, granted *ssh.Request) {
	for i := range f.conf.Storm {
		_, _, _ = sc.SendRequest("hostkeys-00@openssh.com", false, f.conf.Announce)
		_, _, _ = sc.SendRequest("storm@test", i%64 == 0, make([]byte, 1024))
		_, _ = ch.SendRequest("storm@test", i%64 == 0, make([]byte, 1024))
		_ = granted.Reply(true, nil)
		_, _, _ = sc.OpenChannel("storm@test", nil)
	}
}
