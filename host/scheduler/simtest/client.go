package simtest

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/workflow"
)

// client submits runs and is the operator of the simulation.
type client struct {
	*link
	r        *rand.Rand
	submits  []time.Duration // when runs are submitted, ascending
	commands int
	paused   map[automation.RunID]bool
}

func newClient(w *world) *client {
	return &client{link: w.link(w.client, 0), r: w.dice.rand("client"), paused: map[automation.RunID]bool{}}
}

// submitAll draws when runs are submitted.
func (c *client) submitAll() {
	for range 1 + c.r.IntN(8) {
		c.submits = append(c.submits, within(c.r, 0, c.weather.until*8/10))
	}
	slices.Sort(c.submits)
}

// operate does what is next: it submits a run, or looks at what waits for somebody.
func (c *client) operate() {
	again := c.sinceBegin() + between(c.dice.of("operate", c.number("operate")), 300*time.Millisecond, 2*time.Second)
	for len(c.submits) > 0 && c.submits[0] < again {
		sleep(max(c.submits[0]-c.sinceBegin(), 0))
		c.submits = c.submits[1:]
		c.submit()
	}
	sleep(max(again-c.sinceBegin(), 0))
	c.follow()
	for _, id := range c.open() {
		if c.faulty() {
			c.meddle(id)
		}
		c.answer(id)
	}
}

// submit stores plans and accepts a run, and asks again until it knows that it is.
func (c *client) submit() {
	n := c.number("submit")
	id := automation.RunID(fmt.Sprintf("0190000a-0000-7000-8000-%012d", n))
	run := automation.Run{ID: id, Tenant: automation.DefaultTenant, Workflow: "w", By: "ann", Created: time.Now()}
	if hash, begin := c.rerun(); begin != nil && c.r.IntN(3) == 0 {
		run.PlanHash, run.Begin = hash, begin
	} else {
		run.PlanHash = c.putPlans(randomPlans(c.r, fmt.Sprintf("w%d", n), 2))
	}
	act := automation.Act{
		Tenant: run.Tenant, By: "ann", Action: "run.submit", Object: string(id), At: run.Created,
		Key: string(id), Request: automation.Digest(fmt.Sprintf("%064d", n)),
	}
	c.insist(func() error {
		_, _, err := c.Accept(context.Background(), run, act)
		return err
	})
}

// insist asks again for as long as the store is not there.
func (c *client) insist(ask func() error) {
	for {
		err := ask()
		if err == nil {
			return
		}
		if automation.CodeOf(err) != automation.CodeUnavailable {
			c.violate("the client was refused: %v", err)
			return
		}
		sleep(100 * time.Millisecond)
	}
}

func (c *client) putPlans(plans []*workflow.Plan) automation.Digest {
	for _, p := range plans {
		body, err := p.Encode()
		var prog *workflow.Program
		if err == nil {
			prog, err = workflow.Compile(p)
		}
		if err != nil {
			c.violate("a plan of the simulation: %v", err)
			continue
		}
		c.locked(func() { c.plans[p.Hash()] = prog })
		c.insist(func() error {
			return c.PutPlan(context.Background(), automation.DefaultTenant, p.Hash(), body, time.Now())
		})
	}
	return plans[0].Hash()
}

// rerun returns the first of the runs that have ended, to be run again.
func (c *client) rerun() (automation.Digest, *automation.Begin) {
	var hash automation.Digest
	var begin *automation.Begin
	c.locked(func() {
		for _, id := range slices.Sorted(maps.Keys(c.runs)) {
			if r := c.runs[id]; r.ended && !r.prog.Plan().Template {
				hash, begin = r.prog.Plan().Hash(), &automation.Begin{Kept: r.fold.Kept(c.dice.of("whole")%2 == 0)}
				return
			}
		}
	})
	return hash, begin
}

// locked does something under the world's lock.
func (c *client) locked(do func()) {
	c.world.mu.Lock()
	defer c.world.mu.Unlock()
	do()
}

func (c *client) command(cmd automation.Command) {
	c.commands++
	cmd.ID, cmd.Tenant, cmd.By, cmd.At = automation.CommandID(fmt.Sprintf("0190000b-0000-7000-8000-%012d", c.commands)), automation.DefaultTenant, "ann", time.Now()
	act := automation.Act{
		Tenant: cmd.Tenant, By: "ann", Action: "run.tell", Object: string(cmd.Run), At: cmd.At,
		Key: string(cmd.ID), Request: automation.Digest(fmt.Sprintf("%064d", c.commands)),
	}
	c.hit("told " + string(cmd.Kind))
	c.insist(func() error { return c.PutCommand(context.Background(), cmd, act) })
}

// meddle cancels, pauses and resumes runs, and sends events.
func (c *client) meddle(id automation.RunID) {
	switch n := c.r.IntN(100); {
	case n < 2:
		c.command(automation.Command{Run: id, Kind: automation.FactCancelAsked})
	case n < 5:
		c.paused[id] = true
		c.command(automation.Command{Run: id, Kind: automation.FactPauseAsked})
	case n < 9:
		c.command(automation.Command{Run: id, Kind: automation.FactEventReceived, Told: &automation.Told{Event: fmt.Sprintf("e%d", c.r.IntN(2))}})
	}
}

// answer gives a run what it waits for.
func (c *client) answer(id automation.RunID) {
	var cmds []automation.Command
	c.locked(func() {
		r := c.runs[id]
		if state, _ := r.fold.State(); state == automation.RunPaused && (!c.faulty() || c.r.IntN(3) == 0) {
			cmds = append(cmds, automation.Command{Run: id, Kind: automation.FactResumeAsked})
		}
		for step := range r.prog.Plan().Steps {
			for _, it := range r.fold.Items(step, 0, 100) {
				cmd := automation.Command{Run: id, Step: step, Item: it.Index}
				switch {
				case c.faulty() && c.r.IntN(3) > 0:
					continue
				case it.State == automation.ItemUnknown:
					cmd.Kind, cmd.Told = automation.FactItemResolved, c.resolve(id, step, it.Index)
				case it.Wait != nil && it.Wait.For == automation.WaitForApproval:
					cmd.Kind, cmd.Told = automation.FactDecisionGiven, &automation.Told{Decision: pick(c.r, automation.DecisionApprove, automation.DecisionApprove, automation.DecisionReject)}
				default:
					continue
				}
				cmds = append(cmds, cmd)
			}
		}
	})
	for _, cmd := range cmds {
		c.command(cmd)
	}
}

// resolve says what became of an item that is unknown, as somebody who looks at its
// target: it did not run only if it can't run any more.
func (c *client) resolve(id automation.RunID, step, item int) *automation.Told {
	it := c.runs[id].item(step, item)
	act := c.actOf(it.attempt)
	switch {
	case c.begun[it.place()] == 0 && c.done[it.attempt] && c.r.IntN(2) == 0:
		return &automation.Told{Resolution: automation.ResolutionDidNotRun}
	case act.end == automation.ItemSucceeded:
		return &automation.Told{Resolution: automation.ResolutionRan, Outcome: &automation.Outcome{State: automation.ItemSucceeded}}
	case act.end == automation.ItemFailed:
		return &automation.Told{Resolution: automation.ResolutionRan, Outcome: &automation.Outcome{
			State: automation.ItemFailed, Error: automation.Errorf(automation.CodePluginFailed, "it had failed"),
		}}
	}
	return &automation.Told{Resolution: automation.ResolutionAbandon}
}
