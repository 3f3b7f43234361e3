package sshtest

import (
	"context"
	"net"
	"sync/atomic"

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
