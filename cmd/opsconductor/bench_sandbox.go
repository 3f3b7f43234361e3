package main

import (
	"github.com/spf13/cobra"

	"opsconductor.dev/host/app"
)

func (c *cli) benchSandboxCommand() *cobra.Command {
	o := app.BenchOptions{}
	asJSON := false
	cmd := &cobra.Command{
		Use: "sandbox", Short: "What an attempt costs in the sandbox, on both engines, and what idle sandboxes take", Args: takes(),
	}
	cmd.Flags().IntVar(&o.Runs, "calls", 2000, "attempts of each kind")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the result as one line of JSON, last on stdout")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		o.Version, o.Progress = c.version, c.err
		r, err := app.BenchSandbox(cmd.Context(), o)
		if err != nil {
			return err
		}
		if asJSON {
			return writeLine(c.out, r)
		}
		if c.format != formatTable {
			return c.show(r)
		}
		t := table{head: []string{"BENCHMARK", "WHAT", "FIGURE", "UNIT"}}
		for _, row := range r.Rows() {
			t.add(row...)
		}
		return t.write(c.out)
	}
	return cmd
}
