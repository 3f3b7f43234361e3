package scheduler_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/scheduler"
	"opsconductor.dev/host/store"
	"opsconductor.dev/host/worker"
)

// often is how often the tests' hosts store what is logged.
const often = 20 * time.Millisecond

// book is what one attempt of the tests logs.
type book struct {
	mu     sync.Mutex
	at     worker.Logging
	lines  []automation.LogLine
	closed bool
	end    chan struct{}
}

func newBook(a automation.Attempt) *book {
	b := &book{end: make(chan struct{})}
	b.at = worker.Logging{Attempt: a, Started: time.Now(), Logged: b}
	return b
}

func (b *book) say(messages ...string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, m := range messages {
		b.lines = append(b.lines, automation.LogLine{At: time.Now().UTC(), Level: "info", Message: m})
	}
}

func (b *book) Since(n int) []automation.LogLine {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil
	}
	return slices.Clone(b.lines[min(n, len(b.lines)):])
}

func (b *book) close() []automation.LogLine {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	return b.lines
}

// speaker executes attempts that log what the test has them say, until it ends them.
type speaker struct {
	mu    sync.Mutex
	books map[automation.AttemptKey]*book
	begun chan *book
	young bool // its attempts are young for as long as they last
}

func newSpeaker() *speaker {
	return &speaker{books: map[automation.AttemptKey]*book{}, begun: make(chan *book, 100)}
}

// add adds attempts, all at the same moment.
func (s *speaker) add(list ...*book) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range list {
		s.books[b.at.Attempt.AttemptKey] = b
	}
}

func (s *speaker) Logging() (out []worker.Logging) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range s.books {
		out = append(out, b.at)
	}
	slices.SortFunc(out, func(a, b worker.Logging) int { return a.Attempt.Compare(b.Attempt.AttemptKey) })
	return out
}

// endless is the log of an attempt that always has more lines than one call takes.
type endless struct{ line string }

func (e endless) Since(int) []automation.LogLine {
	return slices.Repeat([]automation.LogLine{{Level: "info", Message: e.line}}, 5)
}

func (s *speaker) Execute(ctx context.Context, a automation.Attempt, _ worker.Intent) automation.Outcome {
	b := newBook(a)
	if s.young {
		b.at.Started = time.Now().Add(time.Hour)
	}
	s.add(b)
	s.begun <- b
	select {
	case <-b.end:
	case <-ctx.Done():
	}
	lines := b.close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.books, a.AttemptKey)
	return automation.Outcome{State: automation.ItemSucceeded, Logs: lines}
}

// ear is a store that hears what is written of logs, and fails when it is told to.
type ear struct {
	store.Store
	mu    sync.Mutex
	calls [][]store.LiveLog
	whole []store.AttemptLogs
	// lose is how many calls' answers are lost after they were stored, refuse how many
	// are not stored.
	lose, refuse int
}

func (e *ear) PutLiveLogs(ctx context.Context, host automation.HostID, epoch int64, chunks []store.LiveLog) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.refuse > 0 {
		e.refuse--
		return errBroken()
	}
	e.calls = append(e.calls, chunks)
	err := e.Store.PutLiveLogs(ctx, host, epoch, chunks)
	if e.lose > 0 {
		e.lose--
		return errBroken()
	}
	return err
}

func (e *ear) Append(ctx context.Context, b store.Batch) error {
	e.mu.Lock()
	e.whole = append(e.whole, b.Logs...)
	e.mu.Unlock()
	return e.Store.Append(ctx, b)
}

func (e *ear) heard() (calls [][]store.LiveLog, whole []store.AttemptLogs) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.calls), slices.Clone(e.whole)
}

// speak runs a host whose attempts log.
func (f *fixture) speak(st scheduler.Store, s *speaker) {
	f.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	l := scheduler.New(scheduler.Config{
		Store: st, Executor: s, Logs: s, LogsEvery: often, Host: "01900000-0000-7000-8000-000000000001", Name: "h", Slots: 16, Alone: true, Drain: time.Millisecond,
	})
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := l.Run(ctx); err != nil {
			f.t.Errorf("the loop ended: %v", err)
		}
	})
	f.t.Cleanup(func() { cancel(); wg.Wait() })
}

// logs returns what a run has logged: "step.item.attempt message …", with a star when
// it is a part.
func (f *fixture) logs(run automation.RunID) string {
	f.t.Helper()
	list, err := f.st.RunLogs(f.t.Context(), automation.DefaultTenant, run, automation.AttemptKey{}, 1000)
	if err != nil {
		f.t.Fatal(err)
	}
	var out []string
	for _, l := range list {
		text := fmt.Sprintf("%d.%d.%d", l.Attempt.Step, l.Attempt.Item, l.Attempt.Attempt)
		for _, line := range l.Lines {
			text += " " + line.Message
		}
		if l.Chunk > 0 {
			text += "*"
		}
		out = append(out, text)
	}
	return strings.Join(out, "; ")
}

func (f *fixture) logged(run automation.RunID, want string) {
	f.t.Helper()
	f.eventually("the log is "+want, func() bool { return f.logs(run) == want })
}

// TestLinesBeforeTheOutcome: what an attempt logs is stored while it is at work, and
// gives way to its whole log.
func TestLinesBeforeTheOutcome(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, setup func(testing.TB) *fixture) {
		f := setup(t)
		s, st := newSpeaker(), &ear{Store: f.st}
		f.speak(st, s)
		run := f.submit(wide(automation.EffectPure, 2))
		first, second := <-s.begun, <-s.begun
		if first.at.Attempt.Step > second.at.Attempt.Step {
			first, second = second, first
		}
		first.say("a")
		f.logged(run, "0.0.1 a*")
		first.say("b", "c")
		second.say("x")
		f.logged(run, "0.0.1 a b c*; 1.0.1 x*")
		first.say("d")
		close(first.end)
		f.logged(run, "0.0.1 a b c d; 1.0.1 x*")
		close(second.end)
		f.await(run, ended)
		f.logged(run, "0.0.1 a b c d; 1.0.1 x")
		calls, whole := st.heard()
		for _, l := range whole {
			if !l.Live {
				t.Errorf("the whole log of step %d does not take the place of its parts", l.Attempt.Step)
			}
		}
		for _, chunks := range calls {
			if len(chunks) == 0 {
				t.Error("the store was called with nothing to store")
			}
		}
	})
}

// TestShortAttemptsAreLeftAlone: an attempt that ends within the time of one flush, or
// logs nothing, costs no call of the store, and its log no statement more.
func TestShortAttemptsAreLeftAlone(t *testing.T) {
	t.Parallel()
	f := setup(t)
	s, st := newSpeaker(), &ear{Store: f.st}
	s.young = true
	var loop sync.WaitGroup
	defer loop.Wait()
	loop.Go(func() {
		for n := range 20 {
			b := <-s.begun
			if n%2 == 0 {
				b.say("quick")
			}
			<-time.After(2 * often)
			close(b.end)
		}
	})
	f.speak(st, s)
	f.await(f.submit(wide(automation.EffectPure, 20)), ended)
	calls, whole := st.heard()
	if len(calls) != 0 || len(whole) != 10 {
		t.Errorf("%d calls for %d logs; want none for 10", len(calls), len(whole))
	}
	for _, l := range whole {
		if l.Live {
			t.Errorf("the log of step %d is said to have parts", l.Attempt.Step)
		}
	}
}

// TestLinesGoAgain: a call that fails, stored or not, loses and doubles no line, and
// the attempt goes on.
func TestLinesGoAgain(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, setup func(testing.TB) *fixture) {
		f := setup(t)
		s, st := newSpeaker(), &ear{Store: f.st, lose: 2, refuse: 2}
		f.speak(st, s)
		run := f.submit(steps(automation.EffectPure, 1))
		b := <-s.begun
		want := "0.0.1"
		for i := range 50 {
			b.say(fmt.Sprint(i))
			want += fmt.Sprintf(" %d", i)
			<-time.After(often / 4)
		}
		f.logged(run, want+"*")
		close(b.end)
		if got := f.await(run, ended); got.State != automation.RunSucceeded {
			t.Errorf("the run is %s: %v", got.State, got.Error)
		}
		if got := f.logs(run); got != want {
			t.Errorf("got %s; want %s", got, want)
		}
	})
}

// TestLinesAreBounded: one call stores so many attempts' lines and so many bytes; the
// others' turn comes.
func TestLinesAreBounded(t *testing.T) {
	t.Parallel()
	f := setup(t)
	s, st := newSpeaker(), &ear{Store: f.st}
	f.speak(st, s)
	run := f.submit(steps(automation.EffectPure, 1))
	one := <-s.begun
	defer close(one.end)
	var all []*book
	for i := range 1100 {
		a := one.at.Attempt
		a.Item = 1 + i
		b := newBook(a)
		b.say("x")
		all = append(all, b)
	}
	for i := range 6 {
		a := one.at.Attempt
		a.Item = 2000 + i
		b := newBook(a)
		b.say(strings.Repeat("x", 1<<20), strings.Repeat("y", 1<<20))
		all = append(all, b)
	}
	old := one.at.Attempt
	old.Item, old.HostEpoch = 2500, old.HostEpoch-1
	another := newBook(old) // of an epoch that is over
	another.say("old")
	s.add(append(all, another)...)
	f.eventually("all is stored", func() bool {
		marks := make([]store.LogMark, 3000)
		for i := range marks {
			marks[i].Attempt = automation.AttemptKey{Item: i, Attempt: 1}
		}
		list, err := f.st.LogsSince(t.Context(), automation.DefaultTenant, run, marks, 3000)
		n := 0
		for _, l := range list {
			n += len(l.Lines)
		}
		return err == nil && n == 1100+12
	})
	calls, _ := st.heard()
	for _, chunks := range calls {
		bytes := 0
		for _, c := range chunks {
			for _, l := range c.Lines {
				bytes += len(l.Message)
			}
			if c.Attempt == old.AttemptKey {
				t.Error("an attempt of an epoch that is over was stored")
			}
		}
		if len(chunks) > 1024 || bytes > 5<<20 {
			t.Errorf("one call has %d chunks and %d bytes; want 1,024 and 4 MiB (and a line) at most", len(chunks), bytes)
		}
	}
}

// TestLinesTakeTurns: an attempt that fills every call does not keep the others out.
func TestLinesTakeTurns(t *testing.T) {
	t.Parallel()
	f := setup(t)
	s, st := newSpeaker(), &ear{Store: f.st}
	f.speak(st, s)
	run := f.submit(steps(automation.EffectPure, 1))
	one := <-s.begun
	defer close(one.end)
	for i := range 3 {
		a := one.at.Attempt
		a.Item = 1 + i
		b := newBook(a)
		if b.say("x"); i == 0 {
			b.at.Logged = endless{strings.Repeat("x", 1<<20)}
		}
		s.add(b)
	}
	f.eventually("the others' lines", func() bool {
		marks := []store.LogMark{{Attempt: automation.AttemptKey{Item: 2, Attempt: 1}}, {Attempt: automation.AttemptKey{Item: 3, Attempt: 1}}}
		list, err := f.st.LogsSince(t.Context(), automation.DefaultTenant, run, marks, 10)
		return err == nil && len(list) == 2
	})
}

// TestLinesOutliveTheirHost: what an attempt on a host that was lost had logged stays,
// beside the log of the one after it.
func TestLinesOutliveTheirHost(t *testing.T) {
	t.Parallel()
	f := setupPostgres(t)
	a, b := newSpeaker(), newSpeaker()
	leader := f.join("a", hostSettings{slots: 1, execute: a.Execute, logs: a})
	f.leads(leader)
	other := f.join("b", hostSettings{slots: 4, drain: time.Millisecond, execute: b.Execute, logs: b})
	f.joined(other)
	run := f.submit(wide(automation.EffectPure, 3))
	mine, lost, ends := <-a.begun, <-b.begun, <-b.begun
	mine.say("mine")
	lost.say("lost")
	ends.say("ends")
	name := func(b *book, text string) string {
		return fmt.Sprintf("%d.0.%d %s", b.at.Attempt.Step, b.at.Attempt.Attempt, text)
	}
	all := func(parts ...string) string { slices.Sort(parts); return strings.Join(parts, "; ") }
	f.logged(run, all(name(mine, "mine*"), name(lost, "lost*"), name(ends, "ends*")))
	close(ends.end) // reported by a host that does not lead
	f.logged(run, all(name(mine, "mine*"), name(lost, "lost*"), name(ends, "ends")))
	other.kill()
	close(mine.end)
	again := <-a.begun
	again.say("again")
	close(again.end)
	if got := f.await(run, ended); got.State != automation.RunSucceeded {
		t.Errorf("the run is %s: %v", got.State, got.Error)
	}
	leader.st.mu.Lock()
	defer leader.st.mu.Unlock()
	for _, l := range leader.st.whole {
		if of := l.Attempt == ends.at.Attempt.AttemptKey || l.Attempt == mine.at.Attempt.AttemptKey; of && !l.Live {
			t.Errorf("the whole log of %v does not take the place of its parts", l.Attempt)
		}
	}
	if got, want := f.logs(run), all(name(mine, "mine"), name(lost, "lost*"), name(ends, "ends"), name(again, "again")); got != want {
		t.Errorf("got %s; want %s", got, want)
	}
}
