package main

import (
	"time"

	"github.com/spf13/cobra"

	"opsconductor.dev/host/client"
)

func (c *cli) scheduleBackfillCommand() *cobra.Command {
	var from, to, key string
	var r client.BackfillRequest
	cmd := &cobra.Command{
		Use: "backfill NAME", Short: "Submit the runs of times that are over", Args: takes("NAME"),
		Long: `Submit a run for every time of a schedule from --from to before --to. A time has
one run: one that fired is passed over, and the same command again submits what
is still missing. The runs are accepted in the order of their times and don't
wait for each other. A time is written like 2026-03-01T00:00:00Z, or
2026-03-01T00:00:00+01:00, or as a date, which begins at midnight UTC.`,
	}
	flags := cmd.Flags()
	flags.StringVar(&from, "from", "", "the span's beginning, which is in it")
	flags.StringVar(&to, "to", "", "the span's end, which is not in it (default now)")
	flags.IntVar(&r.Max, "max", 0, "an error when there are more times than that (default 1000, which is the most)")
	flags.BoolVar(&r.DryRun, "dry-run", false, "tell the times, and submit nothing")
	flags.BoolVar(&r.Again, "again", false, "submit also for times that have a run")
	flags.StringVar(&key, "key", "", "idempotency key of --again: the same key submits once")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var err error
		if r.From, err = moment("from", from); err != nil {
			return err
		}
		r.To = time.Now()
		if to != "" {
			if r.To, err = moment("to", to); err != nil {
				return err
			}
		}
		host, err := c.remote()
		if err != nil {
			return err
		}
		times, err := host.Backfill(cmd.Context(), args[0], r, key)
		if err != nil {
			return err
		}
		return listing[client.BackfillTime]{
			items: times, head: []string{"HERE", "UTC", "OUTCOME", "RUN"},
			row: func(t client.BackfillTime) []string {
				return []string{stamp(t.At), t.At.UTC().Format(time.RFC3339), t.Outcome, string(t.Run)}
			},
		}.write(c)
	}
	return cmd
}

// moment reads a flag's time.
func moment(flag, text string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339Nano, time.DateOnly} {
		if at, err := time.Parse(layout, text); err == nil {
			return at, nil
		}
	}
	return time.Time{}, usage("--%s needs a time, like 2026-03-01T00:00:00Z or 2026-03-01", flag)
}
