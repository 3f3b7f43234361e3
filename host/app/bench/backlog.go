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

// rounds is how often both rates are measured, each over atOnce fan-outs: with a
// million items in memory garbage is collected with every third or fourth, and a round
// has to have its share of that.
const (
	rounds = 9
	atOnce = 5
)

// Backlog measures the rate of a fan-out of Items items without anything else and
// next to Parked items (1,000,000 without) that wait for a limit which one attempt
// holds: two processes, each with a store and a real loop, and nothing in the sandbox,
// so that the scheduler's share is all there is, with the memory that it keeps in
// order. The two are measured in turn, so that what else goes on is the same for both.
func Backlog(ctx context.Context, o Options) (r Report, err error) {
	o = o.withSlots()
	o.Items, o.Parked = cmp.Or(o.Items, 20_000), cmp.Or(o.Parked, 1_000_000)
	r = o.report("backlog")
	r.Settings["items"], r.Settings["parked"], r.Settings["rounds"], r.Settings["fan_outs_a_round"] = o.Items, o.Parked, rounds, atOnce
	if o.Store == "postgres" {
		url, stop, err := database(ctx, o)
		if err != nil {
			return r, err
		}
		defer func() { err = errors.Join(err, stop()) }()
		o.DatabaseURL = url // from here on a server on which each half makes a database
	}
	empty, err := o.half(ctx, 0)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, empty.close()) }()
	full, err := o.half(ctx, o.Parked)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, full.close()) }()
	o.note("%s: %d items parked in %.1f s, %.0f MiB more memory", o.Store, o.Parked, full.began.Took.Seconds(), full.began.RSSMiB-empty.began.RSSMiB)
	alone, next, err := inTurn(empty, full)
	if err != nil {
		return r, err
	}
	r.compare(o, alone, next)
	r.add("rss_mib", full.began.RSSMiB)
	r.Database, r.LoadAfter = empty.began.Database, load()
	return r, nil
}

// inTurn measures rounds on two halves, now this one first and now the other, after
// one of each that warms up.
func inTurn(a, b *half) (ofA, ofB []said, err error) {
	for i := range rounds + 1 {
		pair := []*half{a, b}
		if i%2 == 1 {
			slices.Reverse(pair)
		}
		var took [2]said
		for j, h := range pair {
			if took[j], err = h.round(); err != nil {
				return nil, nil, err
			}
		}
		if i%2 == 1 {
			took[0], took[1] = took[1], took[0]
		}
		if i > 0 {
			ofA, ofB = append(ofA, took[0]), append(ofB, took[1])
		}
	}
	return ofA, ofB, nil
}

// compare adds both rates, those of the rounds in the middle, and their ratios.
func (r *Report) compare(o Options, alone, next []said) {
	var ratios, spent []float64
	for i := range alone {
		ratios = append(ratios, alone[i].Took.Seconds()/next[i].Took.Seconds())
		spent = append(spent, alone[i].CPU.Seconds()/next[i].CPU.Seconds())
	}
	for i, all := range [][]said{alone, next} {
		slices.SortFunc(all, func(a, b said) int { return cmp.Compare(a.Took, b.Took) })
		one := result([]string{"empty", "next_to_backlog"}[i], inProcess, o.Items*atOnce, all[len(all)/2].Took)
		one.RSSMiB = all[len(all)-1].RSSMiB
		r.Results = append(r.Results, one)
	}
	slices.Sort(ratios)
	slices.Sort(spent)
	ratio := ratios[len(ratios)/2]
	o.note("%s: next to nothing %.0f steps/s, next to the backlog %.0f: %.2f", o.Store, r.Results[0].StepsPerSecond, r.Results[1].StepsPerSecond, ratio)
	r.add("ratio", ratio)
	r.add("cpu_ratio", spent[len(spent)/2])
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
