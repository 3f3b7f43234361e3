package service

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/inventory"
	"opsconductor.dev/host/workflow"
)

// Plan resolves a definition against the active plugins and the inventory, and
// stores the plan under its hash. It finds all that is wrong with the definition
// at once (automation.Errors), and then stores nothing.
func (s *Service) Plan(ctx context.Context, p automation.Principal, r PlanRequest) (PlanResult, error) {
	if err := s.authorise(p, opPlanCreate); err != nil {
		return PlanResult{}, err
	}
	if (len(r.Definition) == 0) == (r.Workflow == "") {
		return PlanResult{}, &automation.Error{
			Code: automation.CodeBadRequest, Message: "a plan is of a definition or of a stored workflow: exactly one of the two",
			Suggestion: "send the definition, or the workflow's NAME@VERSION",
		}
	}
	return s.plan(ctx, p.Tenant, r)
}

// StoredPlan returns the plan with a hash.
func (s *Service) StoredPlan(ctx context.Context, p automation.Principal, hash automation.Digest) (PlanResult, error) {
	if err := s.authorise(p, opPlanRead); err != nil {
		return PlanResult{}, err
	}
	plan, err := s.loadPlan(ctx, p.Tenant, hash)
	if err != nil {
		return PlanResult{}, err
	}
	if plan.Templates, err = s.templates(ctx, p.Tenant, plan); err != nil {
		return PlanResult{}, err
	}
	return PlanResult{Hash: hash, Plan: plan}, nil
}

// templates reads the templates of a stored plan's sub-workflows, and theirs.
func (s *Service) templates(ctx context.Context, tenant automation.TenantID, plan *workflow.Plan) (map[automation.Digest]*workflow.Plan, error) {
	out := map[automation.Digest]*workflow.Plan{}
	for open := []*workflow.Plan{plan}; len(open) > 0; open = open[1:] {
		for i := range open[0].Steps {
			step := &open[0].Steps[i]
			if !step.SubWorkflow() || out[step.Digest] != nil {
				continue
			}
			template, err := s.loadPlan(ctx, tenant, step.Digest)
			if err != nil {
				return nil, err
			}
			out[step.Digest] = template
			open = append(open, template)
		}
	}
	return out, nil
}

func (s *Service) plan(ctx context.Context, tenant automation.TenantID, r PlanRequest) (PlanResult, error) {
	plan, err := s.build(ctx, tenant, r)
	if err != nil {
		return PlanResult{}, fault(err)
	}
	for _, template := range plan.Templates { // before the plan that names them
		if _, err := s.putPlan(ctx, tenant, template); err != nil {
			return PlanResult{}, err
		}
	}
	hash, err := s.putPlan(ctx, tenant, plan)
	if err != nil {
		return PlanResult{}, err
	}
	return PlanResult{Hash: hash, Plan: plan}, nil
}

// putPlan stores a plan under its hash.
func (s *Service) putPlan(ctx context.Context, tenant automation.TenantID, plan *workflow.Plan) (automation.Digest, error) {
	text, err := plan.Encode()
	if err != nil {
		return "", fault(fmt.Errorf("encode the plan: %w", err))
	}
	hash := digestText(text)
	return hash, fault(s.store.PutPlan(ctx, tenant, hash, text, s.now().UTC()))
}

func (s *Service) build(ctx context.Context, tenant automation.TenantID, r PlanRequest) (*workflow.Plan, error) {
	request, err := s.planRequest(ctx, tenant, r)
	if err != nil {
		return nil, err
	}
	return workflow.Build(request)
}

// planRequest is what a plan is made from.
func (s *Service) planRequest(ctx context.Context, tenant automation.TenantID, r PlanRequest) (workflow.Request, error) {
	self := ""
	if r.Workflow != "" {
		stored, err := s.planned(ctx, tenant, r.Workflow)
		if err != nil {
			return workflow.Request{}, err
		}
		r.Definition, self = []byte(stored.Definition), stored.Ref()
	}
	request, err := s.buildRequest(ctx, tenant, r.Definition)
	if err != nil {
		return workflow.Request{}, err
	}
	request.Inputs, request.Self = r.Inputs, self
	if request.Assets, err = inventory.All(ctx, s.store, tenant); err != nil {
		return workflow.Request{}, err
	}
	return request, nil
}

// buildRequest is what a plan is made from, but for inputs and assets.
func (s *Service) buildRequest(ctx context.Context, tenant automation.TenantID, definition []byte) (workflow.Request, error) {
	plugins, err := s.store.ListPlugins(ctx, tenant)
	if err != nil {
		return workflow.Request{}, fmt.Errorf("list the plugins: %w", err)
	}
	included, err := s.included(ctx, tenant, definition)
	return workflow.Request{Definition: definition, Plugins: plugins, Workflows: included, Limits: s.limits}, err
}

func (s *Service) loadPlan(ctx context.Context, tenant automation.TenantID, hash automation.Digest) (*workflow.Plan, error) {
	if !IsDigest(string(hash)) {
		return nil, &automation.Error{
			Code: automation.CodeBadRequest, Pointer: "/plan_hash", Message: "that is not the hash of a plan", Allowed: "64 lower-case hexadecimal digits",
		}
	}
	text, err := s.store.Plan(ctx, tenant, hash)
	if err != nil {
		return nil, fault(err)
	}
	plan, err := workflow.DecodePlan(text)
	if err != nil {
		// What is wrong with a stored plan is the host's fault, not the caller's.
		return nil, &automation.Error{Code: automation.CodeInternal, Message: "the stored plan cannot be read", Err: fmt.Errorf("decode plan %s: %w", hash, err)}
	}
	return plan, nil
}

// program returns the compiled plan with a hash.
func (s *Service) program(ctx context.Context, tenant automation.TenantID, hash automation.Digest) (*workflow.Program, error) {
	key := programKey{tenant, hash}
	if program, ok := s.programs.get(key); ok {
		return program, nil
	}
	plan, err := s.loadPlan(ctx, tenant, hash)
	if err != nil {
		return nil, err
	}
	program, err := workflow.Compile(plan)
	if err != nil {
		return nil, &automation.Error{Code: automation.CodeInternal, Message: "the stored plan cannot be used", Err: fmt.Errorf("compile plan %s: %w", hash, err)}
	}
	return s.programs.getOrPut(key, program, len(plan.Steps)+len(plan.Targets)), nil
}

// planToSubmit returns the plan that a submission is of, with its pins checked.
func (s *Service) planToSubmit(ctx context.Context, tenant automation.TenantID, r SubmitRequest) (PlanResult, error) {
	if r.PlanHash == "" {
		return s.plan(ctx, tenant, PlanRequest{Definition: r.Definition, Workflow: r.Workflow, Inputs: r.Inputs})
	}
	program, err := s.program(ctx, tenant, r.PlanHash)
	if err != nil {
		return PlanResult{}, err
	}
	if program.Plan().Template {
		return PlanResult{}, &automation.Error{
			Code: automation.CodeConflict, Pointer: "/plan_hash", Message: "the plan is that of a sub-workflow, which runs within another alone",
			Suggestion: "plan the stored workflow " + program.Plan().Workflow + " with its inputs",
		}
	}
	return PlanResult{Hash: r.PlanHash, Plan: program.Plan()}, s.checkPins(ctx, tenant, program.Plan())
}

// checkPins checks that the plugins which a plan pins are still active.
func (s *Service) checkPins(ctx context.Context, tenant automation.TenantID, plan *workflow.Plan) error {
	active := make(map[automation.Digest]bool, 4)
	var gone []string
	templates, err := s.templates(ctx, tenant, plan)
	if err != nil {
		return err
	}
	steps := slices.Clone(plan.Steps)
	for _, hash := range slices.Sorted(maps.Keys(templates)) {
		steps = append(steps, templates[hash].Steps...)
	}
	for _, step := range steps {
		if step.SubWorkflow() {
			continue
		}
		ok, known := active[step.Digest]
		if !known {
			pl, err := s.store.Plugin(ctx, tenant, step.Digest)
			if err != nil && !isCode(err, automation.CodeNotFound) {
				return fault(err)
			}
			ok = err == nil && pl.State == automation.PluginActive
			active[step.Digest] = ok
		}
		if !ok {
			gone = append(gone, fmt.Sprintf("%s (%s@%s)", step.ID, step.Plugin, step.Version))
		}
	}
	if len(gone) == 0 {
		return nil
	}
	return &automation.Error{
		Code: automation.CodeConflict, Message: "plugins that the plan pins are not active any more: steps " + strings.Join(gone, ", "),
		Suggestion: "plan the workflow again, or have an operator activate these versions",
	}
}
