package sshtest

import (
	"fmt"
	"net"
	"sync"
	"time"
)

// Proxy passes TCP connections on to a server, counts them, and can slow, cut,
// freeze or refuse them.
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
	refuse bool
	rate   int  // bytes a second from the server; 0: as they come
	cut    *Cut // nil: none is to come
	passed map[Way]int64
}

// Way is a direction in which bytes pass.
type Way string

// The ways.
const (
	ToServer   Way = "to the server"
	FromServer Way = "from the server"
)

// StartProxy starts a proxy on a free loopback port.
func StartProxy(to string) (*Proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen on loopback: %w", err)
	}
	p := &Proxy{Host: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port, listener: l, to: to, passed: map[Way]int64{}} //nolint:forcetypeassert // a TCP listener
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

// Cut says when a connection is cut.
type Cut struct {
	Way   Way
	After int64 // bytes that still pass, from 1
	Away  bool  // connections are refused from then on
}

// CutAfter cuts one connection, the one that gives the last of the cut's bytes.
func (p *Proxy) CutAfter(c Cut) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = &c
}

// Refuse closes connections as they come, until it is called with false.
func (p *Proxy) Refuse(yes bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuse = yes
}

// Passed returns how many bytes have passed a way.
func (p *Proxy) Passed(way Way) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.passed[way]
}

// admit counts bytes that are to pass, and returns how many may and whether the
// connection is cut behind them.
func (p *Proxy) admit(way Way, n int) (may int, cut bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c := p.cut; c != nil && c.Way == way {
		if cut = c.After <= int64(n); cut {
			n, p.cut, p.refuse = int(c.After), nil, c.Away
		} else {
			c.After -= int64(n)
		}
	}
	p.passed[way] += int64(n)
	return n, cut
}

// Slow lets so many bytes a second pass from the server, in pieces of up to 32 KiB.
func (p *Proxy) Slow(bytes int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rate = bytes
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
		p.mu.Lock()
		refuse := p.refuse
		p.mu.Unlock()
		if refuse {
			_ = in.Close()
			continue
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
		p.wg.Go(func() { p.pass(ToServer, in, out) })
		p.wg.Go(func() { p.pass(FromServer, out, in) })
	}
}

// pass copies one way; the end of one side ends both.
func (p *Proxy) pass(way Way, from, to net.Conn) {
	defer func() { _, _ = from.Close(), to.Close() }()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		p.mu.Lock()
		frozen, rate := p.frozen, p.rate
		p.mu.Unlock()
		if frozen != nil {
			<-frozen
		}
		if rate > 0 && way == FromServer {
			<-time.After(time.Duration(n) * time.Second / time.Duration(rate))
		}
		n, cut := p.admit(way, n)
		if _, werr := to.Write(buf[:n]); err != nil || werr != nil || cut {
			return
		}
	}
}
