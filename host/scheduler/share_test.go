package scheduler_test

import (
	"context"
	"sync"
	"testing"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/worker"
)

// TestQueues: a step goes to a host that serves its queue, and waits for one.
func TestQueues(t *testing.T) {
	t.Parallel()
	f := setupPostgres(t)
	var mu sync.Mutex
	ran := map[string]automation.HostID{}
	execute := func(ctx context.Context, a automation.Attempt, intent worker.Intent) automation.Outcome {
		mu.Lock()
		ran[a.StepID] = a.Host
		mu.Unlock()
		return succeed(ctx, a, intent)
	}
	plain := f.join("plain", hostSettings{slots: 4, execute: execute})
	plan := steps(automation.EffectPure, 2)
	plan.Steps[1].Queue = "dmz"
	id := f.submit(plan)
	f.await(id, func(r automation.Run) bool { return r.State == automation.RunRunning })
	other := f.submit(steps(automation.EffectPure, 1))
	f.await(other, ended) // others go on meanwhile
	dmz := f.join("dmz", hostSettings{slots: 4, queues: []string{"dmz"}, execute: execute})
	f.await(id, ended)
	mu.Lock()
	defer mu.Unlock()
	if ran["a"] != plain.id || ran["b"] != dmz.id {
		t.Errorf("ran on %v; want a on %s, b on %s", ran, plain.id, dmz.id)
	}
}
