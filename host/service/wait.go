package service

import (
	"context"
	"errors"
	"time"

	"opsconductor.dev/host/automation"
)

// MaxWait is the longest that Wait waits.
const MaxWait = time.Hour

// errWaited is the cause of the context that ends a wait in time.
var errWaited = errors.New("the wait is over") //nolint:gochecknoglobals // a sentinel, never assigned

// Wait returns the run when it has ended, or as it is after timeout (at most
// MaxWait; 0 and less: now). It fails when ctx is done before that.
func (s *Service) Wait(ctx context.Context, p automation.Principal, id automation.RunID, timeout time.Duration) (automation.Run, error) {
	if err := s.authorise(p, opRunRead); err != nil {
		return automation.Run{}, err
	}
	tick := newTicker(s.store.Wake)
	defer tick.stop()
	limit, cancel := context.WithTimeoutCause(ctx, min(max(timeout, 0), MaxWait), errWaited)
	defer cancel()
	seq := int64(0)
	for {
		run, err := s.findRun(ctx, p.Tenant, id)
		if err != nil || run.State.Ended() {
			return run, err
		}
		news := run.Seq != seq
		seq = run.Seq
		if err := tick.wait(limit, news); err != nil {
			if errors.Is(err, errWaited) {
				return s.findRun(ctx, p.Tenant, id)
			}
			return automation.Run{}, err
		}
	}
}
