package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"opsconductor.dev/host/client"
)

func (c *cli) logsCommand() *cobra.Command {
	var step string
	var follow bool
	cmd := &cobra.Command{Use: "logs RUN", Short: "Print what a run's attempts logged", Args: takes("RUN")}
	cmd.Flags().StringVar(&step, "step", "", "only attempts of this step")
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "print lines as they come, until the run's end")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		host, err := c.remote()
		if err != nil {
			return err
		}
		fanned, err := fanOuts(cmd.Context(), host, client.RunID(args[0]))
		if err != nil {
			return err
		}
		if follow {
			_, err := host.Lines(cmd.Context(), client.RunID(args[0]), step, func(l client.Line) error {
				if c.format != formatTable {
					return writeLine(c.out, l)
				}
				return c.logLine(change{step: l.Step, item: l.Item, target: l.Target, fanned: fanned[l.Step]}, l.Attempt, l.LogLine)
			})
			return err
		}
		var logs []client.AttemptLog
		for log, err := range client.All(func(p client.Page) (client.List[client.AttemptLog], error) {
			return host.Logs(cmd.Context(), client.RunID(args[0]), step, p)
		}) {
			if err != nil {
				return err
			}
			logs = append(logs, log)
		}
		if c.format != formatTable {
			return listing[client.AttemptLog]{items: logs}.write(c)
		}
		return c.printLogs(logs, fanned)
	}
	return cmd
}

// printLogs prints the lines of attempts, and says of which there may be more.
func (c *cli) printLogs(logs []client.AttemptLog, fanned map[string]bool) error {
	for _, log := range logs {
		of := change{step: log.Step, item: log.Item, fanned: fanned[log.Step]}
		for _, line := range log.Lines {
			if err := c.logLine(of, log.Attempt, line); err != nil {
				return err
			}
		}
		if log.Partial {
			fmt.Fprintf(c.err, "%s#%d: so far; the attempt is at work, or was lost with its host\n", clean(place(of)), log.Attempt)
		}
	}
	return nil
}

func (c *cli) logLine(of change, attempt int, line client.LogLine) error {
	_, err := fmt.Fprintf(c.out, "%s %s#%d %-5s %s\n", line.At.Local().Format("15:04:05.000"),
		clean(place(of)), attempt, clean(line.Level), clean(line.Message))
	return err
}
