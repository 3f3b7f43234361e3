package runner

import (
	"context"
	"errors"
	"fmt"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/worker"
	"opsconductor.dev/hostfuncs"
)

// guard returns what the session of a guarded attempt has. Its item's name has the
// run's, which nobody can guess.
func (at *attempt) guard() *hostfuncs.Guard {
	g := &hostfuncs.Guard{
		Item:  fmt.Sprintf("%q %q %d %d %d", at.Tenant, at.Run, at.Step, at.Item, at.Round),
		Leave: leaves,
	}
	if at.Begun != nil {
		g.Since = at.Begun.At
	}
	return g
}

// leaves reports whether an attempt that ends with a cause is granted again, so
// that what it has begun should go on.
func leaves(cause error) bool {
	var e *automation.Error
	return errors.Is(cause, worker.ErrDraining) || errors.As(cause, &e) && e.Code == automation.CodeHostLost
}

// reopen corrects the outcome of a guarded attempt that has lost contact with its
// command, or has not found out what an earlier attempt began: another attempt
// finds out (cut_off) where it may go on, else the item is unknown. What the action
// says does not count then, also when it says that all went well.
func (at *attempt) reopen(ctx context.Context, o *automation.Outcome) {
	if at.Effect != automation.EffectGuarded {
		return
	}
	at.mu.Lock()
	defer at.mu.Unlock()
	goesOn := ctx.Err() == nil || leaves(context.Cause(ctx))
	journaled := at.acting == "" && at.cutOff != nil && at.cutOff.Journaled
	unheard := at.Begun != nil && (at.session == nil || !at.session.Guard.Heard())
	message := ""
	if o.Error != nil {
		message = o.Error.Message
	}
	switch {
	case goesOn && (journaled || unheard && o.Error != nil && (o.Error.CanRetry || leaves(context.Cause(ctx)))):
		if journaled {
			message = at.cutOff.Message
		}
		o.State, o.Output = automation.ItemFailed, nil
		o.Error = &automation.Error{Code: automation.CodeCutOff, Phase: automation.PhaseAfter, CanRetry: true, Message: message}
	case unheard:
		o.State, o.Output = automation.ItemUnknown, nil
		o.Error = &automation.Error{
			Code: automation.CodeUnknownOutcome, Phase: automation.PhaseAfter,
			Message:    "an earlier attempt may have begun its command, and this one did not find out what became of it: " + message,
			Suggestion: "look at the target, then say whether it ran",
		}
	}
}
