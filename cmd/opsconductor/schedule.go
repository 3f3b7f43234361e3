package main

import (
	"context"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"opsconductor.dev/host/client"
)

func (c *cli) scheduleCommand() *cobra.Command {
	return group("schedule", "Submit runs at set times",
		c.scheduleCreateCommand(), c.scheduleListCommand(), c.scheduleShowCommand(), c.scheduleNextCommand(),
		c.scheduleUpdateCommand(), c.scheduleBackfillCommand(),
		c.scheduleChangeCommand("pause", "Stop a schedule from firing", (*client.Client).PauseSchedule),
		c.scheduleChangeCommand("resume", "Let a paused schedule fire again", (*client.Client).ResumeSchedule),
		c.scheduleDeleteCommand())
}

func (c *cli) scheduleCreateCommand() *cobra.Command {
	var r client.ScheduleRequest
	var in inputFlags
	cmd := &cobra.Command{Use: "create NAME FILE", Short: "Add a schedule for the definition in a file", Args: takes("NAME", "FILE")}
	in.add(cmd)
	flags := cmd.Flags()
	flags.StringVar(&r.Cron, "cron", "", `cron expression: minute, hour, day of month, month, day of week ("0 3 * * *"); with six fields, the second first`)
	flags.StringVar(&r.Interval, "interval", "", "distance between two times, like 15m, instead of --cron")
	flags.StringVar(&r.TimeZone, "time-zone", "", "zone that --cron is read in, like Europe/Berlin (default UTC)")
	flags.StringVar((*string)(&r.CatchUp), "catch-up", "skip", "for times that no host was there for: skip, one (run for all of them), all (a run each)")
	flags.StringVar((*string)(&r.Overlap), "overlap", "skip", "when the last run is still open: skip, queue (a new one after its end), allow (a new one all the same), cancel (the last one first)")
	flags.StringVar(&r.Jitter, "jitter", "", "submit up to this much later, like 30s")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		definition, err := c.readInput(args[1], maxDefinition)
		if err != nil {
			return err
		}
		if r.Inputs, err = in.read(c); err != nil {
			return err
		}
		r.Name, r.Definition = args[0], string(definition)
		host, err := c.remote()
		if err != nil {
			return err
		}
		s, err := host.CreateSchedule(cmd.Context(), r, "")
		if err != nil {
			return &inFile{name: args[1], err: err}
		}
		return c.showSchedule(s)
	}
	return cmd
}

func (c *cli) scheduleListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List schedules by name", Args: takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			host, err := c.remote()
			if err != nil {
				return err
			}
			var schedules []client.Schedule
			for s, err := range client.All(func(p client.Page) (client.List[client.Schedule], error) { return host.Schedules(cmd.Context(), p) }) {
				if err != nil {
					return err
				}
				schedules = append(schedules, s)
			}
			return listing[client.Schedule]{
				items: schedules, head: []string{"NAME", "WHEN", "NEXT", "LAST", "LAST RUN", "LAST ERROR"},
				row: func(s client.Schedule) []string {
					return []string{s.Name, when(s), nextOf(s), stamp(s.Last), string(s.LastRun), lastError(s)}
				},
			}.write(c)
		},
	}
}

// when is a schedule's cron expression with its zone, or its interval.
func when(s client.Schedule) string {
	if s.Interval != "" {
		return "every " + s.Interval
	}
	return s.Cron + " " + s.TimeZone
}

func nextOf(s client.Schedule) string {
	if s.Paused {
		return "paused"
	}
	return stamp(s.Next)
}

func lastError(s client.Schedule) string {
	if s.LastError == nil {
		return ""
	}
	return s.LastError.Error()
}

func (c *cli) scheduleShowCommand() *cobra.Command {
	return &cobra.Command{
		Use: "show NAME", Short: "Show a schedule", Args: takes("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			host, err := c.remote()
			if err != nil {
				return err
			}
			s, err := host.Schedule(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return c.showSchedule(s)
		},
	}
}

func (c *cli) showSchedule(s client.Schedule) error {
	return c.show(s, pair{"schedule", s.Name}, pair{"id", string(s.ID)}, pair{"when", when(s)}, pair{"next", nextOf(s)},
		pair{"inputs", string(s.Inputs)}, pair{"catch up", string(s.CatchUp)}, pair{"overlap", string(s.Overlap)}, pair{"jitter", s.Jitter},
		pair{"last", stamp(s.Last)}, pair{"last run", string(s.LastRun)}, pair{"last error", lastError(s)},
		pair{"version", strconv.FormatInt(s.Version, 10)})
}

func (c *cli) scheduleNextCommand() *cobra.Command {
	var count int
	cmd := &cobra.Command{Use: "next NAME", Short: "Tell the next times of a schedule", Args: takes("NAME")}
	cmd.Flags().IntVar(&count, "count", 10, "how many, 1 to 1000")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		host, err := c.remote()
		if err != nil {
			return err
		}
		times, err := host.NextTimes(cmd.Context(), args[0], count)
		if err != nil {
			return err
		}
		return listing[time.Time]{
			items: times, head: []string{"HERE", "UTC"},
			row: func(t time.Time) []string { return []string{stamp(t), t.UTC().Format(time.RFC3339)} },
		}.write(c)
	}
	return cmd
}

func (c *cli) scheduleChangeCommand(use, short string, change func(*client.Client, context.Context, string, int64) (client.Schedule, error)) *cobra.Command {
	return &cobra.Command{
		Use: use + " NAME", Short: short, Args: takes("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			host, err := c.remote()
			if err != nil {
				return err
			}
			s, err := change(host, cmd.Context(), args[0], 0)
			if err != nil {
				return err
			}
			return c.showSchedule(s)
		},
	}
}

func (c *cli) scheduleDeleteCommand() *cobra.Command {
	return &cobra.Command{
		Use: "delete NAME", Short: "Delete a schedule; its runs stay", Args: takes("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			host, err := c.remote()
			if err != nil {
				return err
			}
			return host.DeleteSchedule(cmd.Context(), args[0], 0)
		},
	}
}
