package chaos_test

import (
	"encoding/binary"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// link passes connections on to a server, and can do to them what networks do.
type link struct {
	port     int
	listener net.Listener
	wg       sync.WaitGroup
	// delay is how long each chunk takes, either way.
	delay atomic.Int64
	// cut: the answer to the next commit never comes: the connection is reset instead.
	cut  atomic.Bool
	cuts atomic.Int64

	mu    sync.Mutex
	still chan struct{} // not nil: no byte passes until it is closed
	to    func() (net.Conn, error)
	pairs map[*pair]bool
}

type pair struct{ client, server net.Conn }

// newLink starts a link on a free port of the world's address.
func newLink(t *testing.T, to func() (net.Conn, error)) *link {
	t.Helper()
	l, err := net.Listen("tcp", address+":0")
	if err != nil {
		t.Fatal(err)
	}
	k := &link{port: l.Addr().(*net.TCPAddr).Port, listener: l, to: to, pairs: map[*pair]bool{}}
	k.wg.Go(k.accept)
	t.Cleanup(func() {
		_ = l.Close()
		k.thaw()
		k.reset()
		k.wg.Wait()
	})
	return k
}

func dialTo(network, addr string) func() (net.Conn, error) {
	return func() (net.Conn, error) { return net.DialTimeout(network, addr, 5*time.Second) }
}

// turn makes new connections go elsewhere.
func (k *link) turn(to func() (net.Conn, error)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.to = to
}

func (k *link) accept() {
	for {
		client, err := k.listener.Accept()
		if err != nil {
			return
		}
		k.wg.Go(func() { k.join(client) })
	}
}

func (k *link) join(client net.Conn) {
	k.mu.Lock()
	to := k.to
	k.mu.Unlock()
	server, err := to()
	if err != nil {
		hangUp(client)
		return
	}
	p := &pair{client, server}
	k.mu.Lock()
	k.pairs[p] = true
	k.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() { k.pass(p, client, server, nil) })
	both.Go(func() { k.pass(p, server, client, &answers{}) })
	both.Wait()
	k.mu.Lock()
	delete(k.pairs, p)
	k.mu.Unlock()
}

// pass copies one way; the end of one side ends both. reads looks at what a
// database answers.
func (k *link) pass(p *pair, from, to net.Conn, reads *answers) {
	defer p.close()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if d := time.Duration(k.delay.Load()); d > 0 && n > 0 {
			pause(d)
		}
		k.await()
		if n > 0 && reads != nil && reads.committed(buf[:n]) && k.cut.CompareAndSwap(true, false) {
			k.cuts.Add(1)
			hangUp(p.client)
			return
		}
		if _, werr := to.Write(buf[:n]); err != nil || werr != nil {
			return
		}
	}
}

func (p *pair) close() { _, _ = p.client.Close(), p.server.Close() }

// hangUp ends a connection with a reset.
func hangUp(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}

// freeze lets no byte pass, either way, until thaw.
func (k *link) freeze() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.still == nil {
		k.still = make(chan struct{})
	}
}

// thaw ends freeze.
func (k *link) thaw() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.still != nil {
		close(k.still)
		k.still = nil
	}
}

// await waits for the end of freeze.
func (k *link) await() {
	k.mu.Lock()
	still := k.still
	k.mu.Unlock()
	if still != nil {
		<-still
	}
}

// reset resets every connection there is, on both sides.
func (k *link) reset() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for p := range k.pairs {
		hangUp(p.client)
		hangUp(p.server)
	}
}

// answers follows the messages of a PostgreSQL server (its protocol 3.0): a type,
// a length that counts itself, and the body.
type answers struct {
	head  []byte // of a message that has not come whole
	skip  int    // bytes of its body that are still to come
	tag   []byte // the body of a CommandComplete
	kind  byte
	wrote bool // a command of this transaction has written
	lost  bool // the stream is not PostgreSQL's
}

// committed takes what the server has sent and reports whether a transaction that
// wrote something was over in it: the server has committed, and says so here.
func (a *answers) committed(b []byte) bool {
	over := false
	for len(b) > 0 && !a.lost {
		if a.skip > 0 {
			n := min(a.skip, len(b))
			if a.kind == 'C' || a.kind == 'Z' {
				a.tag = append(a.tag, b[:n]...)
			}
			a.skip, b = a.skip-n, b[n:]
			if a.skip == 0 {
				over = a.message() || over
			}
			continue
		}
		n := min(5-len(a.head), len(b))
		a.head, b = append(a.head, b[:n]...), b[n:]
		if len(a.head) < 5 {
			return over
		}
		a.kind, a.skip, a.tag = a.head[0], int(binary.BigEndian.Uint32(a.head[1:]))-4, a.tag[:0]
		a.head = a.head[:0]
		a.lost = a.skip < 0
		if a.skip == 0 {
			over = a.message() || over
		}
	}
	return over
}

// message looks at a whole message: CommandComplete, or ReadyForQuery.
func (a *answers) message() bool {
	text := strings.TrimRight(string(a.tag), "\x00")
	switch a.kind {
	case 'C':
		word, _, _ := strings.Cut(text, " ")
		a.wrote = a.wrote || word == "INSERT" && text != "INSERT 0 0" || word == "UPDATE" && text != "UPDATE 0" || word == "DELETE" && text != "DELETE 0" || word == "COMMIT"
	case 'Z':
		over := a.wrote && text == "I"
		if text == "I" || text == "E" {
			a.wrote = false
		}
		return over
	}
	return false
}
