package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"opsconductor.dev/host/client"
)

// openRun has a step that has ended and one that waits for a host which never comes.
const openRun = `{"schema": "opsconductor/v1", "name": "bench-open", "steps": [{"id": "noop", "uses": "ACTION"},
	{"id": "wait", "uses": "ACTION", "queue": "nowhere", "needs": ["noop"]}]}`

// Restart kills a host that has Runs open runs (10,000 without), starts it again,
// and measures how long that takes to the end of a new run; Times times.
func Restart(ctx context.Context, o Options) (Report, error) {
	o = o.withSlots()
	o.Runs, o.Times = cmp.Or(o.Runs, 10_000), cmp.Or(o.Times, 5)
	r := o.report("restart")
	r.Settings["open_runs"], r.Settings["times"] = o.Runs, o.Times
	err := o.deploy(ctx, func(ctx context.Context, d *deployment) error {
		p, err := d.start(ctx, "a")
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, p.kill()) }()
		if err := p.open(ctx, o.Runs); err != nil {
			return err
		}
		plan, err := p.plan(ctx, single)
		if err != nil {
			return err
		}
		if err := p.run(ctx, plan); err != nil {
			return err
		}
		o.note("%s: %d runs are open", o.Store, o.Runs)
		var all []time.Duration
		for range o.Times {
			if err := p.kill(); err != nil {
				return err
			}
			began := time.Now()
			if p, err = d.start(ctx, "a"); err != nil {
				return err
			}
			answers := time.Since(began)
			if err := p.run(ctx, plan); err != nil {
				return err
			}
			all = append(all, time.Since(began))
			o.note("%s: started again: it answered after %.2f s, and a new run had ended after %.2f s", o.Store, answers.Seconds(), all[len(all)-1].Seconds())
		}
		r.Results = append(r.Results, Result{
			Name: "restart", Executor: sandbox, Steps: o.Runs, P50MS: percentile(all, 0.5), MaxMS: percentile(all, 1),
		})
		r.add("seconds", percentile(all, 0.5)/1000)
		r.Database, err = d.version(ctx)
		r.LoadAfter = load()
		return err
	})
	return r, err
}

// open submits runs that stay open, and returns when the first step of each has ended.
func (p *process) open(ctx context.Context, n int) error {
	plan, err := p.plan(ctx, openRun)
	if err != nil {
		return err
	}
	group, submitting := errgroup.WithContext(ctx)
	group.SetLimit(64)
	for range n {
		group.Go(func() error {
			_, err := p.Submit(submitting, client.SubmitRequest{PlanHash: plan})
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("submit the runs that stay open: %w", err)
	}
	return until(ctx, func() (bool, error) {
		queues, err := p.Queues(ctx)
		for _, q := range queues {
			if q.Name == "nowhere" && q.Waiting >= n {
				return true, nil
			}
		}
		return false, err
	})
}
