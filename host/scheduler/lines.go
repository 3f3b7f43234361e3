package scheduler

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
	"opsconductor.dev/host/worker"
)

// The bounds of one call that stores what attempts at work have logged: what is
// beyond them waits for the next, those first that waited longest.
const (
	linesRows  = 1024
	linesBytes = 4 << 20
)

// lines stores what attempts at work have logged, before their outcomes do. A store
// that fails costs nobody anything but that: the outcome has all lines.
type lines struct {
	logs  worker.Logs
	store store.LiveLogs
	every time.Duration
	now   func() time.Time
	log   *slog.Logger
	rows  int
	bytes int

	mu sync.Mutex
	// stored has the attempts of which something is stored, or may be.
	stored map[automation.AttemptKey]*stored
}

// stored is how much of an attempt's log is stored.
type stored struct {
	chunk, lines int
	// sent is how many lines behind these were sent as the next chunk; its answer is
	// not known, so that it goes again as it was.
	sent int
	last time.Time // when it was sent something
	over bool      // its outcome was reported
}

func newLines(c Config) *lines {
	return &lines{
		logs: c.Logs, store: c.Store, every: c.LogsEvery, now: c.Now, log: c.Log, rows: linesRows, bytes: linesBytes,
		stored: map[automation.AttemptKey]*stored{},
	}
}

// over notes that an attempt's outcome is reported, and says whether a part of its
// log may be stored.
func (l *lines) over(k automation.AttemptKey) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.stored[k]
	if s == nil {
		return false
	}
	s.over = true
	return true
}

// keep stores what the attempts of one epoch of the host log, until ctx is done.
func (l *lines) keep(ctx context.Context, host automation.Host) {
	if l.logs == nil || l.every == 0 {
		return
	}
	tick := time.NewTicker(l.every)
	defer tick.Stop()
	failed := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		err := l.flush(ctx, host)
		if err != nil && !failed && ctx.Err() == nil && !errors.Is(err, store.ErrFenced) {
			l.log.Warn("store what attempts at work log; it comes with their outcomes", slog.Any("error", err))
		}
		failed = err != nil
	}
}

// flush stores what is new in one call; without anything new there is none.
func (l *lines) flush(ctx context.Context, host automation.Host) error {
	chunks := l.gather(host.Epoch)
	if len(chunks) == 0 {
		return nil
	}
	if err := l.store.PutLiveLogs(ctx, host.ID, host.Epoch, chunks); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range chunks {
		s := l.stored[chunks[i].Attempt]
		s.chunk, s.lines, s.sent = chunks[i].Chunk, s.lines+s.sent, 0
	}
	return nil
}

// gather makes the next chunk of each attempt that has new lines.
func (l *lines) gather(epoch int64) []store.LiveLog {
	logging, now := l.logs.Logging(), l.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.forget(logging)
	slices.SortStableFunc(logging, func(a, b worker.Logging) int { return l.last(a).Compare(l.last(b)) })
	var chunks []store.LiveLog
	left := l.bytes
	for _, at := range logging {
		if len(chunks) == l.rows || left <= 0 {
			break
		}
		if at.Attempt.HostEpoch != epoch || now.Sub(at.Started) < l.every {
			continue
		}
		if c, ok := l.chunk(&at, now, &left); ok {
			chunks = append(chunks, c)
		}
	}
	return chunks
}

// chunk is the next chunk of an attempt, if it has new lines. Whether there are any is
// asked under the lock: an attempt that reports after it (over) finds that it was sent.
func (l *lines) chunk(at *worker.Logging, now time.Time, left *int) (store.LiveLog, bool) {
	k := at.Attempt.AttemptKey
	s := l.stored[k]
	if s == nil {
		s = &stored{}
	}
	news := at.Logged.Since(s.lines)
	if len(news) == 0 {
		return store.LiveLog{}, false
	}
	if s.sent == 0 {
		s.sent = fit(news, *left)
	}
	for _, line := range news[:s.sent] {
		*left -= len(line.Message)
	}
	s.last = now
	l.stored[k] = s
	return store.LiveLog{Tenant: at.Attempt.Tenant, Attempt: k, Chunk: s.chunk + 1, Lines: news[:s.sent]}, true
}

// fit returns how many of the lines have room in so many bytes; at least one.
func fit(lines []automation.LogLine, bytes int) int {
	for i := range lines {
		if bytes -= len(lines[i].Message); bytes < 0 {
			return max(i, 1)
		}
	}
	return len(lines)
}

func (l *lines) last(at worker.Logging) time.Time {
	if s := l.stored[at.Attempt.AttemptKey]; s != nil {
		return s.last
	}
	return time.Time{}
}

// forget drops the attempts that have reported and log no more.
func (l *lines) forget(logging []worker.Logging) {
	if len(l.stored) == 0 {
		return
	}
	there := make(map[automation.AttemptKey]bool, len(logging))
	for i := range logging {
		there[logging[i].Attempt.AttemptKey] = true
	}
	for k, s := range l.stored {
		if s.over && !there[k] {
			delete(l.stored, k)
		}
	}
}
