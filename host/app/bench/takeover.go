package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"opsconductor.dev/host/automation"
)

// Takeover kills the leader of two hosts on one PostgreSQL database, Times times
// (20 without), and measures how long the other one takes to the end of a run that
// is submitted to it at that moment.
func Takeover(ctx context.Context, o Options) (Report, error) {
	if o.Store != "postgres" {
		return Report{}, &automation.Error{
			Code: automation.CodeInvalid, Message: "on SQLite there is one host: nobody can take over", Suggestion: "--store postgres, or bench restart",
		}
	}
	o = o.withSlots()
	o.Times = cmp.Or(o.Times, 20)
	r := o.report("takeover")
	r.Settings["times"], r.Settings["hosts"] = o.Times, 2
	err := o.deploy(ctx, func(ctx context.Context, d *deployment) (err error) {
		pair := map[string]*process{}
		defer func() {
			for _, p := range pair {
				err = errors.Join(err, p.kill())
			}
		}()
		for _, name := range []string{"a", "b"} {
			if pair[name], err = d.start(ctx, name); err != nil {
				delete(pair, name)
				return err
			}
		}
		plan, err := pair["a"].plan(ctx, single)
		if err != nil {
			return err
		}
		var all []time.Duration
		for i := range o.Times {
			took, err := d.takeover(ctx, pair, plan, i)
			if err != nil {
				return err
			}
			all = append(all, took)
			o.note("%s: takeover %d of %d: %.2f s", o.Store, i+1, o.Times, took.Seconds())
		}
		r.Results = append(r.Results, Result{Name: "takeover", Executor: sandbox, Steps: o.Times, P50MS: percentile(all, 0.5), P99MS: percentile(all, 0.99), MaxMS: percentile(all, 1)})
		r.add("p50_s", percentile(all, 0.5)/1000)
		r.add("p99_s", percentile(all, 0.99)/1000)
		r.Database, err = d.version(ctx)
		r.LoadAfter = load()
		return err
	})
	return r, err
}

// takeover kills the leader once, and starts that host again afterwards.
func (d *deployment) takeover(ctx context.Context, pair map[string]*process, plan automation.Digest, i int) (time.Duration, error) {
	leader, err := together(ctx, pair)
	if err != nil {
		return 0, err
	}
	other := pair["a"]
	if leader == "a" {
		other = pair["b"]
	}
	for range 2 { // it has the plan and the plugin
		if err := other.run(ctx, plan); err != nil {
			return 0, err
		}
	}
	// At ever other moments between two renewals of the lease: steps of the golden ratio.
	_, part := math.Modf(float64(i) * math.Phi)
	if err := pause(ctx, time.Duration(part*float64(1500*time.Millisecond))); err != nil {
		return 0, err
	}
	if err := pair[leader].kill(); err != nil {
		return 0, err
	}
	began := time.Now()
	if err := other.run(ctx, plan); err != nil {
		return 0, fmt.Errorf("after the leader was killed: %w", err)
	}
	took := time.Since(began)
	again, err := d.start(ctx, leader)
	if err != nil {
		delete(pair, leader)
		return 0, err
	}
	pair[leader] = again
	return took, nil
}

// together waits until both hosts are live and one leads, and returns its name.
func together(ctx context.Context, pair map[string]*process) (leader string, err error) {
	err = until(ctx, func() (bool, error) {
		live := 0
		for _, p := range pair {
			hosts, err := p.Hosts(ctx)
			if err != nil {
				return false, err
			}
			for _, h := range hosts {
				if h.State == automation.HostLive && h.AgeMS < 3000 {
					live++
				}
				if h.Leader {
					leader = h.Name
				}
			}
		}
		return live == len(pair)*len(pair) && leader != "", nil
	})
	return leader, err
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}
