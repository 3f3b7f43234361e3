package machine

import (
	"encoding/json"
	"strings"
	"time"

	"opsconductor.dev/host/automation"
)

// maxWait bounds core.wait: longer than any run may take.
const maxWait = 366 * 24 * time.Hour

// maxMessage bounds what an approval asks, in bytes.
const maxMessage = 4096

// The actions of the plugin core that need no worker.
const (
	actionAssert   = "assert"
	actionApproval = "approval"
)

// carryOut does an action of the plugin core that needs no worker: it makes f the
// fact that says what the scheduler did.
func carryOut(action string, input json.RawMessage, f *automation.Fact) (err error) {
	switch action {
	case actionAssert:
		f.Kind = automation.FactItemEnded
		f.Outcome, err = assert(input, f.At)
	case actionApproval:
		f.Kind = automation.FactWaitStarted
		f.Wait, f.Delay, err = askFor(input)
	default:
		f.Kind = automation.FactWaitStarted
		f.Wait, f.Delay, err = waitFor(input, f.At)
	}
	return err
}

// assert reads the input of core.assert: {"that": true, "message": "…"}.
func assert(input json.RawMessage, at time.Time) (*automation.Outcome, error) {
	var in struct {
		That    *bool  `json:"that"`
		Message string `json:"message"`
	}
	if err := json.Unmarshal(input, &in); err != nil || in.That == nil {
		return nil, &automation.Error{
			Code: automation.CodeInvalid, Message: "core.assert: that is neither true nor false", Pointer: "/with/that",
			Suggestion: "give it an expression that is true or false: ${{ … }}",
		}
	}
	if *in.That {
		return &automation.Outcome{State: automation.ItemSucceeded, Output: json.RawMessage(`{"that":true}`), StartedAt: at, EndedAt: at}, nil
	}
	if in.Message == "" {
		in.Message = "what core.assert asks for does not hold"
	}
	return nil, &automation.Error{Code: automation.CodeAssertion, Message: in.Message}
}

// askFor reads the input of core.approval: {"message": "…", "expires": "24h"}.
func askFor(input json.RawMessage) (*automation.Wait, time.Duration, error) {
	var in struct {
		Message string  `json:"message"`
		Expires *string `json:"expires"`
	}
	if err := json.Unmarshal(input, &in); err != nil || strings.TrimSpace(in.Message) == "" {
		return nil, 0, &automation.Error{
			Code: automation.CodeInvalid, Message: "core.approval: it has no message", Pointer: "/with/message",
			Suggestion: "say what is to be approved",
		}
	}
	if len(in.Message) > maxMessage {
		return nil, 0, &automation.Error{
			Code: automation.CodeLimit, Message: "core.approval: its message is too long", Pointer: "/with/message",
			Allowed: "up to " + itoa(maxMessage) + " bytes",
		}
	}
	d := 24 * time.Hour
	if in.Expires != nil {
		var err error
		if d, err = duration("core.approval", "expires", *in.Expires); err != nil {
			return nil, 0, err
		}
	}
	return &automation.Wait{For: automation.WaitForApproval, Message: strings.ReplaceAll(in.Message, "\x00", "\uFFFD")}, d, nil
}

// waitFor reads the input of core.wait: {"duration": "5s"}, {"until": a time by
// RFC 3339}, or {"event": a name, "timeout": "1h"}. It returns what it waits for
// beside its time, and how long that is from now on.
func waitFor(input json.RawMessage, now time.Time) (*automation.Wait, time.Duration, error) {
	var in struct {
		Duration *string    `json:"duration"`
		Until    *time.Time `json:"until"`
		Event    *string    `json:"event"`
		Timeout  *string    `json:"timeout"`
	}
	err := json.Unmarshal(input, &in)
	given := 0
	for _, there := range []bool{in.Duration != nil, in.Until != nil, in.Event != nil} {
		if there {
			given++
		}
	}
	switch {
	case err != nil || given != 1 || in.Timeout != nil && in.Event == nil:
		return nil, 0, &automation.Error{
			Code: automation.CodeInvalid, Message: "core.wait: its input is neither a duration, a time nor an event", Pointer: "/with",
			Allowed:    "duration, until or event, one of them; timeout goes with event",
			Suggestion: `write duration: "90s", until: "2026-12-24T18:00:00+01:00", or event: deployed`,
		}
	case in.Until != nil:
		return nil, min(max(in.Until.Sub(now), 0), maxWait), nil
	case in.Duration != nil:
		d, err := duration("core.wait", "duration", *in.Duration)
		return nil, d, err
	}
	return waitForEvent(*in.Event, in.Timeout)
}

func waitForEvent(name string, timeout *string) (*automation.Wait, time.Duration, error) {
	if !automation.ValidEventName(name) {
		return nil, 0, &automation.Error{
			Code: automation.CodeInvalid, Message: "core.wait: event is no name of an event", Pointer: "/with/event", Allowed: automation.EventNames,
		}
	}
	d := maxWait
	if timeout != nil {
		var err error
		if d, err = duration("core.wait", "timeout", *timeout); err != nil {
			return nil, 0, err
		}
	}
	return &automation.Wait{For: automation.WaitForEvent, Event: name}, d, nil
}

// duration reads a field of an action's input.
func duration(action, field, text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 || d > maxWait {
		return 0, &automation.Error{
			Code: automation.CodeInvalid, Message: action + ": " + field + " is no duration", Pointer: "/with/" + field,
			Allowed: "a number with a unit between 0s and " + maxWait.String(), Suggestion: `write it like "90s" or "1h30m"`,
		}
	}
	return d, nil
}

// waited is the outcome of a wait that is over.
func waited(from, to time.Time) *automation.Outcome {
	output, _ := json.Marshal(map[string]int64{"waited_ms": to.Sub(from).Milliseconds()})
	return &automation.Outcome{State: automation.ItemSucceeded, Output: output, StartedAt: from, EndedAt: to}
}
