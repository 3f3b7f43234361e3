package main

import (
	"github.com/spf13/cobra"

	"opsconductor.dev/host/client"
)

func (c *cli) rerunCommand() *cobra.Command {
	var w waiting
	var steps, all, wait bool
	var key string
	cmd := &cobra.Command{
		Use: "rerun RUN", Short: "Run again what failed of a run that has ended, as a new run that keeps what succeeded",
		Args: takes("RUN"),
	}
	w.add(cmd)
	cmd.Flags().BoolVar(&steps, "steps", false, "run steps that did not succeed again whole, not only on the targets on which they did not")
	cmd.Flags().BoolVar(&all, "all", false, "run everything again")
	cmd.MarkFlagsMutuallyExclusive("steps", "all")
	cmd.Flags().StringVar(&key, "key", "", "idempotency key: the same key gives the same run")
	cmd.Flags().BoolVar(&wait, "wait", false, "wait for the end, without progress")
	cmd.Flags().BoolVarP(&w.follow, "follow", "f", false, "wait for the end and show progress")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		scope := "failed_targets"
		switch {
		case steps:
			scope = "failed_steps"
		case all:
			scope = "all"
		}
		host, err := c.remote()
		if err != nil {
			return err
		}
		run, err := host.Rerun(cmd.Context(), client.RunID(args[0]), scope, key)
		if err != nil {
			return err
		}
		if !wait && !w.follow {
			return c.showRun(run)
		}
		return c.await(cmd.Context(), host, run, w)
	}
	return cmd
}
