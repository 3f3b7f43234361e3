package ssh

import (
	"io"
	"sync"
	"unicode/utf8"
)

// capture keeps the beginning of a stream. A pump may still write when it is read.
type capture struct {
	keep  int // bytes kept
	slack int // bytes kept beyond that, so that a secret across the cut is seen whole
	// flood is called when more than floodAt bytes have come.
	floodAt int64
	flood   func()
	also    func([]byte) // takes all that comes; nil: nobody does

	mu    sync.Mutex
	buf   []byte
	total int64
}

func (c *capture) write(b []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if room := c.keep + c.slack - len(c.buf); room > 0 {
		c.buf = append(c.buf, b[:min(room, len(b))]...)
	}
	if c.also != nil {
		c.also(b)
	}
	before := c.total
	c.total += int64(len(b))
	if before <= c.floodAt && c.total > c.floodAt {
		c.flood()
	}
}

// pump reads a stream to its end. Its buffer is small until the stream is fast.
func pump(r io.Reader, write func([]byte)) {
	const most = 32 << 10
	buf := make([]byte, 512)
	for {
		n, err := r.Read(buf)
		write(buf[:n])
		if n == 0 && err != nil { // with bytes it is that of giving the server room for more, and there may be more here
			return
		}
		if n == len(buf) && n < most {
			buf = make([]byte, 4*n)
		}
	}
}

// output redacts what was kept and cuts it. A secret that the end of the buffer
// cuts is not recognised; it lies in the last slack bytes, which are left out.
func (c *capture) output(redact func([]byte) []byte) Output {
	c.mu.Lock()
	defer c.mu.Unlock()
	kept := c.buf
	cut := c.total > int64(len(kept))
	if redact != nil {
		kept = redact(kept)
	}
	if cut {
		kept = kept[:max(0, len(kept)-c.slack)]
	}
	if len(kept) > c.keep {
		kept, cut = kept[:c.keep], true
	}
	if cut {
		kept = wholeRunes(kept)
	}
	return Output{Bytes: kept, Total: c.total, Truncated: cut}
}

// cutOff is a command's output whose end did not come. What may be the beginning of a
// secret at its end is left out: as many bytes as unfinished says, or slack bytes (nil).
func (o Output) cutOff(slack int, unfinished func([]byte) int) Output {
	if o.Truncated {
		return o
	}
	if unfinished != nil {
		slack = unfinished(o.Bytes)
	}
	o.Bytes, o.Truncated = wholeRunes(o.Bytes[:max(0, len(o.Bytes)-slack)]), true
	return o
}

// wholeRunes leaves out a character that a cut has left incomplete at the end.
func wholeRunes(b []byte) []byte {
	for back := 1; back < utf8.UTFMax && back <= len(b); back++ {
		at := len(b) - back
		if utf8.RuneStart(b[at]) {
			if b[at] >= utf8.RuneSelf && !utf8.FullRune(b[at:]) {
				return b[:at]
			}
			return b
		}
	}
	return b
}
