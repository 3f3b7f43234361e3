package worker

import (
	"context"

	"opsconductor.dev/host/automation"
)

// Executor runs one attempt to its end.
//
// Execute always returns an outcome: every failure is in it. It returns soon
// after ctx is done (the deadline of the attempt, a cancel, a lost lease: see
// context.Cause) and stops what it started as far as that is possible. intent
// is called, for an attempt whose effect is once or guarded, before the first
// byte that may act leaves for a target; when it fails nothing is sent. It is
// safe for concurrent use.
type Executor interface {
	Execute(ctx context.Context, a automation.Attempt, intent Intent) automation.Outcome
}

// Intent commits the fact that the attempt is about to act: command is the
// digest of what it will do. It returns after the commit, and fails when the
// lease is over.
type Intent func(ctx context.Context, command automation.Digest) error
