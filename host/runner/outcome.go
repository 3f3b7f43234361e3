package runner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/hostfuncs"
)

const maxMessage = 4 << 10

// limitWall is the limit of an attempt's time.
const limitWall = "wall"

// failure reads the error that a guest set: the JSON of the plugin ABI, or any
// text.
func failure(text string) *automation.Error {
	var said struct {
		Code      string
		Message   string
		Retryable bool
		Phase     automation.Phase
	}
	if err := json.Unmarshal([]byte(text), &said); err != nil || said.Message == "" {
		return &automation.Error{Code: automation.CodePluginFailed, Message: clean(text)}
	}
	e := &automation.Error{Code: automation.Code(said.Code), Message: clean(said.Message), CanRetry: said.Retryable}
	if !validCode(said.Code) {
		e.Code = automation.CodePluginFailed
	}
	if said.Phase == automation.PhaseBefore || said.Phase == automation.PhaseAfter {
		e.Phase = said.Phase
	}
	return e
}

// validCode reports whether a guest may fail with a code: any word but those that
// are the host's own to say.
func validCode(code string) bool {
	own := []automation.Code{
		automation.CodeInternal, automation.CodeHostLost, automation.CodeCutOff, automation.CodeUnknownOutcome, automation.CodePluginCrashed, automation.CodeSandboxCrashed,
		automation.CodeMemoryLimit, automation.CodeInputLimit, automation.CodeHostCallLimit, automation.CodeFuelLimit, automation.CodeDepthLimit, automation.CodeRemoteLimit, automation.CodeBadOutput,
		automation.CodeStepFailed, automation.CodeBadPlugin, automation.CodeUnauthenticated, automation.CodeForbidden, automation.CodePolicy,
	}
	ok, _ := regexp.MatchString(`^[a-z][a-z0-9_]{0,63}$`, code)
	return ok && !slices.Contains(own, automation.Code(code))
}

// clean makes a guest's text fit to be stored and shown.
func clean(s string) string {
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
	if len(s) > maxMessage {
		s = strings.ToValidUTF8(s[:maxMessage], "") + "… (cut)"
	}
	return s
}

// outcome closes the record of the attempt and says how it ended.
func (at *attempt) outcome(ctx context.Context, output []byte, err error) automation.Outcome {
	at.mu.Lock()
	at.over = true
	at.mu.Unlock()
	at.usage.Wall = at.runner.config.Now().Sub(at.started)
	o := automation.Outcome{StartedAt: at.started, EndedAt: at.started.Add(at.usage.Wall)}
	o.Logs, at.usage.LogBytes, at.usage.LogTruncated = at.lines.close(at.runner.config.LogBytes)
	o.State, o.Output = automation.ItemSucceeded, output
	if err != nil {
		o.Output = nil
		o.State, o.Error = at.failed(ctx, err)
		at.usage.Limit = o.Error.Limit
	}
	o.Usage = at.usage
	if doubt := at.doubt(); doubt != nil {
		o.State, o.Error, o.Output = automation.ItemUnknown, doubt, nil
	}
	at.reopen(ctx, &o)
	if o.Error != nil && at.session != nil {
		o.Error.Message = at.session.RedactString(o.Error.Message)
	}
	if o.Output != nil {
		o.Output = at.session.Redact(o.Output)
	}
	return o
}

// failed says what an error of the attempt means.
func (at *attempt) failed(ctx context.Context, err error) (automation.ItemState, *automation.Error) {
	state, e := automation.ItemFailed, automation.AsError(err)
	copied := *e
	e = &copied
	ended := e.Code == automation.CodeTimeout || e.Code == automation.CodeCancelled
	switch {
	case ctx.Err() != nil && ended:
		state, e = stopped(ctx)
	case e.Code == automation.CodeInternal:
		at.runner.log(at.Attempt).Error("fault of the host in an attempt", slog.Any("error", err))
	case e.Code == automation.CodeUnavailable:
		e.Phase, e.CanRetry = automation.PhaseBefore, true
	}
	at.mu.Lock()
	defer at.mu.Unlock()
	if ctx.Err() != nil && ended && at.halted != nil {
		e.Message, e.Phase = place(e, at.halted), automation.Phase(at.halted.Phase)
	}
	if at.careful() && at.begun {
		if e.CanRetry {
			e.Suggestion = join(e.Suggestion, notAgain(at.Effect))
		}
		e.Phase, e.CanRetry = automation.PhaseAfter, false
	}
	return state, e
}

// place is the message of an attempt's end with what a host function was doing
// then, which has the cause in its own text, with what to do.
func place(e *automation.Error, halted *hostfuncs.Error) string {
	cause := e.Error()
	if strings.Contains(halted.Message, cause) {
		return strings.Replace(halted.Message, cause, e.Message, 1)
	}
	return e.Message + ": " + halted.Message
}

// notAgain says why an error that may pass was not tried again.
func notAgain(effect automation.Effect) string {
	return fmt.Sprintf("the step's effect is %s, so what has acted is not tried again: give the step effect: idempotent when running it twice does no harm", effect)
}

func join(first, second string) string {
	if first == "" {
		return second
	}
	return first + "; " + second
}

// stopped says why the attempt's context ended: which deadline passed, or who
// cancelled.
func stopped(ctx context.Context) (automation.ItemState, *automation.Error) {
	cause := context.Cause(ctx)
	state, e := automation.ItemCancelled, automation.Error{Code: automation.CodeCancelled, Message: "the attempt was cancelled"}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		state = automation.ItemFailed
		e = automation.Error{Code: automation.CodeTimeout, Message: "the attempt's time was over", CanRetry: true, Limit: limitWall}
	}
	var named *automation.Error
	switch {
	case errors.As(cause, &named):
		e.Message, e.Suggestion = named.Message, named.Suggestion
	case !errors.Is(cause, context.Canceled) && !errors.Is(cause, context.DeadlineExceeded):
		e.Message = cause.Error()
	}
	e.Err = cause
	return state, &e
}

// doubt returns the error of an attempt of which nobody can know what happened on
// the target, nil when that is known or may happen twice.
func (at *attempt) doubt() *automation.Error {
	at.mu.Lock()
	defer at.mu.Unlock()
	if !at.careful() || !at.begun {
		return nil
	}
	e := &automation.Error{
		Code: automation.CodeUnknownOutcome, Phase: automation.PhaseAfter,
		Suggestion: "look at the target, then say whether it ran",
	}
	switch {
	case at.acting != "":
		e.Message = fmt.Sprintf("%s did not stop in time after the command may have been sent: what happened on the target cannot be known", at.acting)
	case at.cutOff != nil:
		e.Message = fmt.Sprintf("%s was cut off after the command may have begun (%s): what happened on the target cannot be known", at.cutBy, at.cutOff.Message)
	default:
		return nil
	}
	return e
}
