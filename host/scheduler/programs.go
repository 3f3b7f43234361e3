package scheduler

import (
	"context"
	"fmt"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
	"opsconductor.dev/host/workflow"
)

// programs keeps compiled plans by hash, the latest used: runs of one plan share
// one program. It belongs to the loop's goroutine.
type programs struct {
	store store.Runs
	max   int
	byKey map[planKey]*workflow.Program
	order []planKey // oldest first
}

type planKey struct {
	tenant automation.TenantID
	hash   automation.Digest
}

func newPrograms(s store.Runs, limit int) programs {
	return programs{store: s, max: limit, byKey: map[planKey]*workflow.Program{}}
}

// get returns the program of a stored plan.
func (p *programs) get(ctx context.Context, tenant automation.TenantID, hash automation.Digest) (*workflow.Program, error) {
	key := planKey{tenant, hash}
	if prog := p.byKey[key]; prog != nil {
		return prog, nil
	}
	b, err := p.store.Plan(ctx, tenant, hash)
	if err != nil {
		return nil, fmt.Errorf("read plan %s: %w", hash, err)
	}
	plan, err := workflow.DecodePlan(b)
	if err != nil {
		return nil, fmt.Errorf("decode plan %s: %w", hash, err)
	}
	prog, err := workflow.Compile(plan)
	if err != nil {
		return nil, fmt.Errorf("compile plan %s: %w", hash, err)
	}
	if len(p.order) >= p.max {
		delete(p.byKey, p.order[0])
		p.order = p.order[1:]
	}
	p.byKey[key] = prog
	p.order = append(p.order, key)
	return prog, nil
}
