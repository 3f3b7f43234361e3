package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"opsconductor.dev/host/client"
)

// follow shows a run's progress on stderr until its end.
func (c *cli) follow(ctx context.Context, host *client.Client, run client.Run) error {
	steps, err := host.Steps(ctx, run.ID)
	if err != nil {
		return err
	}
	var names []string
	fanned := map[string]bool{}
	for _, s := range steps.Items {
		names = append(names, s.ID)
		fanned[s.ID] = s.FanOut
	}
	view := newProgress(c.err, names, time.Now)
	if view.width == 0 {
		fmt.Fprintf(c.err, "run %s\n", run.ID)
	}
	events := make(chan client.Event, 64)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer close(events)
		_, err := host.Events(ctx, run.ID, "", func(e client.Event) error {
			select {
			case events <- e:
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		})
		return err
	})
	group.Go(func() error {
		tick := time.NewTicker(100 * time.Millisecond) // clocks on the screen go on between events
		defer tick.Stop()
		for {
			select {
			case e, open := <-events:
				if !open {
					view.draw()
					return nil
				}
				view.add(changeOf(run.ID, e, fanned))
			case <-tick.C:
				view.draw()
			}
		}
	})
	return group.Wait()
}

// fanOuts says which steps of a run have for_each.
func fanOuts(ctx context.Context, host *client.Client, id client.RunID) (map[string]bool, error) {
	steps, err := host.Steps(ctx, id)
	if err != nil {
		return nil, err
	}
	out := map[string]bool{}
	for _, s := range steps.Items {
		out[s.ID] = s.FanOut
	}
	return out, nil
}

func changeOf(run client.RunID, e client.Event, fanned map[string]bool) change {
	c := change{
		at: e.At, run: string(e.RunState), step: e.Step, item: e.Item, target: e.Target, fanned: fanned[e.Step],
		state: string(e.State), attempt: e.Attempt,
	}
	c.hint = howTo(run, e.Step, itemName(e.Item, e.Target, fanned[e.Step]), e.State, e.WaitsFor)
	if e.Error != nil {
		c.problem = string(e.Error.Code) + ": " + e.Error.Message
	}
	return c
}

func (c *cli) eventsCommand() *cobra.Command {
	var after string
	cmd := &cobra.Command{
		Use: "events RUN", Short: "Print a run's events, first those that were, then live ones, until its end",
		Args: takes("RUN"),
	}
	cmd.Flags().StringVar(&after, "after", "", "begin behind this event, SEQ.INDEX, or behind a snapshot's SEQ")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		host, err := c.remote()
		if err != nil {
			return err
		}
		plain := &progress{w: c.out}
		fanned, err := fanOuts(cmd.Context(), host, client.RunID(args[0]))
		if err != nil {
			return err
		}
		_, err = host.Events(cmd.Context(), client.RunID(args[0]), after, func(e client.Event) error {
			if c.format == formatTable {
				plain.line(changeOf(client.RunID(args[0]), e, fanned))
				return nil
			}
			return writeLine(c.out, e)
		})
		return err
	}
	return cmd
}
