package simtest

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/workflow"
)

// pick returns one of the values.
func pick[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

// randomPlans draws a plan, with those of its sub-workflows behind it.
func randomPlans(r *rand.Rand, name string, depth int) []*workflow.Plan {
	p := &workflow.Plan{Schema: "opsconductor/plan/v1", Workflow: name, Inputs: json.RawMessage(`{}`)}
	plans := []*workflow.Plan{p}
	if r.IntN(4) == 0 {
		p.StopIfFailed = workflow.Amount{Percent: float64(1 + r.IntN(100))}
	}
	for i := range r.IntN(4) {
		p.Targets = append(p.Targets, automation.Target{
			ID: automation.AssetID(fmt.Sprintf("asset-%d", i)), Name: fmt.Sprintf("t%d", i), Address: "10.0.0.1", Protocol: automation.ProtocolSSH,
			OS: []string{"linux", "linux", automation.OSNetwork}[i], Credential: automation.CredentialID(pick(r, "", "c1", "c2")),
		})
	}
	if r.IntN(6) == 0 {
		p.Timeout = time.Duration(5+r.IntN(60)) * time.Second
	}
	for i := range 1 + r.IntN(5) {
		s := randomStep(r, i)
		if depth > 0 && r.IntN(7) == 0 {
			inner := randomPlans(r, name+"."+s.ID, depth-1)
			template := inner[0]
			template.Template, template.Inputs, template.Targets = true, nil, nil
			s.Plugin, s.Action, s.Version, s.Scheduler = automation.WorkflowPlugin, "inner", "1", true
			s.With, s.Digest = json.RawMessage(`{}`), template.Hash()
			plans = append(plans, inner...)
		}
		p.Steps = append(p.Steps, s)
	}
	return plans
}

func randomStep(r *rand.Rand, i int) workflow.PlanStep {
	s := workflow.PlanStep{
		ID: "s" + strconv.Itoa(i), Plugin: pick(r, "linux", "net"), Version: "1.0.0", Action: pick(r, "disk", "restart"),
		Digest: "d", With: json.RawMessage(`{}`), Constant: true,
		Effect:  pick(r, automation.EffectPure, automation.EffectIdempotent, automation.EffectOnce, automation.EffectOnce, automation.EffectGuarded),
		Timeout: time.Duration(2+r.IntN(8)) * time.Second,
		Retry:   workflow.Retry{MaxAttempts: 1 + r.IntN(3), Initial: time.Duration(1+r.IntN(2000)) * time.Millisecond, Factor: 2, Max: 5 * time.Second, Jitter: pick(r, "full", "none")},
		Policy:  pick(r, "", "", workflow.NeedsAll, workflow.NeedsAny, workflow.NeedsAlways),

		OnFailure: pick(r, "", "", workflow.FailureContinue, workflow.FailureStop),
		Priority:  r.IntN(3),
	}
	for n := range i {
		if r.IntN(3) == 0 {
			s.Needs = append(s.Needs, n)
		}
	}
	if len(s.Needs) > 0 && r.IntN(6) == 0 {
		s.Compensates = s.Needs[:1]
	}
	randomFanOut(r, &s)
	if r.IntN(5) == 0 {
		s.ConcurrencyKey = pick(r, "k1", "k2")
	}
	if r.IntN(6) == 0 {
		s.ItemTimeout = time.Duration(1+r.IntN(20)) * time.Second
	}
	if r.IntN(6) == 0 {
		s.StepTimeout = time.Duration(1+r.IntN(40)) * time.Second
	}
	if r.IntN(6) == 0 {
		s.Scheduler, s.Plugin, s.ConcurrencyKey = true, "core", ""
		s.Action = pick(r, "wait", "approval", "event")
		switch s.Action {
		case "wait":
			s.With = json.RawMessage(fmt.Sprintf(`{"duration":"%dms"}`, 1+r.IntN(4000)))
		case "event":
			s.Action, s.With = "wait", json.RawMessage(fmt.Sprintf(`{"event":"e%d","timeout":"%ds"}`, r.IntN(2), 5+r.IntN(60)))
		default:
			s.With = json.RawMessage(fmt.Sprintf(`{"message":"go on?","expires":"%ds"}`, 5+r.IntN(100)))
		}
	}
	return s
}

func randomFanOut(r *rand.Rand, s *workflow.PlanStep) {
	if r.IntN(3) == 0 {
		return
	}
	s.ForEach = &workflow.PlanForEach{Targets: r.IntN(2) == 0, MaxParallel: r.IntN(3)}
	if !s.ForEach.Targets {
		for i := range r.IntN(6) {
			s.ForEach.List = append(s.ForEach.List, json.RawMessage(strconv.Itoa(i)))
		}
	}
	if r.IntN(3) == 0 {
		s.ForEach.Batches = []workflow.Amount{{Count: 1}, {Percent: 40}}[:1+r.IntN(2)]
	}
}

// randomLimits draws the operator's limits.
func randomLimits(r *rand.Rand, at time.Time) []automation.Limit {
	kinds := automation.LimitKinds()
	var out []automation.Limit
	for i := range r.IntN(4) {
		l := automation.Limit{
			ID: automation.LimitID(fmt.Sprintf("limit-%d", i)), Tenant: automation.DefaultTenant, Kind: kinds[(r.IntN(2)+2*i)%len(kinds)],
			Max: 1 + r.IntN(3), Created: at, Updated: at, Version: 1,
		}
		if r.IntN(4) == 0 {
			l.Max, l.Rate = 0, &automation.Rate{Count: 1 + r.IntN(5), Per: time.Second, Burst: r.IntN(3)}
		}
		out = append(out, l)
	}
	return out
}
