package ssh

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"time"
)

// Live is how a command's output is passed on while it runs.
type Live struct {
	// Line takes one line of a stream (stdout or stderr), without its end, in UTF-8,
	// redacted by Command.Redact; a long one comes in parts. It is called by one
	// goroutine at a time, and not after Exec has returned. It should be quick.
	Line func(stream, text string)
	// Unfinished says how many bytes at the end of a text may be the beginning of a
	// secret, so that they are kept back until more has come. nil: none.
	Unfinished func([]byte) int
}

// What is passed on of one call's output; the rest is counted.
const (
	liveBytes    = 128 << 10
	livePerLine  = 4 << 10
	livePerSpell = 100 // lines in a spell
	liveSpell    = time.Second
)

// streamNames are the streams of a command, in the order in which both are dealt with.
func streamNames() []string { return []string{"stdout", "stderr"} }

// live passes two streams on, in lines, within bounds.
type live struct {
	to     Live
	redact func([]byte) []byte

	mu      sync.Mutex
	streams map[string]*liveStream
	left    int // bytes
	spell   time.Time
	lines   int // in the spell
	missed  int // lines that were left out since the last word about it
	ended   bool
}

// liveStream is one stream: raw is what may be the beginning of a secret, clean is
// redacted and has no line end.
type liveStream struct{ raw, clean []byte }

func newLive(to Live, redact func([]byte) []byte) *live {
	if redact == nil {
		redact = func(b []byte) []byte { return b }
	}
	return &live{to: to, redact: redact, left: liveBytes, streams: map[string]*liveStream{"stdout": {}, "stderr": {}}}
}

// write takes a part of a stream.
func (l *live) write(stream string, b []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.streams[stream]
	if l.ended || len(b) == 0 {
		return
	}
	s.raw = append(s.raw, b...)
	keep := 0
	if l.to.Unfinished != nil {
		keep = l.to.Unfinished(s.raw)
	}
	s.clean = append(s.clean, l.redact(s.raw[:len(s.raw)-keep])...)
	s.raw = append(s.raw[:0], s.raw[len(s.raw)-keep:]...)
	l.pass(stream, s)
}

// pass hands over the whole lines, and parts of one that is long.
func (l *live) pass(stream string, s *liveStream) {
	rest := s.clean
	for {
		end := bytes.IndexByte(rest, '\n')
		switch {
		case end > livePerLine || end < 0 && len(rest) > livePerLine:
			part := wholeRunes(rest[:livePerLine])
			l.line(stream, part)
			rest = rest[len(part):]
		case end >= 0:
			l.line(stream, rest[:end])
			rest = rest[end+1:]
		default:
			s.clean = append(s.clean[:0], rest...)
			return
		}
	}
}

// line hands one line over, if there is room for it.
func (l *live) line(stream string, text []byte) {
	if now := time.Now(); now.Sub(l.spell) >= liveSpell {
		l.spell, l.lines = now, 0
	}
	if l.lines >= livePerSpell || l.left < len(text) {
		l.missed++
		return
	}
	l.own("more follows")
	l.lines++
	l.left -= len(text)
	l.to.Line(stream, strings.ToValidUTF8(strings.TrimSuffix(string(text), "\r"), "\uFFFD"))
}

// own says how many lines were left out.
func (l *live) own(what string) {
	if l.missed == 0 {
		return
	}
	l.to.Line("output", fmt.Sprintf("%d lines are left out here (%s): at most %d KiB, and %d lines a second, are passed on", l.missed, what, liveBytes>>10, livePerSpell))
	l.missed = 0
}

// cut says that more was to come of streams: what may be the beginning of a secret is
// not handed over.
func (l *live) cut(streams ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, stream := range streams {
		l.streams[stream].raw = nil
	}
}

// end hands over what is left and says what was left out. Nothing is handed over
// after it.
func (l *live) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, stream := range streamNames() {
		s := l.streams[stream]
		s.clean = append(s.clean, l.redact(s.raw)...)
		if l.pass(stream, s); len(s.clean) > 0 {
			l.line(stream, s.clean)
		}
	}
	l.own("the end")
	l.ended = true
}
