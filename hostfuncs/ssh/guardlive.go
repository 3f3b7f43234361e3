package ssh

import (
	"bytes"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
)

// While a guarded command runs, what follows it tells on its standard error that the
// command has begun, and who has it, as go says it:
//
//	NONCE-began CLAIM
//
// and what is new in the journal, where somebody is told that, in chunks:
//
//	NONCE-live STREAM OFFSET LENGTH, a line feed, LENGTH bytes
//
// STREAM is out or err. They are for who reads along: the report has everything again.
// The bytes are never looked into, since the command has written them, and a process of
// its account can find the nonce out.

// chunkMax is how long a chunk may be.
const chunkMax = 64 << 10

// guardTells begins the text of what follows a command: descriptor 9 is where to. What is
// told already is put in; -1: nothing is to be told.
const guardTells = `exec 9>&2; _gto=%d; _gte=%d; `

// guardTell are what tells. A chunk has the length that it says, whatever becomes of
// the file. _gtell is given the recorder's id.
const guardTell = `_gpart() { _gl=$2; [ $_gl -le $_gc ] || _gl=$_gc; [ $_gl -le $(($3+65536)) ] || _gl=$(($3+65536)); ` +
	`if [ $_gl -gt $3 ]; then echo "$_gn-live $1 $3 $((_gl-$3))" >&9; ` +
	`{ tail -c +$(($3+1)) "$_gj/$4"; cat /dev/zero; } | head -c $((_gl-$3)) >&9; else _gl=$3; fi; }; ` +
	`_gtell() { [ $_gto -ge 0 ] || return; set -- $(cd "$_gj" && wc -c out.$1 err.$1); while [ $# -gt 1 ]; do ` +
	`case $2 in out.*) _gpart out $1 $_gto $2; _gto=$_gl;; err.*) _gpart err $1 $_gte $2; _gte=$_gl;; esac; shift 2; done; }; `

// telling takes what is told of a guarded command, over all tries of one call, and
// passes on what it writes: each byte once, in order.
type telling struct {
	mark string // begins each chunk
	keep int64  // bytes of a stream
	live *live  // nil: nobody is told

	mu   sync.Mutex
	told [2]int64 // bytes of stdout and stderr
	seen string   // the claim; "": it has not been seen that the command began
}

func newTelling(c Command, nonce string, keep int) *telling {
	t := &telling{mark: nonce, keep: int64(keep)}
	if c.Live != nil {
		t.live = newLive(*c.Live, c.Redact)
	}
	return t
}

// claim returns what go said of the command when it had begun; "": nobody has seen that.
func (t *telling) claim() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.seen
}

// claimed is what go says of a command that has begun.
var claimed = regexp.MustCompile(`^1,[0-9]+,(-|[0-9]+),(-|[0-9a-f-]{36}),[0-9a-f]{64},[0-9]+,(-|[0-9]+)$`) //nolint:gochecknoglobals // a constant

// began takes a claim. The first one counts.
func (t *telling) began(claim string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	ok := claimed.MatchString(claim)
	if ok && t.seen == "" {
		t.seen = claim
	}
	return ok
}

// text is that of the next try.
func (t *telling) text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	text := guardText
	for _, told := range t.told {
		if t.live == nil {
			told = -1
		}
		text = strings.Replace(text, "%d", strconv.FormatInt(told, 10), 1)
	}
	return text
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
	if t.live == nil {
		return 0, 0
	}
	t.live.write(streamNames()[stream], b[told-at:end-at])
	return told - at, end - at
}

// rest passes on what was not told of a stream that has ended, in which total bytes
// came.
func (t *telling) rest(stream int, kept []byte, total int64) {
	if t.live == nil {
		return
	}
	t.pass(stream, 0, kept)
	if total > int64(len(kept)) {
		t.live.cut(streamNames()[stream])
	}
}

// cut says that the call ends in the middle.
func (t *telling) cut() {
	if t.live != nil {
		t.live.cut(streamNames()...)
	}
}

// end is called as the call ends.
func (t *telling) end() {
	if t.live != nil {
		t.live.end()
	}
}

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

// chunkLine is how long a line with the mark may be behind it.
const chunkLine = 256

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

// begin reads a line with the mark, and reports whether it is a chunk's or a claim.
func (c *chunks) begin(line string) bool {
	if claim, ok := strings.CutPrefix(line, "-began "); ok {
		return c.of.began(claim)
	}
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
