package runner

import (
	"context"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/worker"
)

// InProcess is an executor for benchmarks: it runs nothing, and every attempt
// succeeds at once with an empty output. It shows what a step costs without the
// sandbox.
type InProcess struct{}

var _ worker.Executor = InProcess{}

// Execute implements worker.Executor.
func (InProcess) Execute(context.Context, automation.Attempt, worker.Intent) automation.Outcome {
	now := time.Now()
	return automation.Outcome{State: automation.ItemSucceeded, Output: []byte("{}"), StartedAt: now, EndedAt: now}
}
