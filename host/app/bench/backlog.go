package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/service"
)

// rounds is how often both rates are measured.
const rounds = 20

// Backlog measures the rate of a fan-out of Items items without anything else and
// next to Parked items (1,000,000 without) that wait for a limit which one attempt
// holds: two stores with a real loop each, and nothing in the sandbox, so that the
// scheduler's share is all there is. The two are measured in turn, so that what
// else goes on is the same for both; the ratio is the median of the rounds'.
func Backlog(ctx context.Context, o Options) (Report, error) {
	o = o.withSlots()
	o.Items, o.Parked = cmp.Or(o.Items, 20_000), cmp.Or(o.Parked, 1_000_000)
	r := o.report("backlog")
	r.Settings["items"], r.Settings["parked"], r.Settings["rounds"] = o.Items, o.Parked, rounds
	err := o.pair(ctx, func(ctx context.Context, empty, full *rig) error {
		defer close(full.free)
		forget()
		before, began := status("VmRSS"), time.Now()
		if err := full.park(ctx, o.Parked); err != nil {
			return err
		}
		parked := status("VmRSS")
		o.note("%s: %d items parked in %.1f s, %.0f MiB more memory", o.Store, o.Parked, time.Since(began).Seconds(), parked-before)
		alone, next, err := inTurn(ctx, o.Items, empty, full)
		if err != nil {
			return err
		}
		var ratios, spent []Result
		for i := range alone {
			ratios = append(ratios, Result{Seconds: alone[i].Seconds / next[i].Seconds})
			spent = append(spent, Result{Seconds: alone[i].cpu.Seconds() / next[i].cpu.Seconds()})
		}
		one, other := median("empty", alone), median("next_to_backlog", next)
		other.RSSMiB = parked
		ratio := median("ratio", ratios).Seconds
		o.note("%s: next to nothing %.0f steps/s, next to the backlog %.0f: %.2f", o.Store, one.StepsPerSecond, other.StepsPerSecond, ratio)
		r.Results = append(r.Results, one, other)
		r.add("ratio", ratio)
		r.add("cpu_ratio", median("cpu_ratio", spent).Seconds)
		r.add("rss_mib", parked)
		r.finish(empty)
		return nil
	})
	return r, err
}

// inTurn measures fan-outs on two rigs, now this one first and now the other, after
// one of each that warms up.
func inTurn(ctx context.Context, n int, a, b *rig) (ofA, ofB []Result, err error) {
	for i := range rounds + 1 {
		first, second := a, b
		if i%2 == 1 {
			first, second = b, a
		}
		one, err := first.spending(ctx, n)
		if err != nil {
			return nil, nil, err
		}
		other, err := second.spending(ctx, n)
		if err != nil {
			return nil, nil, err
		}
		if i%2 == 1 {
			one, other = other, one
		}
		if i > 0 {
			ofA, ofB = append(ofA, one), append(ofB, other)
		}
	}
	return ofA, ofB, nil
}

// spending is a fan-out with the processor time that this process spent on it,
// which tells more than the clock where other programs run as well.
func (b *rig) spending(ctx context.Context, n int) (Result, error) {
	before := processorTime()
	r, err := b.fanOut(ctx, n)
	r.cpu = processorTime() - before
	return r, err
}

// pair measures with two rigs, each on a store of its own; on PostgreSQL these are
// two databases of one server.
func (o Options) pair(ctx context.Context, measure func(context.Context, *rig, *rig) error) (err error) {
	if o.Store == "postgres" {
		url, stop, err := database(ctx, o)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, stop()) }()
		o.DatabaseURL = url // from here on a server on which each makes a database
	}
	return withRig(ctx, o, inProcess, func(ctx context.Context, a *rig) error {
		return withRig(ctx, o, inProcess, func(ctx context.Context, b *rig) error { return measure(ctx, a, b) })
	})
}

// median is the result in the middle, by time.
func median(name string, all []Result) Result {
	slices.SortFunc(all, func(a, b Result) int { return cmp.Compare(a.Seconds, b.Seconds) })
	m := all[len(all)/2]
	m.Name = name
	return m
}

// inEach is how many items each run of the backlog has.
const inEach = 1000

const parkedFanOut = `{"schema": "opsconductor/v1", "name": "bench-parked", "inputs": {"list": {"type": "array"}},
"steps": [{"id": "parked", "uses": "bench.parked@1", "for_each": {"in": "${{ inputs.list }}"}}]}`

// park submits runs whose items wait for a limit, and returns when all of them do.
func (b *rig) park(ctx context.Context, n int) error {
	limit := service.LimitRequest{Kind: automation.LimitAction, Match: "bench." + parkedAction, Max: 1}
	if _, _, err := b.service.CreateLimit(ctx, b.caller, limit, ""); err != nil {
		return fmt.Errorf("set the limit: %w", err)
	}
	list := make([]int, min(n, inEach))
	plan, err := b.plan(ctx, parkedFanOut, map[string]any{"list": list})
	if err != nil {
		return err
	}
	for range n / len(list) {
		if _, err := b.submit(ctx, plan); err != nil {
			return err
		}
	}
	return until(ctx, func() (bool, error) {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		loads, err := b.store.QueueLoads(ctx)
		waiting := 0
		for _, l := range loads {
			waiting += l.Waiting
		}
		return waiting >= n/len(list)*len(list)-1, err
	})
}

// until looks every so often whether something has come about.
func until(ctx context.Context, check func() (bool, error)) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		done, err := check()
		if done || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}
