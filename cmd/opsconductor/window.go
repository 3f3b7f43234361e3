package main

import (
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"opsconductor.dev/host/client"
)

func (c *cli) windowCommand() *cobra.Command {
	return group("window", "Say when assets may be worked on",
		c.windowPutCommand(false), c.windowListCommand(), c.windowShowCommand(), c.windowPutCommand(true), c.windowDeleteCommand())
}

// windowFlags are what is said of a window on the command line.
type windowFlags struct {
	request     client.WindowRequest
	from, until string
}

func (f *windowFlags) add(cmd *cobra.Command) {
	r, flags := &f.request, cmd.Flags()
	flags.StringVar((*string)(&r.Kind), "kind", "maintenance", "maintenance (its assets are worked on in its times only) or freeze (not in its times)")
	flags.StringVar((*string)(&r.Scope), "scope", "changes", "what it holds back: changes (actions of every effect but pure) or all")
	flags.StringSliceVar(&r.Assets, "asset", nil, `assets by name, "*" for all`)
	flags.StringSliceVar(&r.Tags, "tag", nil, "assets with one of these tags")
	flags.StringVar(&r.Cron, "cron", "", `when it begins: minute, hour, day of month, month, day of week ("0 2 * * 6")`)
	flags.StringVar(&r.Duration, "duration", "", "how long it is each time, like 4h; with --cron")
	flags.StringVar(&r.TimeZone, "time-zone", "", "zone that --cron is read in, like Europe/Berlin (default UTC)")
	flags.StringVar(&f.from, "from", "", "begin of a window of one time, like 2026-12-20T00:00:00Z, instead of --cron")
	flags.StringVar(&f.until, "until", "", "its end")
}

func (f *windowFlags) read(name string) (client.WindowRequest, error) {
	f.request.Name = name
	for flag, value := range map[string]struct {
		text string
		to   *time.Time
	}{"from": {f.from, &f.request.From}, "until": {f.until, &f.request.Until}} {
		if value.text == "" {
			continue
		}
		t, err := time.Parse(time.RFC3339, value.text)
		if err != nil {
			return f.request, usage("--%s is a time like 2026-12-20T00:00:00Z", flag)
		}
		*value.to = t
	}
	return f.request, nil
}

// windowPutCommand is window create, and window update, which says all of it anew.
func (c *cli) windowPutCommand(again bool) *cobra.Command {
	cmd := &cobra.Command{Use: "create NAME", Short: "Add a maintenance window or a freeze", Args: takes("NAME")}
	if again {
		cmd.Use, cmd.Short = "update NAME", "Say all of a window anew"
	}
	var f windowFlags
	f.add(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		r, err := f.read(args[0])
		if err != nil {
			return err
		}
		host, err := c.remote()
		if err != nil {
			return err
		}
		var w client.Window
		if again {
			w, err = host.UpdateWindow(cmd.Context(), args[0], r, 0)
		} else {
			w, err = host.CreateWindow(cmd.Context(), r, "")
		}
		if err != nil {
			return err
		}
		return c.showWindow(w)
	}
	return cmd
}

func (c *cli) windowListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List windows by name", Args: takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			host, err := c.remote()
			if err != nil {
				return err
			}
			var windows []client.Window
			for w, err := range client.All(func(p client.Page) (client.List[client.Window], error) { return host.Windows(cmd.Context(), p) }) {
				if err != nil {
					return err
				}
				windows = append(windows, w)
			}
			return listing[client.Window]{
				items: windows, head: []string{"NAME", "KIND", "SCOPE", "WHEN", "ASSETS", "TAGS"},
				row: func(w client.Window) []string {
					return []string{w.Name, string(w.Kind), string(w.Scope), windowTimes(w), strings.Join(w.Assets, ","), strings.Join(w.Tags, ",")}
				},
			}.write(c)
		},
	}
}

// windowTimes is a window's cron expression with its zone and length, or its one time.
func windowTimes(w client.Window) string {
	if w.Cron == "" {
		return stamp(w.From) + " to " + stamp(w.Until)
	}
	return w.Cron + " " + w.TimeZone + " for " + w.Duration
}

func (c *cli) windowShowCommand() *cobra.Command {
	return &cobra.Command{
		Use: "show NAME", Short: "Show a window", Args: takes("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			host, err := c.remote()
			if err != nil {
				return err
			}
			w, err := host.Window(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return c.showWindow(w)
		},
	}
}

func (c *cli) showWindow(w client.Window) error {
	return c.show(w, pair{"window", w.Name}, pair{"id", string(w.ID)}, pair{"kind", string(w.Kind)}, pair{"scope", string(w.Scope)},
		pair{"when", windowTimes(w)}, pair{"assets", strings.Join(w.Assets, ",")}, pair{"tags", strings.Join(w.Tags, ",")},
		pair{"version", strconv.FormatInt(w.Version, 10)})
}

func (c *cli) windowDeleteCommand() *cobra.Command {
	return &cobra.Command{
		Use: "delete NAME", Short: "Delete a window", Args: takes("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			host, err := c.remote()
			if err != nil {
				return err
			}
			return host.DeleteWindow(cmd.Context(), args[0], 0)
		},
	}
}
