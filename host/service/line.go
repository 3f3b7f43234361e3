package service

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
)

const (
	// linesEvery is how often a follower of lines asks for those of attempts at work.
	linesEvery = time.Second
	// linesGap is how often it looks whether some have ended, at most.
	linesGap = 100 * time.Millisecond
	// marksAtOnce and logsAtOnce bound one read: how many attempts it asks for, and
	// how many answer.
	marksAtOnce = 1000
	logsAtOnce  = 64
)

// Line is one line that an attempt logged.
type Line struct {
	Step    string `json:"step"`
	Item    int    `json:"item"`
	Target  string `json:"target,omitempty"` // the target's name
	Attempt int    `json:"attempt"`
	// N is the line's number in its attempt, from 1: the same however often it is read.
	N int `json:"n"`
	automation.LogLine
}

// Lines calls yield with the lines that attempts of a run have logged, of one step or
// ("") of all: first those that there are, then those that come, about a second after
// they were logged, until the run has ended and all were given (then it returns nil),
// yield fails (its error is returned as it is) or ctx is done. The lines of an attempt
// come in order, each once. yield is called from the caller's goroutine, and nothing
// waits for it but this call.
func (s *Service) Lines(ctx context.Context, p automation.Principal, id automation.RunID, step string, yield func(Line) error) error {
	run, err := s.runWithStep(ctx, p, id, step)
	if err != nil {
		return err
	}
	f := newLineFollower(s, run, step, yield)
	defer f.stop()
	for {
		ended, err := f.look(ctx)
		if err == nil {
			err = f.give(ctx)
		}
		if err != nil || ended {
			return err
		}
		if err := f.wait(ctx); err != nil {
			return err
		}
	}
}

// CheckLines returns the error with which Lines would begin: the run or the step (""
// is none) is not there, or not for the caller to read. It reads no log.
func (s *Service) CheckLines(ctx context.Context, p automation.Principal, id automation.RunID, step string) error {
	_, err := s.runWithStep(ctx, p, id, step)
	return err
}

// runWithStep returns a run that the caller may read and that has the step; "" is none.
func (s *Service) runWithStep(ctx context.Context, p automation.Principal, id automation.RunID, step string) (automation.Run, error) {
	if err := s.authorise(p, opRunRead); err != nil {
		return automation.Run{}, err
	}
	run, err := s.findRun(ctx, p.Tenant, id)
	if err != nil {
		return automation.Run{}, err
	}
	program, err := s.program(ctx, run.Tenant, run.PlanHash)
	if err != nil {
		return automation.Run{}, err
	}
	if _, _, unknown := stepRange(program.Plan(), step); unknown != nil {
		return automation.Run{}, unknown
	}
	return run, nil
}

// lineFollower is one call of Lines. What happens to the run's items says which
// attempts to look at: those at work from time to time, one that has ended once more.
type lineFollower struct {
	service *Service
	run     automation.Run
	step    string
	yield   func(Line) error

	after   Cursor
	follows map[automation.AttemptKey]*followed
	// told is each item's latest attempt that has ended and had lines: the item's later
	// events name it again.
	told map[[2]int]int

	entries, lines <-chan struct{}
	stop           func()
	live           bool // those at work are to be looked at too
	looked         time.Time
}

// followed is an attempt, and what of its log was given.
type followed struct {
	step, target  string
	chunk, lines  int
	whole, isOver bool
}

func newLineFollower(s *Service, run automation.Run, step string, yield func(Line) error) *lineFollower {
	f := &lineFollower{
		service: s, run: run, step: step, yield: yield, live: true,
		follows: map[automation.AttemptKey]*followed{}, told: map[[2]int]int{},
	}
	entries, stopEntries := s.store.Wake(store.TopicEntries)
	lines, stopLines := s.store.Wake(store.TopicLines)
	f.entries, f.lines, f.stop = entries, lines, func() { stopEntries(); stopLines() }
	return f
}

// look takes in what has happened to the run's items.
func (f *lineFollower) look(ctx context.Context) (ended bool, err error) {
	err = f.service.look(ctx, f.run, func(v *view) {
		for _, e := range v.behind(f.after) {
			f.after = e.Cursor()
			if e.Kind == EventItem && e.Attempt > 0 && (f.step == "" || f.step == e.Step) {
				f.take(v, e)
			}
		}
		ended = v.ended
	})
	return ended, err
}

func (f *lineFollower) take(v *view, e Event) {
	step, _, unknown := stepRange(v.plan, e.Step)
	if unknown != nil || f.told[[2]int{step, e.Item}] >= e.Attempt {
		return
	}
	k := automation.AttemptKey{Run: f.run.ID, Step: step, Item: e.Item, Attempt: e.Attempt}
	if f.follows[k] == nil {
		f.follows[k] = &followed{step: e.Step, target: e.Target}
	}
	f.follows[k].isOver = !e.State.Open()
}

// give gives what is new of the attempts that have ended, which are done with then,
// and, when it is time, of those at work.
func (f *lineFollower) give(ctx context.Context) error {
	all := f.live && time.Since(f.looked) >= linesEvery
	if all {
		f.live, f.looked = false, time.Now()
	}
	var keys []automation.AttemptKey
	for k, a := range f.follows {
		if all || a.isOver {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, automation.AttemptKey.Compare)
	for some := range slices.Chunk(keys, marksAtOnce) {
		if err := f.read(ctx, some); err != nil {
			return err
		}
	}
	for _, k := range keys {
		if a := f.follows[k]; a.isOver {
			delete(f.follows, k)
			if a.lines > 0 {
				f.told[[2]int{k.Step, k.Item}] = k.Attempt
			}
		}
	}
	return nil
}

// read gives what is new of some attempts.
func (f *lineFollower) read(ctx context.Context, keys []automation.AttemptKey) error {
	for {
		var marks []store.LogMark
		for _, k := range keys {
			if a := f.follows[k]; !a.whole {
				marks = append(marks, store.LogMark{Attempt: k, Chunk: a.chunk})
			}
		}
		if len(marks) == 0 {
			return nil
		}
		list, err := f.service.store.LogsSince(ctx, f.run.Tenant, f.run.ID, marks, logsAtOnce)
		if err != nil {
			return fault(err)
		}
		for i := range list {
			if err := f.tell(&list[i]); err != nil {
				return err
			}
		}
		if len(list) < logsAtOnce {
			return nil
		}
	}
}

// tell gives the lines of one attempt that were not given yet.
func (f *lineFollower) tell(l *store.AttemptLogs) error {
	a := f.follows[l.Attempt]
	news := l.Lines
	if a.whole = l.Chunk == 0; a.whole {
		news = news[min(a.lines, len(news)):]
	}
	for _, line := range news {
		a.lines++
		err := f.yield(Line{Step: a.step, Item: l.Attempt.Item, Target: a.target, Attempt: l.Attempt.Attempt, N: a.lines, LogLine: line})
		if err != nil {
			return err
		}
	}
	a.chunk = l.Chunk
	return nil
}

// wait returns when it is time to look again: something has happened in some run, or
// was logged, or for safety's sake after a while; not more often than the gap allows.
func (f *lineFollower) wait(ctx context.Context) error {
	began := time.Now()
	// Later than hosts tell of new lines: who looks between that is too early then.
	pause := 3*linesEvery/2 + rand.N(linesEvery) //nolint:gosec // jitter
	if f.live {                                  // it was too early for those at work
		pause = max(linesEvery-time.Since(f.looked), 0)
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-f.entries:
	case <-f.lines:
		f.live = true
	case <-timer.C:
		f.live = true
	case <-ctx.Done():
		return contextError(ctx)
	}
	timer.Reset(max(linesGap-time.Since(began), 0))
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return contextError(ctx)
	}
}
