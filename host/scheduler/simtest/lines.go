package simtest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
	"opsconductor.dev/host/worker"
)

// book is what an attempt logs while it is at work.
type book struct {
	attempt automation.Attempt
	started time.Time

	mu     sync.Mutex
	lines  []automation.LogLine
	closed bool
}

// Since implements worker.Logged.
func (b *book) Since(n int) []automation.LogLine {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed || n >= len(b.lines) {
		return nil
	}
	return slices.Clip(b.lines[n:])
}

// shelf has the books of the attempts at work in one life of a host.
type shelf struct {
	mu    sync.Mutex
	books map[automation.AttemptKey]*book
}

// Logging implements worker.Logs: in an order that a seed has each time.
func (e *executor) Logging() []worker.Logging {
	e.shelf.mu.Lock()
	defer e.shelf.mu.Unlock()
	var out []worker.Logging
	for _, k := range slices.SortedFunc(maps.Keys(e.shelf.books), automation.AttemptKey.Compare) {
		if b := e.shelf.books[k]; b.Since(0) != nil {
			out = append(out, worker.Logging{Attempt: b.attempt, Started: b.started, Logged: b})
		}
	}
	return out
}

// open opens an attempt's book.
func (e *executor) open(a *automation.Attempt) *book {
	b := &book{attempt: *a, started: e.host.now()}
	e.shelf.mu.Lock()
	defer e.shelf.mu.Unlock()
	e.shelf.books[a.AttemptKey] = b
	return b
}

// shut closes an attempt's book, and returns what it has.
func (e *executor) shut(b *book) []automation.LogLine {
	e.shelf.mu.Lock()
	delete(e.shelf.books, b.attempt.AttemptKey)
	e.shelf.mu.Unlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	return b.lines
}

// say adds a line to a book.
func (e *executor) say(b *book, what string) {
	k := b.attempt.AttemptKey
	text := fmt.Sprintf("%s/%d/%d/%d %d %s", k.Run, k.Step, k.Item, k.Attempt, len(b.lines), what)
	e.world.mu.Lock()
	e.wrote[k] = append(e.wrote[k], text)
	e.world.mu.Unlock()
	e.trace("line " + text)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lines = append(b.lines, automation.LogLine{At: time.Now(), Level: "info", Message: text})
}

// talk lets an attempt's time go by, in which it logs; false: it was stopped.
func (e *executor) talk(ctx context.Context, b *book, lasts time.Duration, h uint64) bool {
	var at []time.Duration
	if e.every > 0 {
		r := e.dice.rand("lines"+string(b.attempt.Run), b.attempt.Step, b.attempt.Item, b.attempt.Attempt)
		for range r.IntN(6) + r.IntN(2)*r.IntN(30) {
			at = append(at, within(r, 0, lasts))
		}
	}
	slices.Sort(at)
	past := time.Duration(0)
	for i, t := range at {
		if !e.wait(ctx, t-past, mix(h+uint64(i)+20)) { //nolint:gosec // small
			return false
		}
		past = t
		e.say(b, "says")
	}
	return e.wait(ctx, lasts-past, h)
}

// scribe is what the checker knows of logs.
type scribe struct {
	wrote map[automation.AttemptKey][]string // by the attempts
	whole map[automation.AttemptKey]bool     // their own outcome counted: all of it must be stored
	seen  map[automation.AttemptKey]*seen    // by who follows the runs
}

// seen is what somebody who follows has read of an attempt's log.
type seen struct {
	lines []string
	chunk int
	whole bool
}

func newScribe() scribe {
	return scribe{wrote: map[automation.AttemptKey][]string{}, whole: map[automation.AttemptKey]bool{}, seen: map[automation.AttemptKey]*seen{}}
}

// logged notes that an attempt's own outcome counted.
func (w *world) logged(k automation.AttemptKey, o *automation.Outcome) {
	if o.State == automation.ItemSucceeded || o.Error != nil && o.Error.Message == saidNo {
		w.whole[k] = true
	}
}

// follow reads what the attempts of all runs have logged since it was called last.
func (w *world) follow() {
	if w.every == 0 { // for time's sake
		return
	}
	marks := map[automation.RunID][]store.LogMark{}
	w.mu.Lock()
	for k := range w.wrote {
		s := w.seen[k]
		if s == nil {
			s = &seen{}
			w.seen[k] = s
		}
		if !s.whole {
			marks[k.Run] = append(marks[k.Run], store.LogMark{Attempt: k, Chunk: s.chunk})
		}
	}
	w.mu.Unlock()
	for run, of := range marks {
		logs, err := w.store.LogsSince(context.Background(), automation.DefaultTenant, run, of, len(of))
		if err != nil {
			w.violate("follow the lines of run %s: %v", run, err)
		}
		for i := range logs {
			w.read(&logs[i])
		}
	}
}

// read takes in what who follows was given of one attempt.
func (w *world) read(l *store.AttemptLogs) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s, lines := w.seen[l.Attempt], messages(l)
	switch {
	case s == nil:
		w.broke("%v was not asked for, and logs", l.Attempt)
		return
	case l.Chunk > 0:
		w.counts["chunks read"]++
		s.lines, s.chunk = append(s.lines, lines...), l.Chunk
	case !begins(lines, s.lines):
		w.broke("%v: who follows has %q, and the whole log is %q", l.Attempt, s.lines, lines)
	default:
		s.lines, s.whole = lines, true
	}
	if !begins(w.wrote[l.Attempt], s.lines) {
		w.broke("%v: who follows has %q; it wrote %q", l.Attempt, s.lines, w.wrote[l.Attempt])
	}
}

func messages(l *store.AttemptLogs) []string {
	out := make([]string, len(l.Lines))
	for i := range l.Lines {
		out[i] = l.Lines[i].Message
	}
	return out
}

// begins reports whether all begins with some.
func begins(all, some []string) bool {
	return len(some) <= len(all) && slices.Equal(all[:len(some)], some)
}

// logsAtTheEnd checks what is stored of a run's logs: of each attempt that has ended by
// itself all that it wrote, of each other the beginning; and no chunk beside a whole log.
func (w *world) logsAtTheEnd(id automation.RunID) {
	if w.every == 0 {
		return
	}
	logs, err := w.store.RunLogs(context.Background(), automation.DefaultTenant, id, automation.AttemptKey{}, 1<<20)
	if err != nil {
		w.violate("read the logs of run %s: %v", id, err)
	}
	there := map[automation.AttemptKey]bool{}
	for i := range logs {
		l := &logs[i]
		k, lines := l.Attempt, messages(l)
		if there[k] {
			w.violate("%v has two logs", k)
		}
		there[k] = l.Chunk == 0
		if l.Chunk > 0 {
			w.hit("logs that stay partial")
		}
		if wrote := w.wrote[k]; !begins(wrote, lines) || l.Chunk == 0 && len(lines) < len(wrote) {
			w.violate("%v has logged %q (partial: %t); it wrote %q", k, lines, l.Chunk > 0, wrote)
		}
		if s := w.seen[k]; s == nil || !slices.Equal(s.lines, lines) {
			w.violate("%v has logged %q; who follows has not read the same", k, lines)
		}
	}
	for k := range w.whole {
		if k.Run == id && !there[k] {
			w.violate("%v has ended, and its whole log is not stored", k)
		}
	}
	if left := w.store.Doubled(id); len(left) > 0 {
		w.violate("of %v chunks are stored beside the whole log", left)
	}
}
