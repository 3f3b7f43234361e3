package sshtest

import (
	"fmt"
	"net"
	"sync"
)

// Proxy passes TCP connections on to a server, counts them, and can cut or freeze
// them.
type Proxy struct {
	Host string
	Port int

	listener net.Listener
	to       string
	wg       sync.WaitGroup

	mu     sync.Mutex
	conns  []net.Conn
	count  int
	frozen chan struct{} // not nil: bytes wait until it is closed
}

// StartProxy starts a proxy on a free loopback port.
func StartProxy(to string) (*Proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen on loopback: %w", err)
	}
	p := &Proxy{Host: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port, listener: l, to: to} //nolint:forcetypeassert // a TCP listener
	p.wg.Go(p.accept)
	return p, nil
}

// Stop cuts everything and waits for it.
func (p *Proxy) Stop() {
	_ = p.listener.Close()
	p.Thaw()
	p.Cut()
	p.wg.Wait()
}

// Connections returns how many connections have come.
func (p *Proxy) Connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.count
}

// Cut closes all connections there are.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		_ = c.Close()
	}
	p.conns = nil
}

// Freeze lets no byte pass, either way, until Thaw: what a stopped server or a
// dead link looks like.
func (p *Proxy) Freeze() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.frozen == nil {
		p.frozen = make(chan struct{})
	}
}

// Thaw ends Freeze.
func (p *Proxy) Thaw() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.frozen != nil {
		close(p.frozen)
		p.frozen = nil
	}
}

func (p *Proxy) accept() {
	for {
		in, err := p.listener.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", p.to)
		if err != nil {
			_ = in.Close()
			continue
		}
		p.mu.Lock()
		p.count++
		p.conns = append(p.conns, in, out)
		p.mu.Unlock()
		p.wg.Go(func() { p.pass(in, out) })
		p.wg.Go(func() { p.pass(out, in) })
	}
}

// pass copies one way; the end of one side ends both.
func (p *Proxy) pass(from, to net.Conn) {
	defer func() { _, _ = from.Close(), to.Close() }()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		p.mu.Lock()
		frozen := p.frozen
		p.mu.Unlock()
		if frozen != nil {
			<-frozen
		}
		if _, werr := to.Write(buf[:n]); err != nil || werr != nil {
			return
		}
	}
}
