package scheduler

import (
	"context"
	"fmt"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/scheduler/machine"
	"opsconductor.dev/host/store"
	"opsconductor.dev/host/workflow"
)

// programs keeps compiled plans by hash, the latest used: runs of one plan share
// one program. It belongs to the loop's goroutine.
type programs struct {
	store store.Runs
	max   int
	byKey map[planKey]machine.Program
	order []planKey // oldest first
}

type planKey struct {
	tenant automation.TenantID
	hash   automation.Digest
}

func newPrograms(s store.Runs, limit int) programs {
	return programs{store: s, max: limit, byKey: map[planKey]machine.Program{}}
}

// get returns the program of a stored plan, with those of its sub-workflows.
func (p *programs) get(ctx context.Context, tenant automation.TenantID, hash automation.Digest) (machine.Program, error) {
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
	linked, err := p.link(ctx, tenant, prog)
	if err != nil {
		return nil, err
	}
	if len(p.order) >= p.max {
		delete(p.byKey, p.order[0])
		p.order = p.order[1:]
	}
	p.byKey[key] = linked
	p.order = append(p.order, key)
	return linked, nil
}
