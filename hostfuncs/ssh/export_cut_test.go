package ssh

import (
	"context"
	"io"
	"net"
)

// Tail is what tells how a connection ended.
type Tail struct{ t *tail }

// NewTail returns one of a connection that x/crypto has not begun to read.
func NewTail() Tail { return Tail{newTail()} }

// The events of a connection, and the question about a channel that has ended.
func (t Tail) Wait()              { t.t.wait() }
func (t Tail) GoOn()              { t.t.goOn() }
func (t Tail) Hold()              { t.t.hold() }
func (t Tail) Await() func()      { return t.t.await() }
func (t Tail) Shut(bySelf bool)   { t.t.shut(bySelf) }
func (t Tail) Whole() bool        { return t.t.whole() }
func (t Tail) Gone() (bool, bool) { return t.t.gone() }

// Pump reads a stream to its end.
func Pump(r io.Reader) (all []byte) {
	pump(r, func(b []byte) { all = append(all, b...) })
	return all
}

// OnWire is a connection as x/crypto is given it.
func OnWire(c net.Conn) net.Conn { return newWire(c) }

// GetSCP is Get from a server without SFTP.
func (p *Pool) GetSCP(ctx context.Context, e Endpoint, name string, limit int) (File, error) {
	return p.getSCP(ctx, e, name, limit)
}
