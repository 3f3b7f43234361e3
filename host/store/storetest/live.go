package storetest

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
)

// said returns lines with these messages.
func said(messages ...string) []automation.LogLine {
	var out []automation.LogLine
	for _, m := range messages {
		out = append(out, automation.LogLine{At: start(), Level: "info", Message: m})
	}
	return out
}

// shown is what was read of logs: "step.item.attempt messages", with the chunk that
// they go to.
func shown(list []store.AttemptLogs) []string {
	out := []string{}
	for _, l := range list {
		var messages []string
		for _, line := range l.Lines {
			messages = append(messages, line.Message)
		}
		text := fmt.Sprintf("%d.%d.%d %s", l.Attempt.Step, l.Attempt.Item, l.Attempt.Attempt, strings.Join(messages, " "))
		if l.Chunk > 0 {
			text += fmt.Sprintf(" (%d)", l.Chunk)
		}
		out = append(out, text)
	}
	return out
}

// living is a fixture with a host and a run whose attempts log.
type living struct {
	*fixture
	epoch, lead int64
	run         automation.RunID
}

func setupLiving(t *testing.T, b Backend) *living {
	t.Helper()
	f := &living{fixture: setup(t, b)}
	h, err := f.st.RegisterHost(t.Context(), automation.Host{ID: "h", Name: "h"})
	f.must(err)
	f.epoch, f.lead, f.run = h.Epoch, f.fixture.lead("h"), f.accept().ID
	return f
}

func (f *living) key(step, item, attempt int) automation.AttemptKey {
	return automation.AttemptKey{Run: f.run, Step: step, Item: item, Attempt: attempt}
}

func (f *living) chunk(k automation.AttemptKey, number int, messages ...string) store.LiveLog {
	return store.LiveLog{Tenant: tenant, Attempt: k, Chunk: number, Lines: said(messages...)}
}

func (f *living) put(chunks ...store.LiveLog) {
	f.t.Helper()
	f.must(f.st.PutLiveLogs(f.t.Context(), "h", f.epoch, chunks))
}

// whole stores an attempt's whole log.
func (f *living) whole(k automation.AttemptKey, live bool, messages ...string) {
	f.t.Helper()
	f.must(f.st.Append(f.t.Context(), store.Batch{Host: "h", Epoch: f.lead, Logs: []store.AttemptLogs{
		{Tenant: tenant, Attempt: k, Lines: said(messages...), Live: live},
	}}))
}

func (f *living) read(after automation.AttemptKey, limit int) []string {
	f.t.Helper()
	list, err := f.st.RunLogs(f.t.Context(), tenant, f.run, after, limit)
	f.must(err)
	return shown(list)
}

func (f *living) since(limit int, marks ...store.LogMark) []string {
	f.t.Helper()
	list, err := f.st.LogsSince(f.t.Context(), tenant, f.run, marks, limit)
	f.must(err)
	return shown(list)
}

// left fails unless the table has as many rows of the run as it should.
func (f *living) left(what string, want int) {
	f.t.Helper()
	statement := fmt.Sprintf(`INSERT INTO windows (id) SELECT 'x' WHERE (SELECT count(*) FROM live_logs WHERE run_id = '%s') <> %d`, f.run, want) // fails when it is another number
	if err := f.b.Exec(f.t, f.st, statement); err != nil {
		f.t.Errorf("%s: there are not %d chunks left: %v", what, want, err)
	}
}

// liveLogs: chunks are read as a part of a log, and give way to the whole of it.
func liveLogs(t *testing.T, b Backend) {
	f := setupLiving(t, b)
	long := strings.Repeat("long ", 500)
	one, two, three := f.key(0, 0, 1), f.key(0, 1, 1), f.key(1, 0, 2)
	wake, stop := f.st.Wake(store.TopicLines)
	defer stop()
	drainWake(wake)
	f.put(f.chunk(one, 1, "a", long), f.chunk(three, 1, "x"))
	select {
	case <-wake:
	case <-t.Context().Done():
		t.Fatal("what was logged wakes the readers")
	}
	f.put(f.chunk(one, 2, "b"), f.chunk(one, 2, "again"), f.chunk(three, 1, "again", "and more"))
	equal(t, "a chunk that is there already is passed over", f.read(automation.AttemptKey{}, 10), []string{"0.0.1 a " + long + " b (2)", "1.0.2 x (1)"})
	f.left("two attempts", 3)
	equal(t, "the second page", f.read(one, 10), []string{"1.0.2 x (1)"})
	f.whole(two, false, "whole")
	equal(t, "one attempt a page", f.read(automation.AttemptKey{}, 1), []string{"0.0.1 a " + long + " b (2)"})
	equal(t, "one attempt a page, the second", f.read(one, 1), []string{"0.1.1 whole"})

	// Between two pages the first and the last end: the cursor holds.
	f.whole(one, true, "a", long, "b", "c")
	f.whole(three, true, "x", "y")
	equal(t, "the page after", f.read(two, 10), []string{"1.0.2 x y"})
	equal(t, "all", f.read(automation.AttemptKey{}, 10), []string{"0.0.1 a " + long + " b c", "0.1.1 whole", "1.0.2 x y"})
	f.left("all have ended", 0)
	f.put(f.chunk(one, 3, "late"), f.chunk(two, 1, "late"))
	f.left("chunks of what has ended", 0)

	// The host's outcome came without its mark (another version's): the whole log counts.
	f.put(f.chunk(f.key(2, 0, 1), 1, "part"))
	f.whole(f.key(2, 0, 1), false, "part", "rest")
	equal(t, "the whole beside its parts", f.read(three, 10), []string{"2.0.1 part rest"})
	f.whole(f.key(3, 0, 1), true)
	equal(t, "an attempt with no line", f.read(f.key(2, 0, 1), 10), []string{})
}

// liveLogsOfLost: what an attempt logged stays when its host is lost; nothing that
// the host still writes counts.
func liveLogsOfLost(t *testing.T, b Backend) {
	f := setupLiving(t, b)
	lost := f.key(0, 0, 1)
	f.put(f.chunk(lost, 1, "a"))
	late := []store.LiveLog{f.chunk(lost, 2, "b")}
	wantErr(t, "a host that is not there", f.st.PutLiveLogs(t.Context(), "none", 1, late), store.ErrFenced)
	wantErr(t, "an epoch of tomorrow", f.st.PutLiveLogs(t.Context(), "h", f.epoch+1, late), store.ErrFenced)
	f.must(f.st.ReapHost(t.Context(), "h", f.epoch, automation.HostLost))
	wantErr(t, "a host that was reaped", f.st.PutLiveLogs(t.Context(), "h", f.epoch, late), store.ErrFenced)
	f.must(f.st.Append(t.Context(), store.Batch{Host: "h", Epoch: f.lead, Logs: []store.AttemptLogs{{Tenant: tenant, Attempt: lost, Live: true}}}))
	f.whole(f.key(0, 0, 2), true, "second")
	equal(t, "the logs", f.read(automation.AttemptKey{}, 10), []string{"0.0.1 a (1)", "0.0.2 second"})
}

// logsSince: each attempt's news behind what somebody has of it.
func logsSince(t *testing.T, b Backend) {
	f := setupLiving(t, b)
	var marks []store.LogMark
	for i := range 6 {
		marks = append(marks, store.LogMark{Attempt: f.key(0, i, 1)})
	}
	for i := range marks {
		marks[i].Attempt.Run = "" // it is not looked at
	}
	equal(t, "nothing yet", f.since(10, marks...), []string{})
	f.put(f.chunk(f.key(0, 0, 1), 1, "a"), f.chunk(f.key(0, 0, 1), 2, "b"), f.chunk(f.key(0, 3, 1), 1, "c"), f.chunk(f.key(1, 0, 1), 1, "of another"))
	f.whole(f.key(0, 2, 1), false, "w")
	f.whole(f.key(0, 2, 2), false, "another attempt")
	equal(t, "from the beginning", f.since(10, marks...), []string{"0.0.1 a b (2)", "0.2.1 w", "0.3.1 c (1)"})
	equal(t, "two of them", f.since(2, marks...), []string{"0.0.1 a b (2)", "0.2.1 w"})
	marks[0].Chunk, marks[3].Chunk = 1, 1
	equal(t, "behind the marks", f.since(10, marks...), []string{"0.0.1 b (2)", "0.2.1 w"})
	f.whole(f.key(0, 3, 1), true, "c", "d")
	equal(t, "one has ended", f.since(10, marks...), []string{"0.0.1 b (2)", "0.2.1 w", "0.3.1 c d"})
	equal(t, "nobody is asked for", f.since(10), []string{})
	_, err := f.st.LogsSince(t.Context(), other, f.run, marks, 10)
	wantCode(t, "another tenant's run", err, automation.CodeNotFound)
	_, err = f.st.LogsSince(t.Context(), tenant, f.run, marks, 0)
	wantCode(t, "no limit", err, automation.CodeInvalid)
}

// liveLogsRetention: what lost attempts had logged goes with their run.
func liveLogsRetention(t *testing.T, b Backend) {
	f := setupLiving(t, b)
	now := time.Now()
	f.sweep(store.Sweep{Now: now})
	day := now.AddDate(0, 0, 3)
	old, open := f.acceptOn(day, 1, f.lead), f.acceptOn(day.AddDate(0, 0, 1), 1, f.lead)
	f.put(f.chunk(automation.AttemptKey{Run: old, Attempt: 2}, 1, "a"), f.chunk(automation.AttemptKey{Run: old, Attempt: 2}, 2, "b"),
		f.chunk(automation.AttemptKey{Run: open, Attempt: 2}, 1, "c"))
	f.end(old, f.lead)
	equal(t, "runs that were removed", f.sweep(store.Sweep{Now: now, Before: day.AddDate(0, 0, 7)}).Runs, int64(1))
	f.run = old
	f.left("the run was removed", 0)
	f.run = open
	f.left("the run is open", 1)
}

// wholeWhileRead: what an attempt has logged is there at every moment, also when its
// whole log takes the place of the chunks between two statements of a read.
func wholeWhileRead(t *testing.T, b Backend) {
	f := setupLiving(t, b)
	const attempts = 60
	var now atomic.Int64 // the attempt that has logged something, and every one before it
	done := make(chan struct{})
	var writer sync.WaitGroup
	defer writer.Wait()
	writer.Go(func() {
		defer close(done)
		for n := 1; n <= attempts; n++ {
			k := f.key(0, 0, n)
			err := f.st.PutLiveLogs(t.Context(), "h", f.epoch, []store.LiveLog{f.chunk(k, 1, "a")})
			now.Store(int64(n))
			err = errors.Join(err, f.st.Append(t.Context(), store.Batch{Host: "h", Epoch: f.lead, Logs: []store.AttemptLogs{{Tenant: tenant, Attempt: k, Lines: said("a"), Live: true}}}))
			if err != nil {
				t.Errorf("write: %v", err)
				return
			}
		}
	})
	for over := false; !over; {
		select {
		case <-done:
			over = true
		default:
		}
		n := int(now.Load())
		if n == 0 {
			continue
		}
		marks := []store.LogMark{{Attempt: f.key(0, 0, n)}}
		if got := f.since(1, marks...); len(got) != 1 {
			t.Errorf("since: the lines of attempt %d are not there", n)
		}
		if got := f.read(f.key(0, 0, n-1), 1); len(got) != 1 || !strings.HasPrefix(got[0], fmt.Sprintf("0.0.%d a", n)) {
			t.Errorf("read: %q; want attempt %d", got, n)
		}
	}
}
