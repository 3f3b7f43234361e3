package ssh

import (
	"bytes"
	"sync"
	"time"

	"opsconductor.dev/hostfuncs"
)

// readyMark stands behind the nonce in the line that says that the shell waits for
// the command's text.
const readyMark = "+ready"

// stage is an event of what comes before the shell is ready.
type stage int

const (
	ready      stage = iota + 1 // the shell waits for the command's text
	prompted                    // the become program waits for the password
	questioned                  // it waits for something else
	rambling                    // so much came that nobody looks any more
)

// opening reads a stream up to the line that says that the shell is ready: the
// noise of the login shell, and prompts and complaints of a become program.
type opening struct {
	mark   string
	turn   string                                // from here on the become program speaks
	asks   func(said []byte) (prompt, ours bool) // nil: nobody asks
	next   func([]byte)
	drop   bool // what comes before the line is not the command's output
	events chan stage

	mu     sync.Mutex
	held   []byte
	from   int // of held: what came after the last prompt
	passed bool
	given  bool // up: no text is sent any more
}

func newOpening(nonce string, b *Become, next func([]byte)) *opening {
	o := &opening{mark: nonce + readyMark, next: next, events: make(chan stage, 8)}
	if b != nil {
		o.drop, o.turn = true, nonce+turnMark
		o.asks = func(said []byte) (bool, bool) { return b.asks(nonce, said) }
	}
	return o
}

// write takes a part of the stream.
func (o *opening) write(b []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.passed {
		o.next(b)
		return
	}
	o.held = append(o.held, b...)
	if at := bytes.Index(o.held, []byte(o.mark)); at >= 0 && !o.given {
		end := bytes.IndexByte(o.held[at:], '\n')
		if end < 0 {
			return
		}
		o.passed = true
		if !o.drop {
			o.next(o.held[:at])
		}
		o.next(o.held[at+end+1:])
		o.held = nil
		o.tell(ready)
		return
	}
	if len(o.held) > markerMax {
		o.passed = true
		o.tell(rambling)
		return
	}
	if o.asks == nil || len(b) == 0 || !o.begun() {
		return
	}
	if prompt, ours := o.asks(o.held[o.from:]); prompt {
		o.from = len(o.held)
		if ours {
			o.tell(prompted)
		} else {
			o.tell(questioned)
		}
	}
}

// begun reports whether the become program speaks: what the login shell says before
// is no prompt.
func (o *opening) begun() bool {
	if o.from > 0 {
		return true
	}
	at := bytes.Index(o.held, []byte(o.turn))
	if at >= 0 {
		o.from = at + len(o.turn)
	}
	return at >= 0
}

// enter waits until the shell is ready, and has the become program's own prompt
// answered once with the password; nothing else is sent before the shell is ready.
// Else lacks is why it will not be; "": one of over was closed first.
func (o *opening) enter(b *Become, limit time.Duration, send func([]byte), over1, over2, over3 <-chan struct{}) (ok bool, lacks BecomeCause) {
	t := time.NewTimer(limit)
	defer t.Stop()
	answered := false
	for {
		select {
		case e := <-o.events:
			switch {
			case e == ready:
				return true, ""
			case e == prompted && b.Password != nil && !answered:
				if closed(over1) || closed(over2) || closed(over3) {
					return false, ""
				}
				answered = true
				sayPassword(b.Password, send)
			default:
				return false, lacking(e, answered)
			}
		case <-t.C:
			return false, NoAnswer
		case <-over1:
			return false, ""
		case <-over2:
			return false, ""
		case <-over3:
			return false, ""
		}
	}
}

// lacking is why a program goes no further, as far as its event tells.
func lacking(e stage, answered bool) BecomeCause {
	switch {
	case e != prompted && e != questioned:
		return NoAnswer
	case answered:
		return WrongPassword
	}
	return PasswordRequired
}

// sayPassword sends a password as a line and forgets the copy.
func sayPassword(p hostfuncs.Secret, send func([]byte)) {
	line := append([]byte(nil), p.Reveal()...)
	line = append(line, '\n')
	send(line)
	clear(line)
}

// closed reports whether a channel is; nil never is.
func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// abandon sees to it that the shell is never taken for ready; false: it was already.
func (o *opening) abandon() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.passed && o.held == nil {
		return false
	}
	o.given = true
	return true
}

// tell never waits: who asks eight times gets no further answer.
func (o *opening) tell(e stage) {
	select {
	case o.events <- e:
	default:
	}
}

// flush gives up what is held back, where it counts as output.
func (o *opening) flush() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.passed && !o.drop {
		o.passed = true
		o.next(o.held)
		o.held = nil
	}
}

// state returns whether the shell was ready, and what was said before that.
func (o *opening) state() (isReady bool, said []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.passed && o.held == nil, bytes.Clone(o.held)
}
