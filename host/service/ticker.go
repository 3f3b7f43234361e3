package service

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
)

const (
	// pollEvery is the safety net behind the store's wake-ups.
	pollEvery = time.Second
	// minGap and maxGap bound how often a reader looks while the log is busy: a
	// reader whose own run has no news looks less and less often.
	minGap = 5 * time.Millisecond
	maxGap = 100 * time.Millisecond
)

// ticker says when to look at the log again: when the store wakes it, at the
// latest after a jittered pause, and not more often than the gap allows.
type ticker struct {
	wake <-chan struct{}
	stop func()
	last time.Time
	gap  time.Duration
}

func newTicker(wake func(store.Topic) (<-chan struct{}, func())) *ticker {
	c, stop := wake(store.TopicEntries)
	return &ticker{wake: c, stop: stop, gap: minGap}
}

// wait returns nil when it is time to look again, an error when ctx is done.
// news says whether the last look found any.
func (t *ticker) wait(ctx context.Context, news bool) error {
	t.last = time.Now()
	t.gap = min(2*t.gap, maxGap)
	if news {
		t.gap = minGap
	}
	poll := time.NewTimer(pollEvery/2 + rand.N(pollEvery)) //nolint:gosec // jitter
	defer poll.Stop()
	select {
	case <-t.wake:
	case <-poll.C:
	case <-ctx.Done():
		return contextError(ctx)
	}
	left := t.gap - time.Since(t.last)
	if left <= 0 {
		return nil
	}
	poll.Reset(left)
	select {
	case <-poll.C:
		return nil
	case <-ctx.Done():
		return contextError(ctx)
	}
}

// contextError is the error of a call whose context is done.
func contextError(ctx context.Context) error {
	e := &automation.Error{Code: automation.CodeCancelled, Message: "the caller has gone", Err: context.Cause(ctx)}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		e.Code, e.Message = automation.CodeTimeout, "the time for the call was up"
	}
	return e
}
