package simtest

import (
	"context"
	"fmt"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/worker"
)

// executor carries out the attempts of one life of a host on the simulated targets.
type executor struct {
	*link

	shelf shelf
}

// saidNo is why attempts fail that fail by themselves.
const saidNo = "it said no"

// course is how an attempt goes, if nothing comes between.
type course struct {
	begins, lasts time.Duration
	end           automation.ItemState
	retry         bool
	never         bool // it ends neither by itself nor when it is told to
}

func (w *world) course(k automation.AttemptKey) course {
	h := w.dice.of("attempt"+string(k.Run), k.Step, k.Item, k.Attempt)
	c := course{begins: between(h, time.Microsecond, 5*time.Millisecond), lasts: between(mix(h), time.Millisecond, 400*time.Millisecond), end: automation.ItemSucceeded}
	switch n := mix(h+1) % 100; {
	case n < 12:
		c.end, c.retry = automation.ItemFailed, true
	case n < 20:
		c.end = automation.ItemFailed
	case n < 21:
		c.end = automation.ItemUnknown
	case n < 23:
		c.never = w.faultsAtAll()
	case n < 30:
		c.lasts = between(mix(h+2), time.Second, 8*time.Second)
	}
	return c
}

// Execute acts on the ledger, and logs.
func (e *executor) Execute(ctx context.Context, a automation.Attempt, intent worker.Intent) automation.Outcome {
	b := e.open(&a)
	o := e.carryOut(ctx, b, a, intent)
	o.Logs = e.shut(b)
	return o
}

func (e *executor) carryOut(ctx context.Context, b *book, a automation.Attempt, intent worker.Intent) automation.Outcome {
	defer e.ended(&a, "")
	c := e.course(a.AttemptKey)
	h := e.dice.of("act"+string(a.Run), a.Step, a.Item, a.Attempt)
	if !e.wait(ctx, c.begins, h) {
		return stopped(ctx, automation.PhaseBefore)
	}
	if err := intent(ctx, automation.Digest(fmt.Sprintf("%064x", h))); err != nil {
		e := *automation.AsError(err)
		e.Phase = automation.PhaseBefore
		return automation.Outcome{State: automation.ItemFailed, Error: &e}
	}
	e.pass(between(mix(h), 1, time.Microsecond), h)
	if e.isDead() || ctx.Err() != nil {
		return stopped(ctx, automation.PhaseBefore)
	}
	e.started(e.link, &a)
	o := e.act(ctx, b, c, mix(h+1))
	if !e.isDead() {
		e.ended(&a, o.State)
	}
	return o
}

// act is what happens on the target.
func (e *executor) act(ctx context.Context, b *book, c course, h uint64) automation.Outcome {
	a := &b.attempt
	if c.never {
		e.hit("executor that never ends")
		e.allow(a.AttemptKey)
		select {
		case <-e.over:
		case <-e.died:
		}
		return automation.Outcome{State: automation.ItemCancelled, Error: automation.Errorf(automation.CodeCancelled, "at last")}
	}
	if !e.talk(ctx, b, c.lasts, h) {
		e.pass(between(mix(h), 1, 20*time.Millisecond), h+9) // it takes a while to stop
		return stopped(ctx, automation.PhaseAfter)
	}
	e.say(b, "done")
	o := automation.Outcome{State: c.end}
	switch c.end {
	case automation.ItemSucceeded:
		o.Output = []byte(`{"n":1}`)
	case automation.ItemUnknown:
		e.allow(a.AttemptKey)
		o.Error = &automation.Error{Code: automation.CodeLost, Phase: automation.PhaseAfter, Message: "the connection broke"}
	default:
		o.Error = &automation.Error{Code: automation.CodeUnreachable, Phase: automation.PhaseAfter, Message: saidNo, CanRetry: c.retry}
	}
	return o
}

// wait lets time go by; false: the attempt was stopped, or its host died.
func (e *executor) wait(ctx context.Context, d time.Duration, h uint64) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		e.pass(between(h, 1, time.Millisecond), h)
		return false
	case <-e.died:
		return false
	case <-t.C:
	}
	e.pass(0, h)
	return !e.isDead()
}

func stopped(ctx context.Context, phase automation.Phase) automation.Outcome {
	cause := context.Cause(ctx)
	if cause == nil {
		cause = errDead
	}
	e := *automation.AsError(cause)
	e.Phase = phase
	o := automation.Outcome{State: automation.ItemCancelled, Error: &e}
	if e.Code == automation.CodeTimeout {
		o.State = automation.ItemFailed
	}
	return o
}
