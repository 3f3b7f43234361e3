package ssh

import (
	"bytes"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// wire is a connection that remembers how it began and when it last gave
// something.
type wire struct {
	net.Conn
	lastRead atomic.Int64

	mu   sync.Mutex
	head []byte // the first bytes
}

const headMax = 1024

func newWire(conn net.Conn) *wire {
	w := &wire{Conn: conn}
	w.lastRead.Store(time.Now().UnixNano())
	return w
}

// Read reads and remembers.
func (w *wire) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	if n > 0 {
		w.lastRead.Store(time.Now().UnixNano())
		w.mu.Lock()
		if room := headMax - len(w.head); room > 0 {
			w.head = append(w.head, b[:min(room, n)]...)
		}
		w.mu.Unlock()
	}
	return n, err
}

// banner reports whether the server's version line has begun to arrive.
func (w *wire) banner() bool {
	head := w.began()
	return bytes.HasPrefix(head, []byte("SSH-")) || bytes.Contains(head, []byte("\nSSH-"))
}

// old returns the server's version line when it names a version that has no SSH 2
// (1.99 has: RFC 4253 section 5.1); else "".
func (w *wire) old() string {
	for line := range bytes.Lines(w.began()) {
		if bytes.HasPrefix(line, []byte("SSH-")) {
			line = bytes.TrimRight(line, "\r\n")
			if bytes.HasPrefix(line, []byte("SSH-1.")) && !bytes.HasPrefix(line, []byte("SSH-1.99-")) {
				return string(line)
			}
			return ""
		}
	}
	return ""
}

// began returns a copy of the first bytes that were read.
func (w *wire) began() []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	return bytes.Clone(w.head)
}

// silent returns for how long nothing has been read.
func (w *wire) silent() time.Duration {
	return time.Since(time.Unix(0, w.lastRead.Load()))
}
