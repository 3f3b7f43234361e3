package runner

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/registry"
	"opsconductor.dev/host/worker"
	"opsconductor.dev/hostfuncs"
)

// attempt is one attempt at work, and the host's own record of it. A host
// function that does not stop can outlive the attempt, so what it touches is
// under mu.
type attempt struct {
	automation.Attempt
	runner  *Runner
	intent  worker.Intent
	started time.Time
	session *hostfuncs.Session
	usage   automation.Usage
	lines   *logbook

	mu sync.Mutex
	// over: the outcome is made; no intent may follow.
	over bool
	// begun: the intent was asked for, so that the remote side may have acted.
	begun bool
	// acting is the host function that acts and has not answered yet.
	acting string
	// cutOff is what a host function that acts answered when it could not know what
	// had happened.
	cutOff *hostfuncs.Error
	cutBy  string
	// halted is what the last host function answered when the attempt's end reached
	// it: it says what was under way, and what became of it.
	halted *hostfuncs.Error
}

func newAttempt(r *Runner, a automation.Attempt, intent worker.Intent) *attempt {
	at := &attempt{Attempt: a, runner: r, intent: intent, started: r.config.Now()}
	at.lines = newLogbook(r.config.LogBytes, r.config.Now, at)
	return at
}

// careful reports whether the effect forbids to act twice.
func (at *attempt) careful() bool {
	return at.Effect != automation.EffectPure && at.Effect != automation.EffectIdempotent
}

// open makes the session.
func (at *attempt) open(p *registry.Loaded) {
	s := &hostfuncs.Session{
		Tenant: string(at.Tenant), Run: string(at.Run), Workflow: at.Workflow, Step: at.StepID, Item: at.Item,
		Attempt: at.Attempt.Attempt, Plugin: at.Plugin, Action: at.Action,
		Log: at.log, Unsure: at.acted, MaxOutput: at.runner.config.RemoteOutputBytes,
		Broker: newBroker(at.runner, p, at.Attempt), Secrets: &at.runner.secrets,
	}
	if t := at.Target; t != nil {
		s.Target = &hostfuncs.Target{
			Name: t.Name, Address: t.Address, Port: t.Port, Protocol: string(t.Protocol), OS: t.OS, Credential: string(t.Credential),
		}
	}
	if at.careful() {
		s.Intent = at.begin
	}
	if at.Effect == automation.EffectGuarded {
		s.Guard = at.guard()
	}
	at.session = s
}

// begin commits the intent. It is pessimistic: from here on the remote side may
// have acted, also when the commit's answer is lost.
func (at *attempt) begin(ctx context.Context, command string) error {
	at.mu.Lock()
	if at.over {
		at.mu.Unlock()
		return errors.New("the attempt is over")
	}
	at.mu.Unlock()
	if b := at.Begun; b != nil && b.Command != "" && b.Command != automation.Digest(command) {
		return errors.New("an earlier attempt has begun another command, or by another account: its journal can't be found by this one")
	}
	if at.intent == nil {
		return errors.New("nobody can record it")
	}
	if err := at.intent(ctx, automation.Digest(command)); err != nil {
		return err
	}
	at.mu.Lock()
	defer at.mu.Unlock()
	if at.over {
		return errors.New("the attempt is over")
	}
	at.begun = true
	return nil
}

// hostCall carries out a call of the guest's.
func (at *attempt) hostCall(ctx context.Context, name string, request []byte) []byte {
	f, ok := at.runner.functions[name]
	if !ok {
		return refusal("this host has no host function " + name)
	}
	if f.Acts {
		at.act(name)
	}
	began := time.Now()
	answer := f.Invoke(ctx, at.session, request)
	failed := errorIn(answer)
	code := hostfuncs.Code("")
	if failed != nil {
		code = failed.Code
	}
	at.runner.config.Metrics.HostCall(name, code, time.Since(began))
	at.answered(ctx, failed)
	if f.Acts {
		at.act("")
		at.acted(name, failed)
	}
	return answer
}

func (at *attempt) act(name string) {
	at.mu.Lock()
	defer at.mu.Unlock()
	at.acting = name
}

// answered keeps what a host function says of the attempt's end.
func (at *attempt) answered(ctx context.Context, failed *hostfuncs.Error) {
	at.mu.Lock()
	defer at.mu.Unlock()
	at.halted = nil
	if ctx.Err() != nil && failed != nil && (failed.Code == hostfuncs.Timeout || failed.Code == hostfuncs.Cancelled) {
		at.halted = failed
	}
}

// acted keeps what a host function that acts, or a part of it, could not know.
func (at *attempt) acted(name string, failed *hostfuncs.Error) {
	at.mu.Lock()
	defer at.mu.Unlock()
	if failed != nil && failed.Phase != hostfuncs.Before && !failed.Stopped && slices.Contains(blind(), failed.Code) {
		at.cutOff, at.cutBy = failed, name
	}
}

// blind are the codes of a function that does not know what the remote side did. One
// of them is that it said too much: nobody listened to its end.
func blind() []hostfuncs.Code {
	return []hostfuncs.Code{hostfuncs.Lost, hostfuncs.Timeout, hostfuncs.Cancelled, hostfuncs.Unreachable, hostfuncs.Protocol, hostfuncs.OutputLimit}
}

// errorIn returns the error of an envelope; nil for a result.
func errorIn(answer []byte) *hostfuncs.Error {
	if !bytes.HasPrefix(answer, []byte(`{"error"`)) {
		return nil
	}
	var envelope struct{ Error *hostfuncs.Error }
	if err := json.Unmarshal(answer, &envelope); err != nil || envelope.Error == nil {
		return hostfuncs.Errorf(hostfuncs.Protocol, hostfuncs.After, "the host function's answer is no envelope")
	}
	return envelope.Error
}

func refusal(message string) []byte {
	b, err := json.Marshal(map[string]any{"error": hostfuncs.Errorf(hostfuncs.Denied, hostfuncs.Before, "%s", message)})
	if err != nil {
		return []byte(`{"error":{"code":"denied","message":"denied","retryable":false,"phase":"before"}}`)
	}
	return b
}

// log takes a line of the plugin's.
func (at *attempt) log(level, message string) {
	at.lines.add(level, at.session.RedactString(message))
}
