package ssh

import (
	"net/netip"
	"sync"

	xssh "golang.org/x/crypto/ssh"
)

// link is an authenticated connection. Somebody has to serve it, also when it is not
// used: what the server sends waits for that.
type link struct {
	xssh.Conn
	wire     *wire
	addr     netip.Addr
	opens    <-chan xssh.NewChannel
	requests <-chan *xssh.Request
	learn    func(payload []byte) // what the server tells of its host keys; nil: nobody
}

// serve refuses what the server asks for, since it has nothing to ask us for, until the
// connection has ended. What it tells of its host keys is learned once, by a goroutine
// of wg's. An idle connection has this one goroutine and x/crypto's three.
func (l *link) serve(wg *sync.WaitGroup) {
	opens, requests := l.opens, l.requests
	for opens != nil || requests != nil {
		select {
		case ch, ok := <-opens:
			if !ok {
				opens = nil
				continue
			}
			_ = ch.Reject(xssh.UnknownChannelType, "this client has no channels of type "+ch.ChannelType())
		case r, ok := <-requests:
			if !ok {
				requests = nil
				continue
			}
			if learn := l.learn; learn != nil && r.Type == hostKeysName {
				l.learn = nil
				wg.Go(func() { learn(r.Payload) })
			}
			_ = r.Reply(false, nil)
		}
	}
	_ = l.Wait()
	_ = l.Close()
}

// drop closes a link that nobody serves.
func (l *link) drop(wg *sync.WaitGroup) {
	_ = l.Close()
	l.learn = nil
	wg.Go(func() { l.serve(wg) })
}
