package main

import (
	"context"
	"errors"
	"fmt"

	"opsconductor.dev/host/client"
)

// The exit codes.
const (
	exitOK            = 0
	exitError         = 1 // anything else
	exitUsage         = 2 // the command line is wrong
	exitRunFailed     = 3 // the run ended, and not well
	exitUnauthorised  = 4 // no valid token, or its role does not allow it
	exitPolicy        = 5 // a policy denies it
	exitNeedsApproval = 6 // the run waits for an approval
	exitWaitTimeout   = 7 // the run had not ended when the wait was over
	exitSomeFailed    = 8 // the run failed on some targets and succeeded on others
)

// exitErr ends the command with a code. Its err may be nil: there is nothing to say.
type exitErr struct {
	code int
	err  error
}

func (e *exitErr) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit %d", e.code)
	}
	return e.err.Error()
}

func (e *exitErr) Unwrap() error { return e.err }

// usage returns an error about the command line.
func usage(format string, args ...any) error {
	return &exitErr{code: exitUsage, err: fmt.Errorf(format, args...)}
}

// exitCode returns the code that a command's error ends the process with.
func exitCode(err error) int {
	if err == nil {
		return exitOK
	}
	var e *exitErr
	if errors.As(err, &e) {
		return e.code
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return exitWaitTimeout
	}
	switch client.CodeOf(err) {
	case client.CodeUnauthenticated, client.CodeForbidden:
		return exitUnauthorised
	case client.CodePolicy:
		return exitPolicy
	default:
		return exitError
	}
}

// runExit returns the error that says how a run ended; nil when it succeeded.
func runExit(state client.RunState, steps []client.Step) error {
	switch state {
	case client.RunSucceeded:
		return nil
	case client.RunAwaitingApproval:
		return &exitErr{code: exitNeedsApproval}
	case client.RunFailed:
		if someFailed(steps) {
			return &exitErr{code: exitSomeFailed}
		}
		return &exitErr{code: exitRunFailed}
	case client.RunCancelled, client.RunRejected:
		return &exitErr{code: exitRunFailed}
	case client.RunQueued, client.RunRunning, client.RunPaused:
	}
	return &exitErr{code: exitWaitTimeout}
}

// someFailed reports whether steps failed on some of their items, and none on all.
func someFailed(steps []client.Step) bool {
	some := false
	for _, s := range steps {
		failed := s.Counts["failed"] + s.Counts["unknown"]
		switch {
		case failed == 0:
		case failed == s.Items:
			return false
		default:
			some = true
		}
	}
	return some
}
