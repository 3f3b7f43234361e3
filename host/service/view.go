package service

import (
	"context"
	"fmt"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/scheduler/machine"
	"opsconductor.dev/host/workflow"
)

// entriesAtOnce is how many entries are read of the log in one call.
const entriesAtOnce = 500

type viewKey struct {
	tenant automation.TenantID
	run    automation.RunID
}

type programKey struct {
	tenant automation.TenantID
	plan   automation.Digest
}

// view is what is known of one run from its log: the scheduler's own machine,
// folded over the entries, and the events that this gave. Every entry is applied
// once and in order, because only the holder of turn reads the log and applies.
// A view that was dropped from the cache goes on to work for those who hold it.
type view struct {
	// turn has room for one: who sends to it holds the view. (A mutex could not be
	// given up on when the caller's context is done.)
	turn        chan struct{}
	fold        *machine.Fold
	plan        *workflow.Plan
	seq         int64 // of the last entry applied
	events      []Event
	told        int // weight of what the run was told
	cancelAsked bool
	ended       bool
	broken      bool // an entry could not be applied: the fold is of no more use
}

// look brings the view of a run up to date with the log and calls do with it,
// while nobody else changes it. do must not keep the view's slices, save that of
// events, which is only ever appended to.
func (s *Service) look(ctx context.Context, run automation.Run, do func(*view)) error {
	v, err := s.viewOf(ctx, run)
	if err != nil {
		return err
	}
	select {
	case v.turn <- struct{}{}:
	case <-ctx.Done():
		return contextError(ctx)
	}
	defer func() { <-v.turn }()
	key := viewKey{run.Tenant, run.ID}
	if err := s.advance(ctx, run, v); err != nil {
		if v.broken {
			s.views.remove(key, func(cached *view) bool { return cached == v })
		}
		return fault(err)
	}
	s.views.weigh(key, v.weight())
	do(v)
	return nil
}

// viewOf returns the cached view of a run, or a new one before its first entry.
func (s *Service) viewOf(ctx context.Context, run automation.Run) (*view, error) {
	key := viewKey{run.Tenant, run.ID}
	if v, ok := s.views.get(key); ok {
		return v, nil
	}
	program, err := s.program(ctx, run.Tenant, run.PlanHash)
	if err != nil {
		return nil, err
	}
	v := &view{turn: make(chan struct{}, 1), fold: machine.NewFold(program, run), plan: program.Plan()}
	return s.views.getOrPut(key, v, 1), nil
}

// advance applies the entries that the log has after those applied already.
func (s *Service) advance(ctx context.Context, run automation.Run, v *view) error {
	for !v.ended && !v.broken {
		entries, err := s.store.RunEntries(ctx, run.Tenant, run.ID, v.seq, entriesAtOnce)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if err := v.apply(e); err != nil {
				v.broken = true
				return automation.AsError(fmt.Errorf("fold entry %d of run %s: %w", e.Seq, run.ID, err))
			}
		}
		if len(entries) < entriesAtOnce {
			return nil
		}
	}
	if v.broken {
		return automation.AsError(fmt.Errorf("the fold of run %s is broken", run.ID))
	}
	return nil
}

func (v *view) apply(e automation.Entry) error {
	if e.Seq <= v.seq {
		return fmt.Errorf("entry %d came after entry %d", e.Seq, v.seq)
	}
	changes, err := v.fold.Apply(e)
	if err != nil {
		return err
	}
	for i := range changes {
		v.events = append(v.events, eventOf(e.Seq, i, changes[i]))
	}
	for i := range e.Facts {
		if t := e.Facts[i].Told; t != nil {
			v.told += 1 + len(t.Payload)/eventBytes
		}
		v.cancelAsked = v.cancelAsked || e.Facts[i].Kind == automation.FactCancelAsked
	}
	state, _ := v.fold.State()
	v.seq, v.ended = e.Seq, state.Ended()
	return nil
}

// weight is the view's share of the cache's bound: its events, of which every
// item has at least one, and what the run was told.
func (v *view) weight() int { return 1 + len(v.events) + v.told }

// eventBytes is about what an event of a view takes: the unit of its weight.
const eventBytes = 250
