package main

import (
	"github.com/spf13/cobra"

	"opsconductor.dev/host/app"
)

func (c *cli) benchCommand() *cobra.Command {
	return group("bench", "Measure this machine", c.benchStepsCommand(), c.benchChainCommand(), c.benchSandboxCommand())
}

// benchFlags are what the benchmarks have in common.
type benchFlags struct {
	options app.BenchOptions
	json    bool
}

func (f *benchFlags) add(cmd *cobra.Command) {
	flags, o := cmd.Flags(), &f.options
	flags.StringVar(&o.Store, "store", "sqlite", "sqlite, in a temporary folder, or postgres")
	flags.StringVar(&o.DatabaseURL, "database-url", "", "PostgreSQL database that is written to (OPSCONDUCTOR_DATABASE_URL); without one a private server is started")
	flags.IntVar(&o.Slots, "slots", 0, "attempts at a time; 0: the host's default")
	flags.BoolVar(&f.json, "json", false, "print the result as one line of JSON, last on stdout")
}

func (f *benchFlags) check(c *cli) error {
	if err := oneOf("store", f.options.Store, "sqlite", "postgres"); err != nil {
		return err
	}
	if f.options.DatabaseURL == "" {
		f.options.DatabaseURL, _ = c.env("OPSCONDUCTOR_DATABASE_URL")
	}
	f.options.Version = c.version
	f.options.Progress = c.err
	return nil
}

func (f *benchFlags) show(c *cli, r app.BenchReport) error {
	if f.json {
		return writeLine(c.out, r)
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

func (c *cli) benchStepsCommand() *cobra.Command {
	f := benchFlags{}
	cmd := &cobra.Command{
		Use: "steps", Short: "Whole steps per second: single-step runs and one fan-out, without the sandbox and with a Go plugin and a small one in it", Args: takes(),
	}
	f.add(cmd)
	cmd.Flags().IntVar(&f.options.Runs, "runs", 20_000, "single-step runs")
	cmd.Flags().IntVar(&f.options.Items, "items", 20_000, "items of the fan-out")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := f.check(c); err != nil {
			return err
		}
		r, err := app.BenchSteps(cmd.Context(), f.options)
		if err != nil {
			return err
		}
		return f.show(c, r)
	}
	return cmd
}

func (c *cli) benchChainCommand() *cobra.Command {
	f := benchFlags{}
	cmd := &cobra.Command{Use: "chain", Short: "Added latency of a step in a sequence, p50 and p99", Args: takes()}
	f.add(cmd)
	cmd.Flags().IntVar(&f.options.Runs, "runs", 50, "runs, one after the other")
	cmd.Flags().IntVar(&f.options.Steps, "steps", 20, "steps of each")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := f.check(c); err != nil {
			return err
		}
		r, err := app.BenchChain(cmd.Context(), f.options)
		if err != nil {
			return err
		}
		return f.show(c, r)
	}
	return cmd
}
