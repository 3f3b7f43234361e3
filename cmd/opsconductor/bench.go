package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"opsconductor.dev/host/app"
)

func (c *cli) benchCommand() *cobra.Command {
	return group("bench", "Measure this machine", c.benchStepsCommand(), c.benchChainCommand(), c.benchFanOutCommand(), c.benchBacklogCommand(),
		c.benchRestartCommand(), c.benchTakeoverCommand(), c.benchSoakCommand(), c.benchSSHCommand(),
		c.benchSandboxCommand(), c.benchPostgresCommand(), c.benchHalfCommand())
}

// benchFlags are what the benchmarks have in common.
type benchFlags struct {
	options  app.BenchOptions
	json     bool
	markdown bool
}

func (f *benchFlags) add(cmd *cobra.Command) {
	flags, o := cmd.Flags(), &f.options
	flags.StringVar(&o.Store, "store", "sqlite", "sqlite, in a temporary folder, or postgres")
	flags.StringVar(&o.DatabaseURL, "database-url", "", "PostgreSQL server, by one of its databases, on which a database is made and dropped (OPSCONDUCTOR_DATABASE_URL); without one a private server is started")
	flags.IntVar(&o.Slots, "slots", 0, "attempts at a time; 0: the host's default")
	flags.BoolVar(&f.json, "json", false, "print the result as one line of JSON, last on stdout")
	flags.BoolVar(&f.markdown, "markdown", false, "print the figures as rows of a table for a page")
}

func (f *benchFlags) check(c *cli) error {
	if err := oneOf("store", f.options.Store, "sqlite", "postgres"); err != nil {
		return err
	}
	if f.options.DatabaseURL == "" {
		f.options.DatabaseURL, _ = c.env("OPSCONDUCTOR_DATABASE_URL")
	}
	if f.options.Hosts < 0 || f.options.Hosts > 2 {
		return usage("--hosts is 1 or 2")
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	f.options.Program = []string{self}
	f.options.CacheDir, _ = c.env("OPSCONDUCTOR_CACHE_DIR")
	f.options.Version = c.version
	f.options.Progress = c.err
	return nil
}

func (f *benchFlags) show(c *cli, r app.BenchReport) error {
	if f.json {
		return writeLine(c.out, r)
	}
	if f.markdown {
		_, err := fmt.Fprint(c.out, r.Markdown())
		return err
	}
	if c.format != formatTable {
		return c.show(r)
	}
	t := table{head: []string{"BENCHMARK", "EXECUTOR", "FIGURE", "UNIT"}}
	for _, row := range r.Rows() {
		t.add(row...)
	}
	return t.write(c.out)
}

// benchmark is a command that measures something.
func (c *cli) benchmark(use, short string, measure func(context.Context, app.BenchOptions) (app.BenchReport, error), flags func(*cobra.Command, *app.BenchOptions)) *cobra.Command {
	f := benchFlags{}
	cmd := &cobra.Command{Use: use, Short: short, Args: takes()}
	f.add(cmd)
	flags(cmd, &f.options)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := f.check(c); err != nil {
			return err
		}
		r, err := measure(cmd.Context(), f.options)
		if err != nil {
			return err
		}
		return f.show(c, r)
	}
	return cmd
}

func (c *cli) benchStepsCommand() *cobra.Command {
	return c.benchmark("steps",
		"Whole steps per second: single-step runs and one fan-out, without the sandbox and with a Go plugin and a small one in it; and how long steps wait at a steady rate",
		app.BenchSteps, func(cmd *cobra.Command, o *app.BenchOptions) {
			cmd.Flags().IntVar(&o.Runs, "runs", 20_000, "single-step runs")
			cmd.Flags().IntVar(&o.Items, "items", 20_000, "items of the fan-out")
			cmd.Flags().IntVar(&o.Rate, "rate", 1000, "runs of one step a second, at the steady rate")
			cmd.Flags().DurationVar(&o.Steady, "steady", 10*time.Second, "how long that goes on")
		})
}

func (c *cli) benchChainCommand() *cobra.Command {
	return c.benchmark("chain", "Added latency of a step in a sequence, p50 and p99", app.BenchChain, func(cmd *cobra.Command, o *app.BenchOptions) {
		cmd.Flags().IntVar(&o.Runs, "runs", 50, "runs, one after the other")
		cmd.Flags().IntVar(&o.Steps, "steps", 20, "steps of each")
		cmd.Flags().IntVar(&o.Hosts, "hosts", 1, "1, or 2: on PostgreSQL, every step runs in another process than the leader's")
	})
}

func (c *cli) benchFanOutCommand() *cobra.Command {
	return c.benchmark("fanout", "One run of many items: seconds, and the memory of the process at its highest", app.BenchFanOut, func(cmd *cobra.Command, o *app.BenchOptions) {
		cmd.Flags().IntVar(&o.Items, "items", 10_000, "items of the run")
	})
}

func (c *cli) benchBacklogCommand() *cobra.Command {
	return c.benchmark("backlog", "Rate of grants next to many parked items, as a ratio of that next to none", app.BenchBacklog, backlogFlags)
}

func backlogFlags(cmd *cobra.Command, o *app.BenchOptions) {
	cmd.Flags().IntVar(&o.Items, "items", 20_000, "items of each fan-out that is measured")
	cmd.Flags().IntVar(&o.Parked, "parked", 1_000_000, "items that wait for a limit")
}

func (c *cli) benchRestartCommand() *cobra.Command {
	return c.benchmark("restart", "From the start of a killed host that has open runs to the end of a new run", app.BenchRestart, func(cmd *cobra.Command, o *app.BenchOptions) {
		cmd.Flags().IntVar(&o.Runs, "runs", 10_000, "runs that are open")
		cmd.Flags().IntVar(&o.Times, "times", 5, "how often it is killed")
	})
}

func (c *cli) benchTakeoverCommand() *cobra.Command {
	return c.benchmark("takeover", "From kill -9 of the leader to the end of a run on the other host (PostgreSQL)", app.BenchTakeover, func(cmd *cobra.Command, o *app.BenchOptions) {
		cmd.Flags().IntVar(&o.Times, "times", 20, "how often the leader is killed")
	})
}

func (c *cli) benchSoakCommand() *cobra.Command {
	minutes := 0.0
	measure := func(ctx context.Context, o app.BenchOptions) (app.BenchReport, error) {
		o.Duration = time.Duration(minutes * float64(time.Minute))
		if o.Duration < time.Second {
			return app.BenchReport{}, usage("--minutes is too short: a soak takes a second at least")
		}
		return app.BenchSoak(ctx, o)
	}
	return c.benchmark("soak", "A third of the top rate for long, with an old transaction held open in PostgreSQL", measure, func(cmd *cobra.Command, o *app.BenchOptions) {
		cmd.Flags().Float64Var(&minutes, "minutes", 30, "how long")
		cmd.Flags().IntVar(&o.Rate, "rate", 0, "steps a second; 0: a third of the top rate")
		cmd.Flags().IntVar(&o.Runs, "runs", 300, "runs of 100 items in the bursts before and after, which measure the top rate")
	})
}

// benchHalfCommand is one side of the backlog's benchmark.
func (c *cli) benchHalfCommand() *cobra.Command {
	f := benchFlags{}
	cmd := &cobra.Command{Use: "half", Short: "One side of bench backlog, until standard input ends", Hidden: true, Args: takes()}
	f.add(cmd)
	backlogFlags(cmd, &f.options)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := f.check(c); err != nil {
			return err
		}
		return app.BenchHalf(cmd.Context(), f.options, c.in, c.out)
	}
	return cmd
}

// benchPostgresCommand runs the server that benchmarks use, for others to be measured on.
func (c *cli) benchPostgresCommand() *cobra.Command {
	return &cobra.Command{
		Use: "postgres", Short: "Run the private PostgreSQL server of the benchmarks until standard input ends", Hidden: true, Args: takes(),
		RunE: func(cmd *cobra.Command, _ []string) error { return app.BenchPostgres(cmd.Context(), c.in, c.out) },
	}
}
