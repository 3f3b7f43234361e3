package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"opsconductor.dev/host/client"
)

func (c *cli) runCommand() *cobra.Command {
	commands := []*cobra.Command{
		c.submitCommand(), c.runListCommand(), c.runGetCommand(), c.itemsCommand(), c.failuresCommand(), c.logsCommand(),
		c.eventsCommand(), c.watchCommand(), c.waitCommand(), c.eventCommand(), c.resolveCommand(), c.rerunCommand(), c.whyCommand(),
	}
	return group("run", "Submit runs, follow them, read what they left", append(commands, c.askCommands()...)...)
}

// waiting is how a command waits for a run.
type waiting struct {
	follow  bool // show progress
	timeout time.Duration
}

func (w *waiting) add(cmd *cobra.Command) {
	cmd.Flags().DurationVar(&w.timeout, "timeout", 0, "stop waiting after this time with exit code 7; the run goes on")
}

// context bounds the wait.
func (w *waiting) context(ctx context.Context) (context.Context, context.CancelFunc) {
	if w.timeout <= 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeoutCause(ctx, w.timeout, errors.New("the time to wait is over"))
}

func (c *cli) submitCommand() *cobra.Command {
	var in inputFlags
	var w waiting
	var plan, stored, key string
	var wait bool
	cmd := &cobra.Command{
		Use: "submit [FILE]", Short: "Submit a run of a definition, of a stored workflow (--workflow), or of a plan by its hash (--plan)",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usage("run submit takes one FILE at most")
			}
			return nil
		},
	}
	in.add(cmd)
	w.add(cmd)
	cmd.Flags().StringVar(&plan, "plan", "", "hash of a stored plan, instead of a FILE")
	cmd.Flags().StringVar(&stored, "workflow", "", "stored workflow, NAME@VERSION, instead of a FILE")
	cmd.Flags().StringVar(&key, "key", "", "idempotency key: the same key gives the same run")
	cmd.Flags().BoolVar(&wait, "wait", false, "wait for the end, without progress")
	cmd.Flags().BoolVarP(&w.follow, "follow", "f", false, "wait for the end and show progress")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		request, err := c.submission(args, plan, stored, &in)
		if err != nil {
			return err
		}
		request.Key = key
		host, err := c.remote()
		if err != nil {
			return err
		}
		run, err := host.Submit(cmd.Context(), request)
		if err != nil {
			if len(args) == 1 {
				return &inFile{name: args[0], err: err}
			}
			return err
		}
		if !wait && !w.follow {
			return c.showRun(run)
		}
		return c.await(cmd.Context(), host, run, w)
	}
	return cmd
}

func (c *cli) submission(args []string, plan, stored string, in *inputFlags) (client.SubmitRequest, error) {
	if len(args) > 1 || (len(args) == 1 && plan+stored != "") || (len(args) == 0 && (plan == "") == (stored == "")) {
		return client.SubmitRequest{}, usage("name either a FILE, a --workflow or a --plan")
	}
	inputs, err := in.read(c)
	if err != nil {
		return client.SubmitRequest{}, err
	}
	if plan != "" {
		if inputs != nil {
			return client.SubmitRequest{}, usage("a plan has its inputs already: --input goes with a FILE or a --workflow")
		}
		return client.SubmitRequest{PlanHash: client.Digest(plan)}, nil
	}
	if stored != "" {
		return client.SubmitRequest{Workflow: stored, Inputs: inputs}, nil
	}
	definition, err := c.readInput(args[0], maxDefinition)
	return client.SubmitRequest{Definition: definition, Inputs: inputs}, err
}

// await waits for a run's end, shows what it left, and returns how it ended.
func (c *cli) await(ctx context.Context, host *client.Client, run client.Run, w waiting) error {
	waitFor, cancel := w.context(ctx)
	defer cancel()
	var err error
	if w.follow {
		err = c.follow(waitFor, host, run)
	} else {
		err = c.waitEnd(waitFor, host, run.ID)
	}
	if waitFor.Err() != nil {
		fmt.Fprintf(c.err, "run %s goes on; cancel it with: opsconductor run cancel %s\n", run.ID, run.ID)
		if ctx.Err() == nil {
			return &exitErr{code: exitWaitTimeout, err: errors.New("the run had not ended when the time to wait was over")}
		}
		return &exitErr{code: exitError, err: errors.New("stopped waiting")}
	}
	if err != nil {
		return err
	}
	return c.report(ctx, host, run.ID)
}

// waitEnd waits for a run's end, and says meanwhile what it needs somebody for.
func (c *cli) waitEnd(ctx context.Context, host *client.Client, id client.RunID) error {
	reminding, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { c.remind(reminding, host, id) })
	_, err := host.WaitEnd(ctx, id)
	stop()
	wg.Wait()
	return err
}

// report shows an ended run with its items, and returns how it ended.
func (c *cli) report(ctx context.Context, host *client.Client, id client.RunID) error {
	run, err := host.Run(ctx, id)
	if err != nil {
		return err
	}
	steps, err := host.Steps(ctx, id)
	if err != nil {
		return err
	}
	if c.format == formatTable {
		if err := c.showFewItems(ctx, host, id, steps.Items); err != nil {
			return err
		}
		fmt.Fprintln(c.out)
		if err := c.showCauses(ctx, host, id, steps.Items); err != nil {
			return err
		}
	}
	if err := c.showRun(run); err != nil {
		return err
	}
	return runExit(run.State, steps.Items)
}

// maxReported is how many items the report of a run lists one by one.
const maxReported = 500

// showFewItems lists a run's items, or says how to, when they are very many.
func (c *cli) showFewItems(ctx context.Context, host *client.Client, id client.RunID, steps []client.Step) error {
	n := 0
	for _, s := range steps {
		n += s.Items
	}
	if n > maxReported {
		fmt.Fprintf(c.out, "%d items: opsconductor run items %s lists them\n", n, id)
		return nil
	}
	return c.showItems(ctx, host, id, "")
}

func (c *cli) waitCommand() *cobra.Command {
	var w waiting
	cmd := &cobra.Command{
		Use: "wait RUN", Short: "Wait for a run's end; the exit code says how it ended",
		Args: takes("RUN"),
	}
	w.add(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return c.awaitNamed(cmd.Context(), args[0], w) }
	return cmd
}

func (c *cli) watchCommand() *cobra.Command {
	w := waiting{follow: true}
	cmd := &cobra.Command{
		Use: "watch RUN", Short: "Show a run's progress until its end; the exit code says how it ended",
		Args: takes("RUN"),
	}
	w.add(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return c.awaitNamed(cmd.Context(), args[0], w) }
	return cmd
}

func (c *cli) awaitNamed(ctx context.Context, id string, w waiting) error {
	host, err := c.remote()
	if err != nil {
		return err
	}
	run, err := host.Run(ctx, client.RunID(id))
	if err != nil {
		return err
	}
	return c.await(ctx, host, run, w)
}

// askCommands ask the scheduler something about a run.
func (c *cli) askCommands() []*cobra.Command {
	return []*cobra.Command{
		c.askCommand("cancel", "Ask to cancel a run; attempts under way are told to stop", (*client.Client).Cancel),
		c.askCommand("pause", "Ask that nothing more of a run starts for now; attempts under way go on", (*client.Client).Pause),
		c.askCommand("resume", "Ask a paused run to go on", (*client.Client).Resume),
	}
}

func (c *cli) askCommand(name, short string, ask func(*client.Client, context.Context, client.RunID, string) (client.Run, error)) *cobra.Command {
	var reason string
	cmd := &cobra.Command{Use: name + " RUN", Short: short, Args: takes("RUN")}
	cmd.Flags().StringVar(&reason, "reason", "", "why, for the record")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		host, err := c.remote()
		if err != nil {
			return err
		}
		run, err := ask(host, cmd.Context(), client.RunID(args[0]), reason)
		if err != nil {
			return err
		}
		return c.showRun(run)
	}
	return cmd
}

func (c *cli) showRun(r client.Run) error {
	problem := ""
	if r.Error != nil {
		problem = r.Error.Error()
	}
	took := ""
	if !r.Ended.IsZero() {
		took = span(r.Ended.Sub(r.Created))
	}
	return c.show(r, pair{"run", string(r.ID)}, pair{"workflow", r.Workflow}, pair{"state", string(r.State)}, pair{"error", problem},
		pair{"outputs", clean(string(r.Outputs))}, pair{"parent", parentOf(r)}, pair{"plan", string(r.PlanHash)}, pair{"rerun of", string(r.RerunOf)}, pair{"by", r.By}, pair{"created", stamp(r.Created)}, pair{"started", stamp(r.Started)},
		pair{"ended", stamp(r.Ended)}, pair{"took", took})
}

// parentOf says which item of which run a run carries out; "" for a run that
// somebody submitted.
func parentOf(r client.Run) string {
	if r.Parent == nil {
		return ""
	}
	return fmt.Sprintf("%s, step %s, item %d", r.Parent.Run, r.Parent.Step, r.Parent.Item)
}
