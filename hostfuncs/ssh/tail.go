package ssh

import (
	"sync"
	"time"
)

// tail tells whether a channel was ended by the server, or by the end of the
// connection that it was on: x/crypto ends its streams and requests alike for both,
// and nothing that can be asked of the channel afterwards tells them apart.
//
// It knows where x/crypto's reader is. One that waits for more, or comes to wait again,
// has not met the end, nor anything that it can't read: then what ended a channel came
// from the server. One that has met something it can't read, or a word that the server
// disconnects, does not come to wait again. When the end has come it is kept back (hold) until what came before
// it has been gone through: until the sessions that are looked after here have ended,
// and at the most for lastWords. What ends only after that was cut off by the end.
type tail struct {
	mu      sync.Mutex
	moved   sync.Cond
	waits   bool // x/crypto waits for more
	ended   bool // nothing more comes
	over    bool // x/crypto knows
	torn    bool // x/crypto closed the connection while it waited: it did not take what had come
	awaited int  // sessions whose end has not come
	told    func()
}

// lastWords is how long the end of a connection is kept back where sessions on it have
// not ended: far longer than it takes to go through what has come, and short enough for
// a lost connection to be told of.
const lastWords = 500 * time.Millisecond

func newTail() *tail {
	t := &tail{told: func() {}}
	t.moved.L = &t.mu
	return t
}

// await begins to look after a session, until the function that it returns is called.
// That may be called more than once.
func (t *tail) await() (done func()) {
	t.mu.Lock()
	t.awaited++
	t.mu.Unlock()
	return sync.OnceFunc(func() { t.set(func() { t.awaited-- }) })
}

// tell has a function called when the end has come, before it has been waited for.
func (t *tail) tell(told func()) { t.set(func() { t.told = told }) }

// set changes something and tells who waits.
func (t *tail) set(change func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	change()
	t.moved.Broadcast()
}

// wait is called before a read, and goOn after it.
func (t *tail) wait() { t.set(func() { t.waits = true }) }

func (t *tail) goOn() { t.set(func() { t.waits = false }) }

// hold is called with the end, before x/crypto is told of it.
func (t *tail) hold() {
	late := time.AfterFunc(lastWords, func() { t.set(func() { t.over = true }) })
	defer late.Stop()
	told := func() {}
	t.set(func() { t.ended, told = true, t.told })
	told()
	t.mu.Lock()
	defer t.mu.Unlock()
	for t.awaited > 0 && !t.over {
		t.moved.Wait()
	}
	t.over = true
	t.moved.Broadcast()
}

// shut is called when the connection is closed from this side, by x/crypto or not.
func (t *tail) shut(bySelf bool) {
	t.set(func() {
		t.torn = t.torn || bySelf && t.waits && !t.ended
		t.ended, t.over = true, true
	})
}

// whole reports, right after a stream or a channel has ended, whether that was the
// server's doing.
func (t *tail) whole() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for !t.waits && !t.over {
		t.moved.Wait()
	}
	return !t.over
}

// gone reports whether the connection has ended, and whether because what came could
// not be taken.
func (t *tail) gone() (ended, torn bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.ended, t.torn
}
