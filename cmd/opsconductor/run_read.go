package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"opsconductor.dev/host/client"
)

func (c *cli) runListCommand() *cobra.Command {
	var state string
	var limit int
	var nested bool
	cmd := &cobra.Command{Use: "list", Short: "List runs, the newest first", Args: takes()}
	cmd.Flags().StringVar(&state, "state", "", "only runs of this state")
	cmd.Flags().BoolVar(&nested, "all", false, "runs of sub-workflows too")
	cmd.Flags().IntVar(&limit, "limit", 50, "the most runs to list, up to 1000")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if limit < 1 || limit > 1000 {
			return usage("--limit is 1 to 1000")
		}
		host, err := c.remote()
		if err != nil {
			return err
		}
		read := host.Runs
		if nested {
			read = host.AllRuns
		}
		runs, err := read(cmd.Context(), client.RunState(state), client.Page{Limit: limit})
		if err != nil {
			return err
		}
		return listing[client.Run]{
			items: runs.Items, head: []string{"RUN", "WORKFLOW", "STATE", "BY", "CREATED", "TOOK"},
			row: func(r client.Run) []string {
				took := ""
				if !r.Ended.IsZero() {
					took = span(r.Ended.Sub(r.Created))
				}
				return []string{string(r.ID), r.Workflow, string(r.State), r.By, stamp(r.Created), took}
			},
		}.write(c)
	}
	return cmd
}

func (c *cli) runGetCommand() *cobra.Command {
	return &cobra.Command{
		Use: "get RUN", Short: "Show a run and its steps", Args: takes("RUN"),
		RunE: func(cmd *cobra.Command, args []string) error {
			host, err := c.remote()
			if err != nil {
				return err
			}
			run, err := host.Run(cmd.Context(), client.RunID(args[0]))
			if err != nil {
				return err
			}
			steps, err := host.Steps(cmd.Context(), run.ID)
			if err != nil {
				return err
			}
			children, err := host.Children(cmd.Context(), run.ID, client.Page{Limit: maxChildren})
			if err != nil {
				return err
			}
			if c.format != formatTable {
				return c.show(struct {
					client.Run
					Steps    []client.Step `json:"steps"`
					Children []client.Run  `json:"children,omitempty"`
				}{run, steps.Items, children.Items})
			}
			if err := c.showRun(run); err != nil {
				return err
			}
			t := table{head: []string{"STEP", "USES", "STATE", "ITEMS", "SUCCEEDED", "FAILED"}}
			for _, s := range steps.Items {
				t.add(s.ID, s.Uses, string(s.State), strconv.Itoa(s.Items), strconv.Itoa(s.Counts["succeeded"]),
					strconv.Itoa(s.Counts["failed"]+s.Counts["unknown"]))
			}
			fmt.Fprintln(c.out)
			if err := t.write(c.out); err != nil {
				return err
			}
			if err := c.showChildren(children); err != nil {
				return err
			}
			if manyFailed(steps.Items) {
				fmt.Fprintln(c.out)
			}
			return c.showCauses(cmd.Context(), host, run.ID, steps.Items)
		},
	}
}

// maxChildren is how many runs of sub-workflows are shown with a run, the newest.
const maxChildren = 200

// showChildren lists the runs of sub-workflows below their parent.
func (c *cli) showChildren(children client.List[client.Run]) error {
	if len(children.Items) == 0 {
		return nil
	}
	t := table{head: []string{"CHILD RUN", "STEP", "ITEM", "ATTEMPT", "WORKFLOW", "STATE"}}
	for _, r := range children.Items {
		t.add(string(r.ID), r.Parent.Step, strconv.Itoa(r.Parent.Item), strconv.Itoa(r.Parent.Attempt), r.Workflow, string(r.State))
	}
	fmt.Fprintln(c.out)
	if err := t.write(c.out); err != nil {
		return err
	}
	if children.NextCursor != "" {
		fmt.Fprintf(c.err, "there are more than %d child runs\n", maxChildren)
	}
	return nil
}

func (c *cli) itemsCommand() *cobra.Command {
	var step string
	cmd := &cobra.Command{Use: "items RUN", Short: "List a run's items: target, state, attempts, time, first line of output", Args: takes("RUN")}
	cmd.Flags().StringVar(&step, "step", "", "only items of this step")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		host, err := c.remote()
		if err != nil {
			return err
		}
		return c.showItems(cmd.Context(), host, client.RunID(args[0]), step)
	}
	return cmd
}

func (c *cli) showItems(ctx context.Context, host *client.Client, id client.RunID, step string) error {
	items, err := allItems(ctx, host, id, step)
	if err != nil {
		return err
	}
	fanned, err := fanOuts(ctx, host, id)
	if err != nil {
		return err
	}
	if c.format == formatTable {
		defer c.explainItems(items, fanned)
	}
	room := 120
	if w := width(c.out); w > 0 {
		room = max(w-64, 40)
	}
	return listing[client.Item]{
		items: items, head: []string{"STEP", "TARGET", "STATE", "ATTEMPTS", "TOOK", "OUTPUT"},
		row: func(i client.Item) []string {
			took := span(time.Duration(i.DurationMS * float64(time.Millisecond)))
			return []string{i.Step, elementName(i, fanned[i.Step]), string(i.State), strconv.Itoa(i.Attempt), took, shorten(gist(i), room)}
		},
	}.write(c)
}

func allItems(ctx context.Context, host *client.Client, id client.RunID, step string) ([]client.Item, error) {
	var items []client.Item
	for item, err := range client.All(func(p client.Page) (client.List[client.Item], error) {
		page, err := host.Items(ctx, id, step, p)
		return page.List, err
	}) {
		if err != nil {
			return nil, err
		}
		items = append(items, item)
	}
	return items, nil
}

// elementName names an item among those of its step; "" where it is the only one
// that there can be.
func elementName(i client.Item, fanned bool) string {
	switch {
	case i.Target != "":
		return i.Target
	case len(i.Value) > 0:
		return shorten(string(i.Value), 24)
	case !fanned:
		return ""
	}
	return strconv.Itoa(i.Index)
}

// maxExplained bounds the items whose errors are written out in full.
const maxExplained = 5

// explainItems writes to stderr what the table has no room for: the whole error
// of the first items that failed, and what to do.
func (c *cli) explainItems(items []client.Item, fanned map[string]bool) {
	more := 0
	for _, i := range items {
		switch {
		case i.Error == nil:
		case more >= maxExplained:
			more++
		default:
			more++
			where := i.Step
			if name := elementName(i, fanned[i.Step]); name != "" {
				where += "[" + name + "]"
			}
			fmt.Fprintln(c.err)
			explain(c.err, where, i.Error)
		}
	}
	if more > maxExplained {
		fmt.Fprintf(c.err, "\n%d more items have errors; --output json has all of them\n", more-maxExplained)
	}
}

// gist is the line that tells most of an item: its error, the first line of what
// a command wrote, or its output as JSON.
func gist(i client.Item) string {
	if i.Error != nil {
		return clean(string(i.Error.Code) + ": " + i.Error.Message)
	}
	if len(i.Output) == 0 {
		return clean(i.Reason)
	}
	var command struct {
		Stdout *string `json:"stdout"`
		Stderr string  `json:"stderr"`
	}
	if err := json.Unmarshal(i.Output, &command); err == nil && command.Stdout != nil {
		if line := firstLine(*command.Stdout); line != "" {
			return line
		}
		return firstLine(command.Stderr)
	}
	return clean(string(i.Output))
}
