package machine

import (
	"encoding/json"
	"time"

	"opsconductor.dev/host/automation"
)

// maxWait bounds core.wait: longer than any run may take.
const maxWait = 366 * 24 * time.Hour

// carryOut does an action of the plugin core that needs no worker: it makes f the
// fact that says what the scheduler did.
func carryOut(action string, input json.RawMessage, f *automation.Fact) error {
	if action == "assert" {
		f.Kind = automation.FactItemEnded
		var err error
		f.Outcome, err = assert(input, f.At)
		return err
	}
	f.Kind = automation.FactWaitStarted
	var err error
	f.Delay, err = waitFor(input, f.At)
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

// waitFor reads the input of core.wait, {"duration": "5s"} or {"until": a time by
// RFC 3339}, and returns how long that is from now on.
func waitFor(input json.RawMessage, now time.Time) (time.Duration, error) {
	var in struct {
		Duration string    `json:"duration"`
		Until    time.Time `json:"until"`
	}
	if err := json.Unmarshal(input, &in); err != nil || (in.Duration == "") == in.Until.IsZero() {
		return 0, &automation.Error{
			Code: automation.CodeInvalid, Message: "core.wait: its input is neither a duration nor a time", Pointer: "/with",
			Allowed: "duration or until, one of them", Suggestion: `write duration: "90s", or until: "2026-12-24T18:00:00+01:00"`,
		}
	}
	if in.Duration == "" {
		return min(max(in.Until.Sub(now), 0), maxWait), nil
	}
	d, err := time.ParseDuration(in.Duration)
	if err != nil || d < 0 || d > maxWait {
		return 0, &automation.Error{
			Code: automation.CodeInvalid, Message: "core.wait: duration is no duration", Pointer: "/with/duration",
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
