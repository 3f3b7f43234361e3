// Package bench measures what a whole step costs on this machine: definition,
// plan, acceptance, scheduling, execution and the commit of its outcome, on a
// real store with its real durability. With the sandbox a step calls the no-op
// action of the plugin core, a Go module, or that of a module of a few dozen bytes;
// without it an executor that does nothing.
package bench

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strconv"
	"time"
)

// Options say what a benchmark does. The zero values of the counts take defaults.
type Options struct {
	Store       string // sqlite or postgres
	DatabaseURL string // postgres: "" starts a private server
	Runs        int
	Items       int
	Steps       int // of a chain
	Slots       int
	Version     string
	Progress    io.Writer // notes for people; nil: none
}

func (o Options) note(format string, args ...any) {
	if o.Progress != nil {
		fmt.Fprintf(o.Progress, format+"\n", args...)
	}
}

// Report is what a benchmark measured, and on what.
type Report struct {
	Benchmark string         `json:"benchmark"`
	Version   string         `json:"version"`
	Store     string         `json:"store"`
	Cores     int            `json:"cores"`
	Go        string         `json:"go"`
	Platform  string         `json:"platform"`
	Settings  map[string]any `json:"settings"`
	Results   []Result       `json:"results"`
}

// Result is one measurement. Which fields are set depends on what was measured.
type Result struct {
	Name     string `json:"name"`     // runs, fan_out or chain
	Executor string `json:"executor"` // in_process, sandbox or sandbox_small
	Steps    int    `json:"steps"`
	// Seconds from the first submission to the last outcome's commit.
	Seconds        float64 `json:"seconds"`
	StepsPerSecond float64 `json:"steps_per_second,omitempty"`
	// P50MS and P99MS are the added milliseconds of a step: from the end of the step
	// before to its own, without the time of the call itself.
	P50MS float64 `json:"p50_ms,omitempty"`
	P99MS float64 `json:"p99_ms,omitempty"`
}

// Rows returns the results for a table.
func (r Report) Rows() [][]string {
	var rows [][]string
	for _, x := range r.Results {
		if x.StepsPerSecond > 0 {
			rows = append(rows, []string{x.Name, x.Executor, strconv.FormatFloat(x.StepsPerSecond, 'f', 0, 64), "steps/s"})
			continue
		}
		rows = append(rows, []string{x.Name, x.Executor, strconv.FormatFloat(x.P50MS, 'f', 2, 64), "ms a step, p50"},
			[]string{x.Name, x.Executor, strconv.FormatFloat(x.P99MS, 'f', 2, 64), "ms a step, p99"})
	}
	return rows
}

func (o Options) report(name string) Report {
	return Report{
		Benchmark: name, Version: o.Version, Store: o.Store, Cores: runtime.GOMAXPROCS(0), Go: runtime.Version(),
		Platform: runtime.GOOS + "/" + runtime.GOARCH, Settings: map[string]any{"slots": o.Slots},
	}
}

// Steps measures steps per second: Runs runs of one step, and one run of Items
// items, without the sandbox and with it.
func Steps(ctx context.Context, o Options) (Report, error) {
	o.Slots = cmp.Or(o.Slots, 64*runtime.GOMAXPROCS(0))
	o.Runs, o.Items = cmp.Or(o.Runs, 20_000), cmp.Or(o.Items, 20_000)
	r := o.report("steps")
	r.Settings["runs"], r.Settings["items"], r.Settings["submitters"] = o.Runs, o.Items, submitters
	err := o.each(ctx, func(ctx context.Context, b *rig) error {
		runs, err := b.runs(ctx, o.Runs)
		if err != nil {
			return err
		}
		o.note("%s, %s: %d single-step runs: %.0f steps/s", o.Store, b.executor, o.Runs, runs.StepsPerSecond)
		fan, err := b.fanOut(ctx, o.Items)
		if err != nil {
			return err
		}
		o.note("%s, %s: one fan-out of %d items: %.0f steps/s", o.Store, b.executor, o.Items, fan.StepsPerSecond)
		r.Results = append(r.Results, runs, fan)
		return nil
	})
	return r, err
}

// Chain measures the latency that the host adds to each of Steps sequential
// steps, over Runs runs, one at a time.
func Chain(ctx context.Context, o Options) (Report, error) {
	o.Slots = cmp.Or(o.Slots, 64*runtime.GOMAXPROCS(0))
	o.Runs, o.Steps = cmp.Or(o.Runs, 50), cmp.Or(o.Steps, 20)
	r := o.report("chain")
	r.Settings["runs"], r.Settings["steps"] = o.Runs, o.Steps
	err := o.each(ctx, func(ctx context.Context, b *rig) error {
		chain, err := b.chain(ctx, o.Runs, o.Steps)
		if err != nil {
			return err
		}
		o.note("%s, %s: chain of %d steps: p50 %.2f ms, p99 %.2f ms a step", o.Store, b.executor, o.Steps, chain.P50MS, chain.P99MS)
		r.Results = append(r.Results, chain)
		return nil
	})
	return r, err
}

// each measures with every executor, on a store of its own.
func (o Options) each(ctx context.Context, measure func(context.Context, *rig) error) error {
	for _, executor := range []string{inProcess, sandbox, sandboxSmall} {
		err := withRig(ctx, o, executor, measure)
		if err != nil {
			return fmt.Errorf("benchmark on %s, %s: %w", o.Store, executor, err)
		}
	}
	return nil
}

// percentile returns the p-quantile of durations in milliseconds; it sorts them.
func percentile(d []time.Duration, p float64) float64 {
	if len(d) == 0 {
		return 0
	}
	slices.Sort(d)
	i := min(int(p*float64(len(d))), len(d)-1)
	return float64(d[i]) / float64(time.Millisecond)
}
