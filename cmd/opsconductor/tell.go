package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"opsconductor.dev/host/client"
)

func (c *cli) approvalCommand() *cobra.Command {
	return group("approval", "List what runs ask to be approved, and decide it",
		c.approvalListCommand(), c.decideCommand("approve", client.DecisionApprove), c.decideCommand("reject", client.DecisionReject))
}

func (c *cli) approvalListCommand() *cobra.Command {
	var state string
	cmd := &cobra.Command{Use: "list", Short: "List approvals, those of the newest run first", Args: takes()}
	cmd.Flags().StringVar(&state, "state", "pending", "pending, approved, rejected, expired, cancelled, or all")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := oneOf("state", state, "pending", "approved", "rejected", "expired", "cancelled", "all"); err != nil {
			return err
		}
		host, err := c.remote()
		if err != nil {
			return err
		}
		only := client.ApprovalState(state)
		if state == "all" {
			only = ""
		}
		var items []client.Approval
		for a, err := range client.All(func(p client.Page) (client.List[client.Approval], error) {
			return host.Approvals(cmd.Context(), only, p)
		}) {
			if err != nil {
				return err
			}
			items = append(items, a)
		}
		return listing[client.Approval]{
			items: items, head: []string{"RUN", "STEP", "ITEM", "WORKFLOW", "BY", "STATE", "EXPIRES", "MESSAGE"},
			row: func(a client.Approval) []string {
				return []string{
					string(a.Run), a.Step, strconv.Itoa(a.Item), a.Workflow, a.Submitted, string(a.State), stamp(a.Expires), shorten(clean(a.Message), 80),
				}
			},
		}.write(c)
	}
	return cmd
}

// takesItem checks the arguments RUN STEP [ITEM].
func takesItem(cmd *cobra.Command, args []string) error {
	if len(args) == 2 || len(args) == 3 {
		return nil
	}
	return usage("%s takes RUN, STEP and, in a step with for_each, ITEM\n\nusage: %s", cmd.CommandPath(), cmd.UseLine())
}

// itemRef names an item by its step and its index or the name of its target.
func itemRef(ctx context.Context, host *client.Client, args []string) (client.ItemRef, error) {
	ref := client.ItemRef{Run: client.RunID(args[0]), Step: args[1]}
	if len(args) < 3 {
		steps, err := host.Steps(ctx, ref.Run)
		if err != nil {
			return ref, err
		}
		for _, s := range steps.Items {
			if s.ID == ref.Step && s.FanOut {
				return ref, usage("step %s has for_each: name the ITEM, by its index or its target", clean(s.ID))
			}
		}
		return ref, nil
	}
	n, err := strconv.Atoi(args[2])
	if err == nil {
		ref.Item = n
		return ref, nil
	}
	items, err := allItems(ctx, host, ref.Run, ref.Step)
	if err != nil {
		return ref, err
	}
	for _, i := range items {
		if i.Target == args[2] {
			ref.Item = i.Index
			return ref, nil
		}
	}
	return ref, usage("step %s has no item on a target %q", clean(ref.Step), clean(args[2]))
}

func (c *cli) decideCommand(name string, d client.Decision) *cobra.Command {
	var reason string
	cmd := &cobra.Command{Use: name + " RUN STEP [ITEM]", Short: strings.ToUpper(name[:1]) + name[1:] + " what an item of a run asks for", Args: takesItem}
	cmd.Flags().StringVar(&reason, "reason", "", "why, for the record")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		host, err := c.remote()
		if err != nil {
			return err
		}
		ref, err := itemRef(cmd.Context(), host, args)
		if err != nil {
			return err
		}
		item, err := host.Decide(cmd.Context(), ref, d, reason)
		if err != nil {
			return err
		}
		return c.showItem(ref, item)
	}
	return cmd
}

// resolution is what `run resolve` says.
type resolution struct {
	ran, didNotRun, abandon bool
	failed, result, reason  string
}

func (c *cli) resolveCommand() *cobra.Command {
	var r resolution
	cmd := &cobra.Command{Use: "resolve RUN STEP [ITEM]", Short: "Say what became of an item that is unknown", Args: takesItem}
	flags := cmd.Flags()
	flags.BoolVar(&r.ran, "ran", false, "it ran, and succeeded unless --failed says otherwise")
	flags.BoolVar(&r.didNotRun, "did-not-run", false, "it did not run: it is granted again")
	flags.BoolVar(&r.abandon, "abandon", false, "nobody will find out: it fails")
	flags.StringVar(&r.failed, "failed", "", "with --ran: it failed, with this message")
	flags.StringVar(&r.result, "result", "", "with --ran: what it gave, a JSON object that fits the action's output")
	flags.StringVar(&r.reason, "reason", "", "how this is known, for the record")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		said, outcome, err := r.read(cmd.Flags().Changed("failed"))
		if err != nil {
			return err
		}
		host, err := c.remote()
		if err != nil {
			return err
		}
		ref, err := itemRef(cmd.Context(), host, args)
		if err != nil {
			return err
		}
		item, err := host.Resolve(cmd.Context(), ref, said, outcome, r.reason)
		if err != nil {
			return err
		}
		return c.showItem(ref, item)
	}
	return cmd
}

func (r *resolution) read(failed bool) (client.Resolution, *client.Outcome, error) {
	given := 0
	for _, is := range []bool{r.ran, r.didNotRun, r.abandon} {
		if is {
			given++
		}
	}
	switch {
	case given != 1:
		return "", nil, usage("say one of --ran, --did-not-run and --abandon")
	case !r.ran && (failed || r.result != ""), failed && r.result != "":
		return "", nil, usage("--failed and --result go with --ran, one of them")
	case r.didNotRun:
		return client.ResolutionDidNotRun, nil, nil
	case r.abandon:
		return client.ResolutionAbandon, nil, nil
	case failed:
		return client.ResolutionRan, &client.Outcome{State: client.ItemFailed, Message: r.failed}, nil
	}
	return client.ResolutionRan, &client.Outcome{State: client.ItemSucceeded, Output: json.RawMessage(r.result)}, nil
}

func (c *cli) eventCommand() *cobra.Command {
	var payload, key string
	cmd := &cobra.Command{Use: "event RUN NAME", Short: "Send an event to a run", Args: takes("RUN", "NAME")}
	cmd.Flags().StringVar(&payload, "payload", "", "a JSON object that the steps can read")
	cmd.Flags().StringVar(&key, "key", "", "idempotency key: the same key sends the event once")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		host, err := c.remote()
		if err != nil {
			return err
		}
		got, err := host.SendEvent(cmd.Context(), client.RunID(args[0]), args[1], json.RawMessage(payload), key)
		if err != nil {
			return err
		}
		return c.show(got, pair{"event", got.Name}, pair{"state", got.State}, pair{"items", strconv.Itoa(got.Items)})
	}
	return cmd
}

func (c *cli) showItem(ref client.ItemRef, i client.Item) error {
	problem, by := "", ""
	if i.Error != nil {
		problem = string(i.Error.Code) + ": " + i.Error.Message
	}
	if i.Answer != nil {
		by = i.Answer.By
	}
	return c.show(i, pair{"run", string(ref.Run)}, pair{"step", i.Step}, pair{"item", strconv.Itoa(i.Index)}, pair{"target", i.Target},
		pair{"state", string(i.State)}, pair{"by", by}, pair{"error", problem}, pair{"output", string(i.Output)})
}

// howTo says what an item waits for that somebody has to give, and how to; "" when
// it waits for nothing of that kind.
func howTo(run client.RunID, step, item string, state client.ItemState, w *client.Wait) string {
	where, args := step, string(run)+" "+step
	if item != "" {
		where += "[" + item + "]"
		args += " " + item
	}
	switch {
	case state == client.ItemUnknown:
		return where + ": it is not known whether it ran; look, then say: opsconductor run resolve " + args + " --ran | --did-not-run | --abandon"
	case w == nil:
		return ""
	case w.For == client.WaitForApproval:
		return where + " asks: " + clean(w.Message) + "; decide: opsconductor approval approve " + args + ", or reject"
	}
	return where + " waits for the event " + clean(w.Event) + "; send it: opsconductor run event " + string(run) + " " + clean(w.Event)
}

// maxDepth bounds the sub-workflows within sub-workflows that a wait looks into.
const maxDepth = 5

// maxHints bounds the items that a wait explains one by one.
const maxHints = 5

// remind says on stderr what a run waits for that somebody has to give, each item
// once, until ctx is done.
func (c *cli) remind(ctx context.Context, host *client.Client, id client.RunID) {
	said := map[string]bool{}
	pause := time.Second
	for {
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		pause = min(2*pause, 15*time.Second)
		for _, hint := range openQuestions(ctx, host, id, 0) {
			if !said[hint] && len(said) < maxHints {
				said[hint] = true
				fmt.Fprintln(c.err, hint)
			}
		}
	}
}

// openQuestions are the hints for what a run waits for now. What can't be read is
// left out: the wait itself says what is wrong.
func openQuestions(ctx context.Context, host *client.Client, id client.RunID, depth int) []string {
	steps, err := host.Steps(ctx, id)
	if err != nil || depth > maxDepth {
		return nil
	}
	var hints []string
	for _, s := range steps.Items {
		asks := s.Counts["running"] > 0 && (strings.HasPrefix(s.Uses, "core.") || strings.HasPrefix(s.Uses, "workflow."))
		if s.Counts["unknown"] == 0 && !asks {
			continue
		}
		items, err := allItems(ctx, host, id, s.ID)
		if err != nil {
			return nil
		}
		for _, i := range items {
			if i.Child != "" && !i.State.Ended() && len(hints) < maxHints {
				hints = append(hints, openQuestions(ctx, host, i.Child, depth+1)...)
			}
			if hint := howTo(id, i.Step, itemName(i.Index, i.Target, s.FanOut), i.State, i.WaitsFor); hint != "" {
				hints = append(hints, hint)
			}
		}
	}
	return hints
}

// itemName names an item in a command: by its target, or its index; "" where the
// step alone names it.
func itemName(index int, target string, fanned bool) string {
	switch {
	case target != "":
		return target
	case fanned:
		return strconv.Itoa(index)
	}
	return ""
}
