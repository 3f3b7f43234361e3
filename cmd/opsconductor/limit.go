package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"opsconductor.dev/host/client"
)

func (c *cli) limitCommand() *cobra.Command {
	return group("limit", "Bound what runs at the same time, and how often it starts",
		c.limitSetCommand(), c.limitListCommand(), c.limitDeleteCommand())
}

// limitArgs are KIND and, but for global, MATCH.
func limitArgs(cmd *cobra.Command, args []string) error {
	if len(args) < 1 || len(args) > 2 {
		return usage("%s takes KIND and, for one value of it, MATCH", cmd.CommandPath())
	}
	return nil
}

func limitRequest(args []string) client.LimitRequest {
	r := client.LimitRequest{Kind: client.LimitKind(args[0])}
	if len(args) == 2 {
		r.Match = args[1]
	}
	return r
}

func (c *cli) limitSetCommand() *cobra.Command {
	var rate string
	var most, burst int
	cmd := &cobra.Command{
		Use: "set KIND [MATCH]", Short: "Set the limit of a kind, or of one value of it, whatever it was", Args: limitArgs,
		Long: "Sets a limit. KIND is global, tenant, queue, plugin, action, credential, asset or concurrency_key; MATCH is the value, and\nwithout it the limit is for each value that has none of its own. What is not said is left to the limit without MATCH.",
	}
	flags := cmd.Flags()
	flags.IntVar(&most, "max", 0, "attempts that run at the same time")
	flags.StringVar(&rate, "rate", "", "how often attempts start, like 10/1m")
	flags.IntVar(&burst, "burst", 0, "how many of them may start at once after a time of rest (default 1)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		r := limitRequest(args)
		r.Max = most
		if rate != "" {
			count, per, _ := strings.Cut(rate, "/")
			n, err := strconv.Atoi(count)
			if err != nil || per == "" {
				return usage("--rate is a number and a time, like 10/1m")
			}
			r.Rate = &client.Rate{Count: n, Per: per, Burst: burst}
		} else if burst != 0 {
			return usage("--burst belongs to --rate")
		}
		host, err := c.remote()
		if err != nil {
			return err
		}
		l, there, err := host.LimitFor(cmd.Context(), r.Kind, r.Match)
		switch {
		case err != nil:
			return err
		case there:
			l, err = host.UpdateLimit(cmd.Context(), l.ID, r, l.Version)
		default:
			l, err = host.CreateLimit(cmd.Context(), r, "")
		}
		if err != nil {
			return err
		}
		return c.show(l, pair{"limit", string(l.Kind)}, pair{"match", l.Match}, pair{"max", maxOf(l)}, pair{"rate", rateOf(l)},
			pair{"id", string(l.ID)}, pair{"version", strconv.FormatInt(l.Version, 10)})
	}
	return cmd
}

func maxOf(l client.Limit) string {
	if l.Max == 0 {
		return ""
	}
	return strconv.Itoa(l.Max)
}

// rateOf is a limit's rate as --rate takes it, with its burst.
func rateOf(l client.Limit) string {
	if l.Rate == nil {
		return ""
	}
	return fmt.Sprintf("%d/%s, burst %d", l.Rate.Count, l.Rate.Per, l.Rate.Burst)
}

func (c *cli) limitListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List limits, the oldest first", Args: takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			host, err := c.remote()
			if err != nil {
				return err
			}
			var limits []client.Limit
			for l, err := range client.All(func(p client.Page) (client.List[client.Limit], error) { return host.Limits(cmd.Context(), p) }) {
				if err != nil {
					return err
				}
				limits = append(limits, l)
			}
			return listing[client.Limit]{
				items: limits, head: []string{"KIND", "MATCH", "MAX", "RATE"},
				row: func(l client.Limit) []string { return []string{string(l.Kind), l.Match, maxOf(l), rateOf(l)} },
			}.write(c)
		},
	}
}

func (c *cli) limitDeleteCommand() *cobra.Command {
	return &cobra.Command{
		Use: "delete KIND [MATCH]", Short: "Delete the limit of a kind, or of one value of it", Args: limitArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			r := limitRequest(args)
			host, err := c.remote()
			if err != nil {
				return err
			}
			l, there, err := host.LimitFor(cmd.Context(), r.Kind, r.Match)
			if err != nil {
				return err
			}
			if !there {
				return &client.Error{Code: "not_found", Message: "there is no such limit", Suggestion: "opsconductor limit list"}
			}
			return host.DeleteLimit(cmd.Context(), l.ID, l.Version)
		},
	}
}
