package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"opsconductor.dev/host/automation"
)

// ErrDraining is the cause of the contexts of attempts that were cut short
// because their host stops.
var ErrDraining = errors.New("the host is stopping")

// Result is an attempt and how it ended.
type Result struct {
	Attempt automation.Attempt
	Outcome automation.Outcome
	// Live: a part of what it logged may have been stored while it was at work.
	Live bool
}

// Config is what a Worker needs.
type Config struct {
	Executor Executor
	// Report takes a result; it must not block. It is called once per attempt, while
	// Running still has it.
	Report func(Result)
	// Intend commits that an attempt is about to act (Intent, for a given attempt).
	Intend func(ctx context.Context, a automation.Attempt, command automation.Digest) error
	// Grace is how long an attempt may go on after its context is done before it is
	// given up; 0 is 10 s.
	Grace time.Duration
	Log   *slog.Logger
	// Now is the clock of the outcomes' times; nil is time.Now.
	Now func() time.Time
}

// Worker runs attempts, each in a goroutine of its own: who starts them bounds
// them. Its methods are safe for concurrent use.
type Worker struct {
	cfg Config
	wg  sync.WaitGroup

	mu sync.Mutex
	// running has the attempts at work, and how to stop them.
	running map[automation.AttemptKey]context.CancelCauseFunc
	closed  bool
	// abandoned counts attempts that did not stop in their grace.
	abandoned int
}

// New returns a worker.
func New(cfg Config) *Worker {
	if cfg.Grace == 0 {
		cfg.Grace = 10 * time.Second
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Worker{cfg: cfg, running: map[automation.AttemptKey]context.CancelCauseFunc{}}
}

// Start begins attempts under ctx, which gives them their values and not their
// end: Cancel and Drain do. It does not block. After Drain it starts nothing.
func (w *Worker) Start(ctx context.Context, attempts []automation.Attempt) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return
	}
	for i := range attempts {
		a := attempts[i]
		attempt, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
		w.running[a.AttemptKey] = cancel
		w.wg.Go(func() { w.run(attempt, a) })
	}
}

// Cancel stops an attempt with a cause; one that is not at work is passed over.
func (w *Worker) Cancel(key automation.AttemptKey, cause error) {
	w.mu.Lock()
	cancel := w.running[key]
	w.mu.Unlock()
	if cancel != nil {
		cancel(cause)
	}
}

// Running returns the attempts that are at work.
func (w *Worker) Running() map[automation.AttemptKey]bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	keys := make(map[automation.AttemptKey]bool, len(w.running))
	for k := range w.running {
		keys[k] = true
	}
	return keys
}

// AtWork returns how many attempts are at work.
func (w *Worker) AtWork() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.running)
}

// Abandoned returns how many attempts did not stop within their grace, so far.
func (w *Worker) Abandoned() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.abandoned
}

// Drain waits for the attempts at work until ctx is done, then cuts the rest
// short (ErrDraining) and waits for these. Every attempt has been reported when
// it returns. Nothing is started after it was called.
func (w *Worker) Drain(ctx context.Context) {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	done := make(chan struct{})
	var waiter sync.WaitGroup
	waiter.Go(func() { w.wg.Wait(); close(done) })
	select {
	case <-done:
	case <-ctx.Done():
		w.mu.Lock()
		for _, cancel := range w.running {
			cancel(ErrDraining)
		}
		w.mu.Unlock()
	}
	waiter.Wait()
}

// run executes one attempt and reports it.
func (w *Worker) run(ctx context.Context, a automation.Attempt) {
	start := w.cfg.Now()
	deadline := a.Timeout
	if deadline <= 0 {
		deadline = 24 * time.Hour
	}
	timed, stop := context.WithTimeoutCause(ctx, deadline, &automation.Error{
		Code:       automation.CodeTimeout,
		Message:    fmt.Sprintf("step %s: the attempt took longer than its timeout of %s", a.StepID, deadline),
		Suggestion: "give the step a longer timeout, or find out why it takes so long",
	})
	defer stop()
	o := w.guard(timed, a)
	if o.StartedAt.IsZero() {
		o.StartedAt = start
	}
	if o.EndedAt.IsZero() {
		o.EndedAt = w.cfg.Now()
	}
	if errors.Is(context.Cause(ctx), ErrDraining) && o.State == automation.ItemCancelled {
		o.State = automation.ItemFailed
		o.Error = &automation.Error{Code: automation.CodeHostLost, Message: "its host stopped before it had ended", CanRetry: true}
	}
	// Reported first: at every moment an attempt is at work or has been reported.
	w.cfg.Report(Result{Attempt: a, Outcome: o})
	w.mu.Lock()
	defer w.mu.Unlock()
	w.running[a.AttemptKey](nil)
	delete(w.running, a.AttemptKey)
}

// guard calls the executor, survives its panic, and gives it up when it does not
// return within its grace after ctx is done: an outcome in time is a promise.
func (w *Worker) guard(ctx context.Context, a automation.Attempt) automation.Outcome {
	out := make(chan automation.Outcome, 1)
	var intended sync.Once
	acts := make(chan struct{})
	intent := func(ctx context.Context, command automation.Digest) error {
		if a.Effect != automation.EffectOnce && a.Effect != automation.EffectGuarded {
			return nil
		}
		if err := context.Cause(ctx); err != nil {
			return err
		}
		err := w.cfg.Intend(ctx, a, command)
		if err == nil {
			intended.Do(func() { close(acts) })
		}
		return err
	}
	var call sync.WaitGroup
	call.Go(func() {
		defer func() {
			if r := recover(); r != nil {
				w.cfg.Log.Error("executor panicked", slog.Any("panic", r), slog.String("stack", string(debug.Stack())),
					slog.String("run_id", string(a.Run)), slog.String("step_id", a.StepID), slog.Int("attempt", a.Attempt))
				out <- broken(a, acts, &automation.Error{Code: automation.CodeInternal, Message: "a fault of the host ended the attempt; its log has the cause"})
			}
		}()
		out <- w.cfg.Executor.Execute(ctx, a, intent)
	})
	select {
	case o := <-out:
		return o
	case <-ctx.Done():
	}
	grace := time.NewTimer(w.cfg.Grace)
	defer grace.Stop()
	select {
	case o := <-out:
		return o
	case <-grace.C:
	}
	w.mu.Lock()
	w.abandoned++
	w.mu.Unlock()
	cause := automation.AsError(context.Cause(ctx))
	return broken(a, acts, &automation.Error{
		Code: automation.CodeTimeout, Message: cause.Message + fmt.Sprintf("; it did not stop within %s and was given up", w.cfg.Grace),
		Suggestion: cause.Suggestion,
	})
}

// broken is the outcome of an attempt whose executor did not give one: failed, or
// unknown when the attempt, or one before it of which nobody has heard, may have acted.
func broken(a automation.Attempt, acts <-chan struct{}, e *automation.Error) automation.Outcome {
	if a.Begun != nil {
		e.Phase = automation.PhaseAfter
		return automation.Outcome{State: automation.ItemUnknown, Error: e}
	}
	select {
	case <-acts:
		e.Phase = automation.PhaseAfter
		return automation.Outcome{State: automation.ItemUnknown, Error: e}
	default:
		return automation.Outcome{State: automation.ItemFailed, Error: e}
	}
}
