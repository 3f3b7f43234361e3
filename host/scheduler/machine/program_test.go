package machine_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"strconv"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/scheduler/machine"
	"opsconductor.dev/host/workflow"
)

// program is a plan whose expressions are hashes of the run's name: any outcome,
// and always the same one.
type program struct {
	run  automation.RunID
	plan *workflow.Plan
	// children are the programs of its sub-workflows, by step.
	children map[int]*program
}

var errOutputs = errors.New("no such key")

func (p *program) Outputs(*workflow.Scope) (json.RawMessage, error) {
	switch p.dice(12, "outputs") {
	case 0:
		return nil, errOutputs
	case 1, 2:
		return json.RawMessage(`{"n":1}`), nil
	}
	return nil, nil
}

func (p *program) Child(step int, input json.RawMessage) (machine.Program, json.RawMessage, error) {
	if p.dice(15, "child", step) == 0 {
		return nil, nil, errExpression
	}
	return p.children[step], input, nil
}

// randomProgram is a program with sub-workflows, at most depth deep.
func randomProgram(r *rand.Rand, run automation.RunID, depth int) *program {
	p := &program{run: run, plan: randomPlan(r), children: map[int]*program{}}
	for i := range p.plan.Steps {
		s := &p.plan.Steps[i]
		if depth > 0 && r.IntN(5) == 0 {
			s.Plugin, s.Action, s.Version, s.Scheduler = automation.WorkflowPlugin, "inner", "1", true
			s.Timeout = time.Duration(r.IntN(100)) * time.Second
			p.children[i] = randomProgram(r, run+"/"+automation.RunID(s.ID), depth-1)
			p.children[i].plan.ItemTarget = r.IntN(2) == 0
		}
	}
	return p
}

func (p *program) Plan() *workflow.Plan { return p.plan }

func (p *program) dice(n uint64, parts ...any) uint64 {
	h := fnv.New64a()
	fmt.Fprint(h, append(parts, p.run)...)
	return h.Sum64() >> 7 % n
}

var errExpression = errors.New("division by zero")

func (p *program) Condition(step int, _ *workflow.Scope) (bool, error) {
	switch p.dice(10, "if", step) {
	case 0:
		return false, errExpression
	case 1, 2:
		return false, nil
	}
	return true, nil
}

func (p *program) Elements(step int, _ *workflow.Scope) ([]workflow.Element, error) {
	f := p.plan.Steps[step].ForEach
	switch {
	case f == nil:
		return make([]workflow.Element, 1), nil
	case f.Targets:
		elements := make([]workflow.Element, len(p.plan.Targets))
		for i := range elements {
			elements[i] = workflow.Element{Index: i, Target: &p.plan.Targets[i]}
		}
		return elements, nil
	case p.dice(12, "elements", step) == 0:
		return nil, errExpression
	}
	elements := make([]workflow.Element, p.dice(6, "list", step))
	for i := range elements {
		elements[i].Index = i
	}
	return elements, nil
}

func (p *program) ConcurrencyKey(step int, _ *workflow.Scope, e workflow.Element) (string, error) {
	if p.dice(25, "key", step, e.Index) == 0 {
		return "", errExpression
	}
	return "key" + strconv.Itoa(int(p.dice(3, "which key", step, e.Index))), nil
}

func (p *program) ReadsSteps(step int) bool { return p.dice(5, "reads", step) == 0 }

func (p *program) Retry(step int, _ *workflow.Scope, e workflow.Element, f workflow.Failure) (bool, error) {
	if p.dice(2, "own", step) == 0 {
		return f.Error.CanRetry, nil
	}
	switch p.dice(6, "retry", step, e.Index, f.Attempt) {
	case 0:
		return false, errExpression
	case 1, 2:
		return false, nil
	}
	return true, nil
}

func (p *program) Input(step int, _ *workflow.Scope, e workflow.Element) (json.RawMessage, error) {
	if p.dice(25, "input", step, e.Index) == 0 {
		return nil, errExpression
	}
	if p.plan.Steps[step].Scheduler {
		return p.waits(step, e), nil
	}
	return json.RawMessage(`{}`), nil
}

// waits is what an item of the scheduler's own waits for.
func (p *program) waits(step int, e workflow.Element) json.RawMessage {
	long := strconv.Itoa(int(p.dice(20, "wait", step, e.Index)))
	switch {
	case p.plan.Steps[step].Action == "approval":
		return json.RawMessage(`{"message":"go on?","expires":"` + long + `s"}`)
	case p.dice(2, "event", step) == 0:
		return json.RawMessage(`{"event":"` + eventName(int(p.dice(2, "name", step, e.Index))) + `","timeout":"` + long + `m"}`)
	}
	return json.RawMessage(`{"duration":"` + long + `s"}`)
}

func eventName(n int) string { return "event" + strconv.Itoa(n) }

func randomPlan(r *rand.Rand) *workflow.Plan {
	plan := &workflow.Plan{Workflow: "walk"}
	if r.IntN(3) == 0 {
		plan.StopIfFailed = workflow.Amount{Percent: float64(1 + r.IntN(100))}
	}
	for i := range r.IntN(4) {
		plan.Targets = append(plan.Targets, randomTarget(r, i))
	}
	if r.IntN(4) == 0 {
		plan.Timeout = time.Duration(1+r.IntN(60)) * time.Second
	}
	effects := []automation.Effect{automation.EffectPure, automation.EffectIdempotent, automation.EffectOnce}
	for i := range 1 + r.IntN(6) {
		s := workflow.PlanStep{ID: "s" + strconv.Itoa(i), Effect: effects[r.IntN(3)], Constant: r.IntN(2) == 0, Timeout: time.Minute}
		s.Retry = workflow.Retry{MaxAttempts: 1 + r.IntN(3), Initial: time.Second, Factor: 2, Max: time.Minute, Jitter: "full"}
		for n := range i {
			if r.IntN(3) == 0 {
				s.Needs = append(s.Needs, n)
			}
		}
		if r.IntN(3) == 0 {
			s.If = "dice"
		}
		if r.IntN(3) > 0 {
			s.ForEach = &workflow.PlanForEach{Targets: r.IntN(2) == 0, MaxParallel: r.IntN(3)}
			if r.IntN(3) == 0 {
				s.ForEach.Batches = []workflow.Amount{{Count: 1}, {Percent: 40}}[:1+r.IntN(2)]
			}
		}
		s.Policy = []workflow.NeedsPolicy{"", "", workflow.NeedsAll, workflow.NeedsAny, workflow.NeedsAlways}[r.IntN(5)]
		s.OnFailure = []workflow.OnFailure{"", "", "", workflow.FailureContinue, workflow.FailureStop}[r.IntN(5)]
		if len(s.Needs) > 0 && r.IntN(6) == 0 {
			s.Compensates = s.Needs[:1]
		}
		if r.IntN(4) == 0 {
			s.ItemTimeout = time.Duration(1+r.IntN(20)) * time.Second
		}
		if r.IntN(4) == 0 {
			s.StepTimeout = time.Duration(1+r.IntN(40)) * time.Second
		}
		shares(r, &s)
		if s.Scheduler = r.IntN(5) == 0; s.Scheduler {
			s.Action = []string{"wait", "approval"}[r.IntN(2)]
		}
		plan.Steps = append(plan.Steps, s)
	}
	return plan
}
