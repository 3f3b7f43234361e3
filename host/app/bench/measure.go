package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/service"
	"opsconductor.dev/host/workflow"
)

// submitters is how many callers submit runs at the same time.
const submitters = 256

// limits are the deployment's, with room for the fan-out.
func limits() workflow.Limits {
	l := workflow.DefaultLimits()
	l.Iterations, l.InputBytes, l.Steps, l.Depth, l.Parallel = 1_000_000, 64<<20, 1_000, 1_000, 1_000
	l.DefinitionBytes = 64 << 20
	return l
}

// plan plans a definition; ACTION in it stands for the action that is measured.
func (b *rig) plan(ctx context.Context, definition string, inputs any) (automation.Digest, error) {
	raw, err := json.Marshal(inputs)
	if err != nil {
		return "", fmt.Errorf("encode the inputs: %w", err)
	}
	definition = strings.ReplaceAll(definition, "ACTION", b.uses())
	result, err := b.service.Plan(ctx, b.caller, service.PlanRequest{Definition: []byte(definition), Inputs: raw})
	if err != nil {
		return "", fmt.Errorf("plan: %w", err)
	}
	return result.Hash, nil
}

func submission(plan automation.Digest) service.SubmitRequest {
	return service.SubmitRequest{PlanHash: plan}
}

func (b *rig) submit(ctx context.Context, plan automation.Digest) (automation.RunID, error) {
	run, _, err := b.service.Submit(ctx, b.caller, submission(plan))
	if err != nil {
		return "", fmt.Errorf("submit: %w", err)
	}
	return run.ID, nil
}

// wait returns when n runs have ended; one that did not succeed is an error.
func (b *rig) wait(ctx context.Context, n int) error {
	for range n {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case state := <-b.ended:
			if state != automation.RunSucceeded {
				return fmt.Errorf("a run of the benchmark ended %s", state)
			}
			b.done.Add(1)
		}
	}
	return nil
}

// warm runs one run, so that nothing is compiled while the clock runs.
func (b *rig) warm(ctx context.Context, plan automation.Digest) error {
	if _, err := b.submit(ctx, plan); err != nil {
		return err
	}
	return b.wait(ctx, 1)
}

const single = `{"schema": "opsconductor/v1", "name": "bench-single", "steps": [{"id": "noop", "uses": "ACTION"}]}`

// runs measures n runs of one step.
func (b *rig) runs(ctx context.Context, n int) (Result, error) {
	plan, err := b.plan(ctx, single, map[string]any{})
	if err != nil {
		return Result{}, err
	}
	if err := b.warm(ctx, plan); err != nil {
		return Result{}, err
	}
	began := time.Now()
	group, submitting := errgroup.WithContext(ctx)
	group.SetLimit(submitters + 1)
	group.Go(func() error { return b.wait(submitting, n) })
	for range n {
		group.Go(func() error {
			_, err := b.submit(submitting, plan)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return Result{}, err
	}
	return result("runs", b.executor, n, time.Since(began)), nil
}

const fanOut = `{"schema": "opsconductor/v1", "name": "bench-fan-out", "inputs": {"list": {"type": "array"}},
"steps": [{"id": "noop", "uses": "ACTION", "for_each": {"in": "${{ inputs.list }}"}}]}`

// fanOut measures one run of n items.
func (b *rig) fanOut(ctx context.Context, n int) (Result, error) {
	list := make([]int, n)
	for i := range list {
		list[i] = i
	}
	plan, err := b.plan(ctx, fanOut, map[string]any{"list": list})
	if err != nil {
		return Result{}, err
	}
	began := time.Now()
	if err := b.warm(ctx, plan); err != nil {
		return Result{}, err
	}
	return result("fan_out", b.executor, n, time.Since(began)), nil
}

func result(name, executor string, steps int, took time.Duration) Result {
	return Result{Name: name, Executor: executor, Steps: steps, Seconds: took.Seconds(), StepsPerSecond: float64(steps) / took.Seconds()}
}

// chain measures n runs of sequential steps, one run at a time.
func (b *rig) chain(ctx context.Context, n, steps int) (Result, error) {
	plan, err := b.plan(ctx, chainOf(steps, b.queue), map[string]any{})
	if err != nil {
		return Result{}, err
	}
	if err := b.warm(ctx, plan); err != nil {
		return Result{}, err
	}
	began := time.Now()
	var added, whole []time.Duration
	for range n {
		submitted := time.Now()
		id, err := b.submit(ctx, plan)
		if err != nil {
			return Result{}, err
		}
		if err := b.wait(ctx, 1); err != nil {
			return Result{}, err
		}
		whole = append(whole, time.Since(submitted)/time.Duration(steps))
		one, err := b.added(ctx, id)
		if err != nil {
			return Result{}, err
		}
		added = append(added, one...)
	}
	took := time.Since(began)
	return Result{
		Name: "chain", Executor: b.executor, Steps: n * steps, Seconds: took.Seconds(),
		P50MS: percentile(added, 0.50), P99MS: percentile(added, 0.99), WholeP50MS: percentile(whole, 0.50),
	}, nil
}

// added returns what the host added to each step but the first: the time from the
// end of the step before to its own, without the call itself.
func (b *rig) added(ctx context.Context, id automation.RunID) ([]time.Duration, error) {
	page, err := b.service.Items(ctx, b.caller, id, service.ItemQuery{Limit: 1000})
	if err != nil {
		return nil, fmt.Errorf("read the items: %w", err)
	}
	var out []time.Duration
	for i := 1; i < len(page.Items); i++ {
		call := time.Duration(page.Items[i].DurationMS * float64(time.Millisecond))
		out = append(out, max(page.Items[i].Ended.Sub(page.Items[i-1].Ended)-call, 0))
	}
	return out, nil
}

func chainOf(steps int, queue string) string {
	type step struct {
		ID    string   `json:"id"`
		Uses  string   `json:"uses"`
		Needs []string `json:"needs,omitempty"`
		Queue string   `json:"queue,omitempty"`
	}
	list := make([]step, steps)
	for i := range list {
		list[i] = step{ID: fmt.Sprintf("s%d", i), Uses: "ACTION", Queue: queue}
		if i > 0 {
			list[i].Needs = []string{list[i-1].ID}
		}
	}
	b, _ := json.Marshal(map[string]any{"schema": "opsconductor/v1", "name": "bench-chain", "steps": list}) // strings always marshal
	return string(b)
}
