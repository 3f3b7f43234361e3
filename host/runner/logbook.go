package runner

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"opsconductor.dev/host/automation"
)

// lineCost is what a line counts beside its text, so that empty lines end too.
const lineCost = 32

// logbook keeps what an attempt logs, up to a number of bytes.
type logbook struct {
	mu      sync.Mutex
	now     func() time.Time
	left    int
	bytes   int
	dropped int
	cut     bool // a line
	closed  bool
	lines   []automation.LogLine
	owner   bookOwner
}

// bookOwner is told of a book's first line, and of the end of a book that has lines.
// It must not call the book.
type bookOwner interface {
	opened()
	shut()
}

func newLogbook(limit int, now func() time.Time, owner bookOwner) *logbook {
	return &logbook{now: now, left: limit, owner: owner}
}

// Since implements worker.Logged.
func (l *logbook) Since(n int) []automation.LogLine {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || n >= len(l.lines) {
		return nil
	}
	return slices.Clip(l.lines[n:]) // lines are only ever added
}

// add keeps a line, cut to what fits; text that a store or terminal could not
// take is replaced.
func (l *logbook) add(level, message string) {
	switch level {
	case "debug", "info", "warn", "error":
	default:
		level = "info"
	}
	message = strings.ReplaceAll(strings.ToValidUTF8(message, "\uFFFD"), "\x00", "\uFFFD")
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	if l.left < lineCost {
		l.dropped++
		return
	}
	if room := l.left - lineCost; len(message) > room {
		message = strings.ToValidUTF8(message[:room], "") + "… (cut)"
		l.left, l.cut = lineCost, true
	}
	l.left -= lineCost + min(len(message), l.left-lineCost)
	l.bytes += len(message)
	l.lines = append(l.lines, automation.LogLine{At: l.now(), Level: level, Message: message})
	if len(l.lines) == 1 {
		l.owner.opened()
	}
}

// close returns the lines, how many bytes they have, and whether there was more;
// nothing is added after.
func (l *logbook) close(limit int) ([]automation.LogLine, int, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed && len(l.lines) > 0 {
		l.owner.shut()
	}
	l.closed = true
	if l.dropped > 0 {
		l.lines = append(l.lines, automation.LogLine{
			At: l.now(), Level: "warn",
			Message: fmt.Sprintf("%d more lines were dropped: an attempt may log %d bytes", l.dropped, limit),
		})
	}
	return l.lines, l.bytes, l.cut || l.dropped > 0
}
