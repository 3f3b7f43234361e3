package ssh

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"sync"
)

// While a guarded command runs, what follows it tells on its standard error what is
// new in the journal, in chunks:
//
//	NONCE-live STREAM OFFSET LENGTH, a line feed, LENGTH bytes
//
// STREAM is out or err. They are for who reads along: the report has everything again.
// The bytes are never looked into, since the command has written them, and a process of
// its account can find the nonce out.

// chunkMax is how long a chunk may be.
const chunkMax = 64 << 10

// guardTells begins the text of what follows a command and tells: descriptor 9 is where
// to. What is told already is put in.
const guardTells = `exec 9>&2; _gto=%d; _gte=%d; `

// guardTell are what tells. A chunk has the length that it says, whatever becomes of
// the file. _gtell is given the recorder's id.
const guardTell = `_gpart() { _gl=$2; [ $_gl -le $_gc ] || _gl=$_gc; [ $_gl -le $(($3+65536)) ] || _gl=$(($3+65536)); ` +
	`if [ $_gl -gt $3 ]; then echo "$_gn-live $1 $3 $((_gl-$3))" >&9; ` +
	`{ tail -c +$(($3+1)) "$_gj/$4"; cat /dev/zero; } | head -c $((_gl-$3)) >&9; else _gl=$3; fi; }; ` +
	`_gtell() { set -- $(cd "$_gj" && wc -c out.$1 err.$1); while [ $# -gt 1 ]; do ` +
	`case $2 in out.*) _gpart out $1 $_gto $2; _gto=$_gl;; err.*) _gpart err $1 $_gte $2; _gte=$_gl;; esac; shift 2; done; }; `

// guardLiveText is guardText with chunks. The recorder does not hold the place open
// that they go to. It tells every third turn (each costs processes), and waits nowhere
// until the command has ended, without /proc neither.
const guardLiveText = guardTells + guardStart + ` 9>&- & ` +
	`_gp=$!; _gt=0; until [ -L "$_gj/exit" ]; do ` +
	`if [ -n "$(_gstart $$)" ]; then [ -n "$(_gstart $_gp)" ] || break; else kill -s 0 $_gp || break; fi; ` +
	`if [ $_gt -gt 20 ] && [ -L "$_gj/go" ]; then break; fi; sleep 0.01 || { sleep 1; _gt=20; }; _gt=$((_gt+1)); done; fi; ` +
	guardFollow + guardTell + `_gw=0; while :; do ` + guardLook +
	`if [ $_gw = 0 ]; then _gtell $6; _gw=3; fi; _gw=$((_gw-1)); sleep 0.1 || { sleep 1; _gw=0; }; done`

// telling passes on what a guarded command writes, over all tries of one call: each
// byte once, in order. Its nil is a call of which nobody is told.
type telling struct {
	mark string // begins each chunk
	keep int64  // bytes of a stream
	live *live

	mu   sync.Mutex
	told [2]int64 // bytes of stdout and stderr
}

func newTelling(c Command, nonce string, keep int) *telling {
	return &telling{mark: nonce, keep: int64(keep), live: newLive(*c.Live, c.Redact)}
}

// text is that of the next try.
func (t *telling) text() string {
	if t == nil {
		return guardText
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.Replace(strings.Replace(guardLiveText, "%d", strconv.FormatInt(t.told[0], 10), 1), "%d", strconv.FormatInt(t.told[1], 10), 1)
}

// pass passes on what is new of bytes of a stream, which stand in it at an offset, and
// returns where in them that was.
func (t *telling) pass(stream int, at int64, b []byte) (from, to int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	told := t.told[stream]
	end := min(at+int64(len(b)), t.keep)
	if at > told || end <= told {
		return 0, 0
	}
	t.told[stream] = end
	t.live.write(streamNames()[stream], b[told-at:end-at])
	return told - at, end - at
}

// rest passes on what was not told of a stream that has ended, in which total bytes
// came.
func (t *telling) rest(stream int, kept []byte, total int64) {
	if t == nil {
		return
	}
	t.pass(stream, 0, kept)
	if total > int64(len(kept)) {
		t.live.cut(streamNames()[stream])
	}
}

// cut says that the call ends in the middle.
func (t *telling) cut() {
	if t != nil {
		t.live.cut(streamNames()...)
	}
}

func (t *telling) end() { t.live.end() }

// chunks takes the chunks out of what one session gives. What is not one, or tells
// nothing new, goes on and is counted there.
type chunks struct {
	of   *telling
	next taker

	stream int
	at     int64 // the offset of what comes
	left   int   // bytes of the chunk
	held   []byte
	over   bool // the report has begun
}

// chunkLine is how long a chunk's first line may be behind the mark.
const chunkLine = 48

// write implements taker.
func (c *chunks) write(b []byte) {
	if len(c.held) > 0 {
		b = append(c.held, b...)
		c.held = nil
	}
	for len(b) > 0 {
		switch {
		case c.over:
			c.next.write(b)
			return
		case c.left > 0:
			n := min(c.left, len(b))
			from, to := c.of.pass(c.stream, c.at, b[:n])
			c.next.write(b[:from])
			c.next.write(b[to:n])
			c.at, c.left, b = c.at+int64(n), c.left-n, b[n:]
		default:
			rest := c.search(b)
			if len(rest) == len(b) {
				c.held = bytes.Clone(rest)
				return
			}
			b = rest
		}
	}
}

// search takes what stands before the next chunk, and its first line, off bytes that
// are of none; all of them are returned where more has to come.
func (c *chunks) search(b []byte) []byte {
	mark := c.of.mark
	at := bytes.Index(b, []byte(mark))
	if at < 0 {
		at = len(b) - beginning(b, mark)
	}
	if at > 0 {
		c.next.write(b[:at])
		return b[at:]
	}
	if len(b) <= len(mark) {
		return b
	}
	end := bytes.IndexByte(b, '\n')
	switch {
	case b[len(mark)] == ' ':
		c.over = true
		return c.skip(b, len(mark))
	case end < 0 && len(b) <= len(mark)+chunkLine:
		return b
	case end < 0 || end > len(mark)+chunkLine || !c.begin(string(b[len(mark):end])):
		return c.skip(b, len(mark))
	}
	return b[end+1:]
}

// skip passes bytes on that are of no chunk.
func (c *chunks) skip(b []byte, n int) []byte {
	c.next.write(b[:n])
	return b[n:]
}

// begin reads a chunk's first line, and reports whether it is one.
func (c *chunks) begin(line string) bool {
	var stream, more string
	var at int64
	var length int
	if n, _ := fmt.Sscanf(line, "-live %s %d %d%s", &stream, &at, &length, &more); n != 3 || more != "" {
		return false
	}
	if (stream != "out" && stream != "err") || at < 0 || at > c.of.keep || length < 0 || length > chunkMax {
		return false
	}
	c.stream, c.at, c.left = 0, at, length
	if stream == "err" {
		c.stream = 1
	}
	return true
}

// beginning returns how many bytes at the end of b are the beginning of a text.
func beginning(b []byte, text string) int {
	for n := min(len(b), len(text)-1); n > 0; n-- {
		if bytes.HasSuffix(b, []byte(text[:n])) {
			return n
		}
	}
	return 0
}
