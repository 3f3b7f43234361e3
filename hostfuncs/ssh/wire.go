package ssh

import (
	"bytes"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// wire is a connection that remembers how it began and when it last gave
// something, and that tells how it ended.
type wire struct {
	net.Conn
	lastRead atomic.Int64
	tail     *tail

	mu   sync.Mutex
	head []byte // the first bytes
}

const headMax = 1024

func newWire(conn net.Conn) *wire {
	w := &wire{Conn: conn, tail: newTail()}
	w.lastRead.Store(time.Now().UnixNano())
	return w
}

// Read reads and remembers. The end is given by itself, once it has been waited for
// (tail).
func (w *wire) Read(b []byte) (int, error) {
	w.tail.wait()
	n, err := w.Conn.Read(b)
	if n == 0 && err != nil {
		w.tail.hold()
		return 0, err //nolint:wrapcheck // of the connection that this one is
	}
	w.tail.goOn()
	if n > 0 {
		w.lastRead.Store(time.Now().UnixNano())
		w.mu.Lock()
		if room := headMax - len(w.head); room > 0 {
			w.head = append(w.head, b[:min(room, n)]...)
		}
		w.mu.Unlock()
	}
	return n, nil
}

// Close is called by x/crypto, once it has ended.
func (w *wire) Close() error {
	w.tail.shut(true)
	return w.Conn.Close() //nolint:wrapcheck // of the connection that this one is
}

// abort cuts the connection, which ends every wait on it.
func (w *wire) abort() {
	w.tail.shut(false)
	_ = w.Conn.Close()
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
