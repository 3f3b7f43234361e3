package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store/postgres/privatepg"
)

// perRun is how many items each run of the soak has.
const perRun = 100

// Soak measures the top rate with a burst of Runs runs (300 without) of 100 items,
// then submits such runs at a third of it, or at Rate steps a second, for Duration
// (30 minutes without), and bursts once more. On PostgreSQL a transaction stays open all that time, so that
// nothing that is removed or replaced can be cleaned away.
func Soak(ctx context.Context, o Options) (Report, error) {
	o = o.withSlots()
	o.Runs, o.Duration = cmp.Or(o.Runs, 300), cmp.Or(o.Duration, 30*time.Minute)
	r := o.report("soak")
	r.Settings["burst_runs"], r.Settings["items"], r.Settings["minutes"] = o.Runs, perRun, o.Duration.Minutes()
	err := withRig(ctx, o, sandboxSmall, func(ctx context.Context, b *rig) (err error) {
		if b.url != "" {
			release, err := privatepg.Hold(ctx, b.url)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, release()) }()
		}
		plan, err := b.plan(ctx, fanOut, map[string]any{"list": make([]int, perRun)})
		if err != nil {
			return err
		}
		s := soak{rig: b, options: o, plan: plan}
		if err := s.run(ctx); err != nil {
			return err
		}
		r.Settings["offered_per_s"] = s.rate * perRun
		s.tell(&r)
		r.finish(b)
		return nil
	})
	return r, err
}

// soak is one under way.
type soak struct {
	*rig
	options Options
	plan    automation.Digest
	rate    int // runs a second
	due     int // runs
	// before and after are the bursts, during is what lies between them.
	before, during, after Result
	ended                 int64 // runs, when the time was up
	sizes                 [3]map[string]int64
	halves                [3]int64 // runs that had ended at the sizes
}

func (s *soak) run(ctx context.Context) (err error) {
	o := s.options
	if err := s.warm(ctx, s.plan); err != nil {
		return err
	}
	if s.before, err = s.burst(ctx, "burst_before"); err != nil {
		return err
	}
	s.rate = max(cmp.Or(o.Rate, int(s.before.StepsPerSecond/3))/perRun, 1)
	s.due = max(int(float64(s.rate)*o.Duration.Seconds()), 1)
	o.note("%s: top rate %.0f steps/s; now %d for %s", o.Store, s.before.StepsPerSecond, s.rate*perRun, o.Duration)
	s.done.Store(0)
	began := time.Now()
	group, going := errgroup.WithContext(ctx)
	group.Go(func() error { return s.wait(going, s.due) })
	group.Go(func() error { return s.arrive(going, s.plan, s.rate, make([]arrival, s.due)) })
	group.Go(func() error { return s.watch(going, began) })
	if err := group.Wait(); err != nil {
		return err
	}
	s.during = result("soak", s.executor, int(s.ended)*perRun, o.Duration)
	s.after, err = s.burst(ctx, "burst_after")
	return err
}

// burst measures runs that are submitted as fast as eight callers can.
func (s *soak) burst(ctx context.Context, name string) (Result, error) {
	n := s.options.Runs
	began := time.Now()
	group, submitting := errgroup.WithContext(ctx)
	group.SetLimit(9)
	group.Go(func() error { return s.wait(submitting, n) })
	for range n {
		group.Go(func() error {
			_, err := s.submit(submitting, s.plan)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return Result{}, err
	}
	return result(name, s.executor, n*perRun, time.Since(began)), nil
}

// windows is how often a soak says how it goes.
const windows = 30

// watch says how it goes while the time lasts, and takes the sizes of the store at
// its beginning, half and end.
func (s *soak) watch(ctx context.Context, began time.Time) (err error) {
	o := s.options
	if s.sizes[0], err = s.stored(ctx); err != nil {
		return err
	}
	s.halves[0] = s.done.Load()
	last := s.halves[0]
	for i := range windows {
		next := o.Duration * time.Duration(i+1) / windows
		if err := pause(ctx, time.Until(began.Add(next))); err != nil {
			return err
		}
		now := s.done.Load()
		sizes, err := s.stored(ctx)
		if err != nil {
			return err
		}
		o.note("%s after %s: %.0f steps/s, %d steps under way, %.0f MiB stored, %.0f MiB of memory", o.Store, next.Round(time.Second/10),
			float64(now-last)*perRun/(o.Duration/windows).Seconds(), max(s.rate*int(next.Seconds())-int(now), 0)*perRun, mib(total(sizes)), status("VmRSS"))
		last = now
		if half := (i + 1) * 2 / windows; half > 0 && (i+1)*2%windows == 0 {
			s.sizes[half], s.halves[half] = sizes, now
		}
	}
	s.ended = last
	return nil
}

// stored is how many bytes the store's tables, or its files, have.
func (s *soak) stored(ctx context.Context) (map[string]int64, error) {
	if s.url != "" {
		u, err := privatepg.Look(ctx, s.url)
		return u.Tables, err
	}
	sizes := map[string]int64{}
	for _, name := range []string{"bench.db", "bench.db-wal"} {
		info, err := os.Stat(filepath.Join(s.dir, name))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("look at the database's size: %w", err)
		}
		if err == nil {
			sizes[name] = info.Size()
		}
	}
	return sizes, nil
}

func total(sizes map[string]int64) (n int64) {
	for _, size := range sizes {
		n += size
	}
	return n
}

func mib(n int64) float64 { return float64(n) / (1 << 20) }

// each step's bytes in the first or second half of the time; 0 without any step.
func (s *soak) bytesPerStep(half int) float64 {
	steps := float64(s.halves[half]-s.halves[half-1]) * perRun
	if steps <= 0 {
		return 0
	}
	return float64(total(s.sizes[half])-total(s.sizes[half-1])) / steps
}

func (s *soak) tell(r *Report) {
	s.during.RSSMiB, s.during.TablesMiB = status("VmHWM"), map[string]float64{}
	for name, size := range s.sizes[2] {
		s.during.TablesMiB[name] = mib(size)
	}
	r.Results = append(r.Results, s.before, s.during, s.after)
	r.add("loss", 1-float64(s.ended)/float64(s.due))
	r.add("steps_per_s", s.during.StepsPerSecond)
	r.add("top_rate_kept", s.after.StepsPerSecond/s.before.StepsPerSecond)
	first, second := s.bytesPerStep(1), s.bytesPerStep(2)
	r.add("bytes_per_step", second)
	if first > 0 {
		r.add("growth", second/first-1)
	}
	r.add("peak_rss_mib", s.during.RSSMiB)
}
