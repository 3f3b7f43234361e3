package main

import (
	"github.com/spf13/cobra"

	"opsconductor.dev/host/client"
)

// scheduleChange is the flags of an update: what is not given stays.
type scheduleChange struct {
	in                                                             inputFlags
	name, file, cron, interval, timeZone, catchUp, overlap, jitter string
	version                                                        int64
}

func (c *cli) scheduleUpdateCommand() *cobra.Command {
	var u scheduleChange
	cmd := &cobra.Command{
		Use: "update NAME", Short: "Change a schedule; what no flag names stays as it is", Args: takes("NAME"),
		Long: `Change a schedule; what no flag names stays as it is. --cron takes the place of an
interval, and --interval that of a cron expression. Inputs that are given replace
all inputs. The change is refused when somebody else changes the schedule at the
same time, or when it has another version than --if-match says.`,
	}
	u.in.add(cmd)
	flags := cmd.Flags()
	flags.StringVar(&u.name, "rename", "", "new name")
	flags.StringVar(&u.file, "definition", "", "file with the new definition, - for standard input")
	flags.StringVar(&u.cron, "cron", "", "new cron expression")
	flags.StringVar(&u.interval, "interval", "", "new distance between two times, like 15m")
	flags.StringVar(&u.timeZone, "time-zone", "", "new zone that the cron expression is read in")
	flags.StringVar(&u.catchUp, "catch-up", "", "skip, one or all")
	flags.StringVar(&u.overlap, "overlap", "", "skip, queue, allow or cancel")
	flags.StringVar(&u.jitter, "jitter", "", "new jitter; 0s for none")
	flags.Int64Var(&u.version, "if-match", 0, "change the schedule only if it has this version (as show tells it)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		host, err := c.remote()
		if err != nil {
			return err
		}
		old, err := host.Schedule(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		r, err := u.apply(c, old)
		if err != nil {
			return err
		}
		if u.version == 0 {
			u.version = old.Version
		}
		s, err := host.UpdateSchedule(cmd.Context(), args[0], r, u.version)
		switch {
		case err != nil && u.file != "":
			return &inFile{name: u.file, err: err}
		case err != nil:
			return err
		}
		return c.showSchedule(s)
	}
	return cmd
}

// apply returns the schedule with what the flags change.
func (u *scheduleChange) apply(c *cli, old client.Schedule) (client.ScheduleRequest, error) {
	r := client.ScheduleRequest{
		Name: old.Name, Definition: old.Definition, Inputs: old.Inputs, Cron: old.Cron, Interval: old.Interval, TimeZone: old.TimeZone,
		CatchUp: old.CatchUp, Overlap: old.Overlap, Jitter: old.Jitter,
	}
	if u.cron != "" && u.interval != "" {
		return r, usage("a schedule has either --cron or --interval")
	}
	if u.cron != "" {
		r.Cron, r.Interval = u.cron, ""
	}
	if u.interval != "" {
		r.Cron, r.Interval, r.TimeZone = "", u.interval, ""
	}
	for _, f := range []struct {
		to   *string
		text string
	}{{&r.Name, u.name}, {&r.TimeZone, u.timeZone}, {(*string)(&r.CatchUp), u.catchUp}, {(*string)(&r.Overlap), u.overlap}, {&r.Jitter, u.jitter}} {
		if f.text != "" {
			*f.to = f.text
		}
	}
	var err error
	r.Definition, r.Inputs, err = c.newDefinition(u.file, &u.in, r.Definition, r.Inputs)
	return r, err
}
