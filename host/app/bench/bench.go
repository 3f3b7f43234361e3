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
	"time"
)

// Options say what a benchmark does. The zero values of the counts take defaults.
type Options struct {
	Store       string // sqlite or postgres
	DatabaseURL string // postgres: of a server to make databases on; "" starts a private one
	Runs        int
	Items       int
	Steps       int // of a chain
	Slots       int
	Rate        int           // steps a second of what is measured at a steady rate
	Steady      time.Duration // how long that goes on
	Parked      int           // items of the backlog
	Duration    time.Duration // of the soak
	Times       int           // how often a takeover is measured
	Hosts       int           // of a chain: 1, or 2 processes
	Targets     int           // real SSH servers
	Fakes       int           // SSH servers in process
	Ansible     bool          // measured too, where it is installed
	// Program is the command that is opsconductor, for hosts in processes of their own.
	Program []string
	// CacheDir keeps compiled plugins; "": a temporary folder for each store.
	CacheDir string
	Version  string
	Progress io.Writer // notes for people; nil: none
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
	Processor string         `json:"processor"`
	Database  string         `json:"database"` // its name and version
	Settings  map[string]any `json:"settings"`
	// LoadBefore and LoadAfter are the machine's load average of a minute.
	LoadBefore float64  `json:"load_before"`
	LoadAfter  float64  `json:"load_after"`
	Results    []Result `json:"results"`
	Figures    []Figure `json:"-"` // keys of their own
}

// Result is one measurement. Which fields are set depends on what was measured.
type Result struct {
	Name     string `json:"name"`     // runs, fan_out, chain, ready_to_start …
	Executor string `json:"executor"` // in_process, sandbox or sandbox_small
	Steps    int    `json:"steps"`
	// Seconds from the first submission to the last outcome's commit.
	Seconds        float64 `json:"seconds"`
	StepsPerSecond float64 `json:"steps_per_second,omitempty"`
	// P50MS and P99MS of a chain are the added milliseconds of a step: from the end of
	// the step before to its own, without the time of the call itself; of the others,
	// how long steps waited for what the name says.
	P50MS float64 `json:"p50_ms,omitempty"`
	P99MS float64 `json:"p99_ms,omitempty"`
	MaxMS float64 `json:"max_ms,omitempty"`
	// WholeP50MS of a chain is a run's whole time, from its submission, by its steps.
	WholeP50MS float64 `json:"whole_p50_ms,omitempty"`
	// RSSMiB is the memory of the process at its highest.
	RSSMiB float64 `json:"rss_mib,omitempty"`
	// TablesMiB is what each table, or file, has in the end.
	TablesMiB map[string]float64 `json:"tables_mib,omitempty"`
	Cost      *cost              `json:"per_step,omitempty"`
}

// Rows returns the results for a table.
func (r Report) Rows() [][]string {
	var rows [][]string
	for _, x := range r.Results {
		row := func(v float64, unit string) {
			if v > 0 {
				rows = append(rows, []string{x.Name, x.Executor, number(v), unit})
			}
		}
		row(x.StepsPerSecond, "steps/s")
		row(x.P50MS, "ms, p50")
		row(x.P99MS, "ms, p99")
		row(x.MaxMS, "ms, longest")
		row(x.RSSMiB, "MiB at its highest")
	}
	for _, f := range r.Figures {
		rows = append(rows, []string{r.Benchmark, f.Key, number(f.Value), r.meaning(f.Key).unit})
	}
	return rows
}

// report begins a report; slots, and what is not set of the other options, take
// their defaults before.
func (o Options) report(name string) Report {
	return Report{
		Benchmark: name, Version: o.Version, Store: o.Store, Cores: runtime.GOMAXPROCS(0), Go: runtime.Version(),
		Platform: runtime.GOOS + "/" + runtime.GOARCH, Processor: processor(), Settings: map[string]any{"slots": o.Slots}, LoadBefore: load(),
	}
}

// finish notes what only the end shows.
func (r *Report) finish(b *rig) {
	r.Database, r.LoadAfter = b.database, load()
}

// withSlots returns the options with slots of their own, or the default ones.
func (o Options) withSlots() Options {
	o.Slots = cmp.Or(o.Slots, 64*runtime.GOMAXPROCS(0))
	return o
}

// Steps measures steps per second: Runs runs of one step, and one run of Items
// items, without the sandbox and with it; and, with the small module, how long runs
// that come at a steady rate wait for their start.
func Steps(ctx context.Context, o Options) (Report, error) {
	o = o.withSlots()
	o.Runs, o.Items = cmp.Or(o.Runs, 20_000), cmp.Or(o.Items, 20_000)
	o.Rate, o.Steady = cmp.Or(o.Rate, 1000), cmp.Or(o.Steady, 10*time.Second)
	r := o.report("steps")
	r.Settings["runs"], r.Settings["items"], r.Settings["submitters"] = o.Runs, o.Items, submitters
	r.Settings["rate"], r.Settings["steady_s"] = o.Rate, o.Steady.Seconds()
	err := o.each(ctx, func(ctx context.Context, b *rig) error {
		runs, err := b.metered(ctx, o.Runs, b.runs)
		if err != nil {
			return err
		}
		o.note("%s, %s: %d single-step runs: %.0f steps/s", o.Store, b.executor, o.Runs, runs.StepsPerSecond)
		fan, err := b.metered(ctx, o.Items, b.fanOut)
		if err != nil {
			return err
		}
		o.note("%s, %s: one fan-out of %d items: %.0f steps/s", o.Store, b.executor, o.Items, fan.StepsPerSecond)
		r.Results = append(r.Results, runs, fan)
		if b.executor != sandboxSmall {
			return nil
		}
		ready, due, err := b.steady(ctx, o.Rate, max(int(float64(o.Rate)*o.Steady.Seconds()), 1))
		if err != nil {
			return err
		}
		o.note("%s, %s: %d runs a second for %s: started after p50 %.2f ms, p99 %.2f ms", o.Store, b.executor, o.Rate, o.Steady, ready.P50MS, ready.P99MS)
		r.Results = append(r.Results, ready, due)
		r.ofSteps(runs, fan, ready)
		r.finish(b)
		return nil
	})
	return r, err
}

// ofSteps adds the figures of the small module.
func (r *Report) ofSteps(runs, fan, ready Result) {
	r.add("steps_per_s", fan.StepsPerSecond)
	r.add("runs_per_s", runs.StepsPerSecond)
	r.add("p99_ready_to_start_ms", ready.P99MS)
	r.add("allocs_per_step", fan.Cost.Allocs)
	r.add("alloc_bytes_per_step", fan.Cost.Bytes)
	r.add("commits_per_1000", 1000*fan.Cost.Commits)
	r.add("run_allocs", runs.Cost.Allocs)
	if r.Store == "postgres" {
		r.add("wal_bytes_per_step", fan.Cost.WAL)
		r.add("run_wal_bytes", runs.Cost.WAL)
	}
}

// Chain measures the latency that the host adds to each of Steps sequential
// steps, over Runs runs, one at a time; with 2 Hosts it is ChainAway.
func Chain(ctx context.Context, o Options) (Report, error) {
	if o.Hosts == 2 {
		return ChainAway(ctx, o)
	}
	o = o.chainDefaults()
	r := o.report("chain")
	r.Settings["runs"], r.Settings["steps"] = o.Runs, o.Steps
	err := o.each(ctx, func(ctx context.Context, b *rig) error {
		chain, err := b.chain(ctx, o.Runs, o.Steps)
		if err != nil {
			return err
		}
		o.note("%s, %s: chain of %d steps: p50 %.2f ms, p99 %.2f ms a step", o.Store, b.executor, o.Steps, chain.P50MS, chain.P99MS)
		r.Results = append(r.Results, chain)
		if b.executor == sandboxSmall {
			r.add("ms_per_step_p50", chain.P50MS)
			r.add("ms_per_step_p99", chain.P99MS)
			r.finish(b)
		}
		return nil
	})
	return r, err
}

func (o Options) chainDefaults() Options {
	o = o.withSlots()
	o.Runs, o.Steps = cmp.Or(o.Runs, 50), cmp.Or(o.Steps, 20)
	return o
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
