package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"opsconductor.dev/host/client"
)

func (c *cli) failuresCommand() *cobra.Command {
	return &cobra.Command{
		Use: "failures RUN", Short: "List why items of a run failed, grouped by the cause", Args: takes("RUN"),
		RunE: func(cmd *cobra.Command, args []string) error {
			host, err := c.remote()
			if err != nil {
				return err
			}
			failures, err := host.Failures(cmd.Context(), client.RunID(args[0]))
			if err != nil {
				return err
			}
			if c.format != formatTable {
				return listing[client.Failure]{items: failures.Items}.write(c)
			}
			return c.showFailures(failures)
		},
	}
}

// showFailures writes the table of causes.
func (c *cli) showFailures(failures client.Failures) error {
	if len(failures.Items) == 0 {
		fmt.Fprintln(c.err, "nothing failed")
		return nil
	}
	t := table{head: []string{"FAILED", "STEP", "CODE", "CAUSE", "ON"}}
	room := 60
	if w := width(c.out); w > 0 {
		room = max(w-72, 40)
	}
	shown := 0
	for _, f := range failures.Items {
		shown += f.Count
		t.add(strconv.Itoa(f.Count), f.Step, string(f.Code), shorten(clean(f.Signature), room), clean(failedOn(f)))
	}
	if err := t.write(c.out); err != nil {
		return err
	}
	if more := failures.Total - shown; more > 0 {
		fmt.Fprintf(c.err, "%d more items failed for other causes\n", more)
	}
	return nil
}

// showCauses writes the table of causes when more than one item failed: of a single
// one everything is said already.
func (c *cli) showCauses(ctx context.Context, host *client.Client, id client.RunID, steps []client.Step) error {
	if !manyFailed(steps) {
		return nil
	}
	failures, err := host.Failures(ctx, id)
	if err != nil {
		return err
	}
	if err := c.showFailures(failures); err != nil {
		return err
	}
	fmt.Fprintln(c.out)
	return nil
}

func manyFailed(steps []client.Step) bool {
	failed := 0
	for _, s := range steps {
		failed += s.Counts["failed"] + s.Counts["unknown"]
	}
	return failed > 1
}

// failedOn names the first items of a group.
func failedOn(f client.Failure) string {
	var names []string
	for _, i := range f.Items[:min(len(f.Items), 3)] {
		names = append(names, elementName(client.Item{Target: i.Target, Value: i.Value, Index: i.Index}, true))
	}
	text := strings.Join(names, ", ")
	if more := f.Count - len(names); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
