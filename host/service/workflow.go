package service

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
	"opsconductor.dev/host/workflow"
)

const (
	// maxIncluded bounds the stored workflows that one plan takes in.
	maxIncluded = 200
	// maxTries is how often storing is tried when others store the same name.
	maxTries = 10
)

// StoreWorkflow stores a definition as the next version of its name, after it was
// checked as far as it can be without inputs and targets (automation.Errors, all
// at once). The same bytes again give the version that has them, and created false.
func (s *Service) StoreWorkflow(ctx context.Context, p automation.Principal, definition []byte, key string) (w automation.Workflow, created bool, err error) {
	if err := s.authorise(p, opWorkflowStore); err != nil {
		return w, false, err
	}
	if err := refused(checkKey(key)); err != nil {
		return w, false, err
	}
	for range maxTries {
		w, created, err = s.storeWorkflow(ctx, p, definition, key)
		if !isCode(err, automation.CodeConflict) || errors.Is(err, store.ErrKeyReused) || errors.Is(err, errRetired) {
			break
		}
	}
	return w, created, fault(err)
}

var errRetired = errors.New("the version is retired") //nolint:gochecknoglobals // a sentinel, never assigned

func (s *Service) storeWorkflow(ctx context.Context, p automation.Principal, definition []byte, key string) (automation.Workflow, bool, error) {
	name, digest := workflow.NameOf(definition), digestText(definition)
	last := 0
	for v, err := range s.versions(ctx, p.Tenant, name) {
		switch {
		case err != nil:
			return v, false, err
		case name == "" || v.Digest != digest:
			last = max(last, v.Version)
		case v.State == automation.WorkflowRetired:
			return v, false, &automation.Error{
				Code: automation.CodeConflict, Message: "these bytes are stored as " + v.Ref() + ", which is retired", Err: errRetired,
				Suggestion: "change the definition, and be it by a comment, for a new version",
			}
		default:
			found, err := s.store.Workflow(ctx, p.Tenant, name, v.Version)
			return found, false, err
		}
	}
	w := automation.Workflow{
		ID: automation.NewID[automation.WorkflowID](), Tenant: p.Tenant, Name: name, Version: last + 1, Digest: digest, Definition: string(definition),
		State: automation.WorkflowActive, By: p.Name,
	}
	r, err := s.buildRequest(ctx, p.Tenant, definition)
	if err != nil {
		return w, false, err
	}
	r.Self = w.Ref()
	summary, err := workflow.Inspect(r)
	if err != nil {
		return w, false, err //nolint:wrapcheck // the definition's faults, as they are
	}
	w.Description, w.Includes = summary.Description, summary.Includes
	act := s.act(p, opWorkflowStore, string(w.ID), key)
	w.Created = store.Moment(act.At)
	act.Request = digestOf([]byte("store"), definition)
	act.Detail = detail(map[string]any{"workflow": w.Ref(), "digest": w.Digest})
	return s.store.CreateWorkflow(ctx, w, act)
}

// versions walks the stored versions of a name, the newest first; of all names
// with name "".
func (s *Service) versions(ctx context.Context, tenant automation.TenantID, name string) func(func(automation.Workflow, error) bool) {
	return func(yield func(automation.Workflow, error) bool) {
		page := automation.Page{Limit: maxPage}
		for {
			list, err := s.store.ListWorkflows(ctx, tenant, name, page)
			if err != nil {
				yield(automation.Workflow{}, err)
				return
			}
			for _, w := range list {
				if !yield(w, nil) {
					return
				}
			}
			if len(list) < page.Limit {
				return
			}
			page.After = list[len(list)-1].Ref()
		}
	}
}

// RetireWorkflow lets no new plan be made of a stored version; plans that pin it
// go on. It is a conflict while an active version of another workflow includes it.
func (s *Service) RetireWorkflow(ctx context.Context, p automation.Principal, ref string) (automation.Workflow, error) {
	if err := s.authorise(p, opWorkflowRetire); err != nil {
		return automation.Workflow{}, err
	}
	w, err := s.findWorkflow(ctx, p.Tenant, ref)
	if err != nil {
		return w, err
	}
	if !strings.Contains(ref, "@") {
		return w, &automation.Error{
			Code: automation.CodeBadRequest, Pointer: "/workflow", Message: "the version is missing", Allowed: "NAME@VERSION",
			Suggestion: "the newest one is " + w.Ref(),
		}
	}
	if w.State == automation.WorkflowRetired {
		return w, nil
	}
	var by []string
	for other, err := range s.versions(ctx, p.Tenant, "") {
		if err != nil {
			return w, fault(err)
		}
		if other.State == automation.WorkflowActive && slices.Contains(other.Includes, w.Ref()) {
			by = append(by, other.Ref())
		}
	}
	if by != nil {
		return w, &automation.Error{
			Code: automation.CodeConflict, Message: "active workflows include it: " + strings.Join(by[:min(len(by), 20)], ", "), Suggestion: "retire these first",
		}
	}
	act := s.act(p, opWorkflowRetire, string(w.ID), "")
	act.Detail = detail(map[string]any{"workflow": w.Ref()})
	w, err = s.store.RetireWorkflow(ctx, p.Tenant, w.ID, act)
	return w, fault(err)
}

// Workflow returns a stored version, NAME@VERSION, or the newest active one of a
// NAME, with its definition.
func (s *Service) Workflow(ctx context.Context, p automation.Principal, ref string) (automation.Workflow, error) {
	if err := s.authorise(p, opWorkflowRead); err != nil {
		return automation.Workflow{}, err
	}
	return s.findWorkflow(ctx, p.Tenant, ref)
}

// Workflows returns stored versions without their definitions, of one name or
// (name "") of all: by name, the newest first. Page.After is NAME@VERSION.
func (s *Service) Workflows(ctx context.Context, p automation.Principal, name string, page automation.Page) ([]automation.Workflow, error) {
	if err := s.authorise(p, opWorkflowRead); err != nil {
		return nil, err
	}
	if err := refused(checkPage(&page)); err != nil {
		return nil, err
	}
	out, err := s.store.ListWorkflows(ctx, p.Tenant, name, page)
	return out, fault(err)
}

func (s *Service) findWorkflow(ctx context.Context, tenant automation.TenantID, ref string) (automation.Workflow, error) {
	name, text, versioned := strings.Cut(ref, "@")
	version := 0
	if versioned {
		var err error
		if version, err = strconv.Atoi(text); err != nil || version < 1 || version > 1<<31-1 || strconv.Itoa(version) != text {
			return automation.Workflow{}, notFound("workflow")
		}
	}
	w, err := s.store.Workflow(ctx, tenant, name, version)
	return w, fault(err)
}

// planned is the stored workflow that a plan is asked of.
func (s *Service) planned(ctx context.Context, tenant automation.TenantID, ref string) (automation.Workflow, error) {
	w, err := s.findWorkflow(ctx, tenant, ref)
	if err == nil && w.State == automation.WorkflowRetired {
		return w, &automation.Error{
			Code: automation.CodeConflict, Pointer: "/workflow", Message: "workflow " + w.Ref() + " is retired", Suggestion: "use another version",
		}
	}
	if !isCode(err, automation.CodeNotFound) {
		return w, err
	}
	name, _, _ := strings.Cut(ref, "@")
	var names, versions []string
	for v, err := range s.versions(ctx, tenant, "") {
		if err != nil {
			return w, fault(err)
		}
		if v.State != automation.WorkflowActive {
			continue
		}
		names = append(names, v.Name)
		if v.Name == name {
			versions = append(versions, v.Ref())
		}
	}
	e := &automation.Error{Code: automation.CodeUnknownName, Pointer: "/workflow", Message: "no stored workflow " + automation.Quote(ref)}
	if e.Allowed = shortList(versions); versions == nil {
		names = slices.Compact(names)
		e.Allowed, e.Suggestion = shortList(names), automation.DidYouMean(name, names)
	}
	return w, e
}

func shortList(names []string) string {
	const most = 20
	if len(names) > most {
		return strings.Join(names[:most], ", ") + ", …"
	}
	return strings.Join(names, ", ")
}

// included returns the stored workflows for a plan of a definition: those that it
// includes, and theirs, with their definitions, and the names of the others. nil
// for a definition that includes none.
func (s *Service) included(ctx context.Context, tenant automation.TenantID, definition []byte) ([]automation.Workflow, error) {
	open := workflow.References(definition)
	if open == nil {
		return nil, nil
	}
	var all []automation.Workflow
	index := map[string]int{}
	for w, err := range s.versions(ctx, tenant, "") {
		if err != nil {
			return nil, fmt.Errorf("list the stored workflows: %w", err)
		}
		index[w.Ref()] = len(all)
		all = append(all, w)
	}
	for read := 0; len(open) > 0; open = open[1:] {
		i, ok := index[open[0].Ref()]
		if !ok || all[i].Definition != "" {
			continue
		}
		if read++; read > maxIncluded {
			return nil, automation.Errors{{
				Code: automation.CodeLimit, Message: "the workflow includes too many stored workflows, theirs counted in", Allowed: fmt.Sprintf("at most %d", maxIncluded),
			}}
		}
		w, err := s.store.Workflow(ctx, tenant, all[i].Name, all[i].Version)
		if err != nil {
			return nil, fmt.Errorf("read workflow %s: %w", all[i].Ref(), err)
		}
		all[i] = w
		open = append(open, workflow.References([]byte(w.Definition))...)
	}
	return all, nil
}
