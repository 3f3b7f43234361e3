package workflow

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/registry/schema"
)

// mode is what a definition is built as; the zero value: a plan that can be run.
type mode struct {
	// template: of a sub-workflow, whose inputs are known at run time only.
	template bool
	// open: for its types and its faults alone; what it works on is not known.
	open bool
	// given are the inputs that the including step gives as constants (an object),
	// late the JSON Pointers of what it gives at run time.
	given *node
	late  []string
	// itemTarget: it works on the target of the item that includes it; otherwise,
	// unless it selects its own, on targets (hasTargets: there are some).
	itemTarget bool
	targets    []automation.Target
	hasTargets bool
	// path is the workflows that include each other down to this one.
	path []string
}

// nesting is what the builders of one plan share.
type nesting struct {
	open      map[string]*child // by NAME@VERSION
	templates map[automation.Digest]*Plan
}

// child is a stored workflow that a step includes, as far as it does not depend
// on the step.
type child struct {
	stored  automation.Workflow
	input   *schema.Schema
	output  *schema.Type
	errs    automation.Errors
	selects bool // it has targets of its own
	wants   bool // it has steps that loop over targets
	// deepest is the longest path of workflows that include each other from here on.
	deepest []string
}

// included are the stored workflows that the definition's steps use, each once.
func (b *builder) included() []string {
	var refs []string
	for _, s := range b.steps {
		if s.child != nil {
			refs = append(refs, s.child.stored.Ref())
		}
	}
	slices.Sort(refs)
	return slices.Compact(refs)
}

// readIncluded finds the stored workflow that a step uses.
func (b *builder) readIncluded(s *step, u use) {
	at := s.at + "/uses"
	ref := u.action + "@" + u.version
	if slices.Contains(b.mode.path, ref) {
		b.add(at, &automation.Error{
			Code: automation.CodeCycle, Message: "workflows that include each other: " + strings.Join(append(slices.Clone(b.mode.path), ref), " -> "),
			Suggestion: "take one of them out",
		})
		return
	}
	stored, fault := b.findStored(u)
	if fault != nil {
		b.add(at, fault)
		return
	}
	c := b.openChild(stored)
	if path := append(slices.Clone(b.mode.path), c.deepest...); len(path) > b.Limits.Nesting+1 {
		b.add(at, limitError(tooDeep+strings.Join(path, " -> "), strconv.Itoa(b.Limits.Nesting)+" levels", ""))
		return
	}
	if len(c.errs) > 0 {
		b.addChildFaults(s, c, c.errs)
		return
	}
	s.child, s.input, s.output = c, c.input, c.output
	s.plan.Plugin, s.plan.Action, s.plan.Version = automation.WorkflowPlugin, stored.Name, strconv.Itoa(stored.Version)
	s.plan.Scheduler = true
	if s.node.field("effect") != nil {
		b.add(s.at+"/effect", &automation.Error{
			Code: automation.CodeInvalid, Message: "a sub-workflow has no effect of its own: its steps have", Suggestion: "leave effect out",
		})
	}
}

const tooDeep = "workflows nested too deep: "

// maxChildFaults bounds what is told of an included workflow's faults.
const maxChildFaults = 5

// addChildFaults reports the faults of an included workflow at the step.
func (b *builder) addChildFaults(s *step, c *child, errs automation.Errors) {
	for i, e := range errs {
		if i == maxChildFaults {
			break
		}
		out := &automation.Error{Code: e.Code, Message: e.Message, Allowed: e.Allowed, Suggestion: e.Suggestion}
		if e.Code != automation.CodeCycle && !strings.HasPrefix(e.Message, tooDeep) { // these name the path
			where := ""
			if e.Line > 0 {
				where = ", line " + strconv.Itoa(e.Line)
			}
			out.Message = "workflow " + c.stored.Ref() + where + ": " + e.Message
		}
		b.add(s.at+"/uses", out)
	}
}

// findStored finds a version of a stored workflow. The error has no place yet.
func (b *builder) findStored(u use) (automation.Workflow, *automation.Error) {
	var names, versions []string
	for _, w := range b.Workflows {
		if w.State != automation.WorkflowActive && (w.Name != u.action || strconv.Itoa(w.Version) != u.version) {
			continue
		}
		names = append(names, w.Name)
		if w.Name != u.action {
			continue
		}
		if strconv.Itoa(w.Version) != u.version {
			versions = append(versions, strconv.Itoa(w.Version))
			continue
		}
		if w.State != automation.WorkflowActive {
			return w, &automation.Error{
				Code: automation.CodeUnknownName, Message: "workflow " + w.Ref() + " is retired", Suggestion: "use another version",
			}
		}
		return w, nil
	}
	slices.Sort(names)
	names = slices.Compact(names)
	switch {
	case !slices.Contains(names, u.action):
		return automation.Workflow{}, &automation.Error{
			Code: automation.CodeUnknownName, Message: "no stored workflow " + automation.Quote(u.action),
			Allowed: list(names), Suggestion: automation.DidYouMean(u.action, names),
		}
	case u.version == "":
		return automation.Workflow{}, &automation.Error{
			Code: automation.CodeMissing, Message: "the version of workflow " + u.action + " is missing",
			Allowed: list(versions), Suggestion: "write workflow." + u.action + "@" + versions[0],
		}
	}
	return automation.Workflow{}, &automation.Error{
		Code: automation.CodeUnknownName, Message: "workflow " + u.action + " has no version " + automation.Quote(u.version), Allowed: list(versions),
	}
}

// openChild reads a stored workflow, once for all steps that include it.
func (b *builder) openChild(w automation.Workflow) *child {
	ref := w.Ref()
	if c := b.nest.open[ref]; c != nil {
		return c
	}
	c := &child{stored: w, deepest: []string{ref}}
	inner := b.inner(w, mode{template: true, open: true})
	if len(inner.mode.path) > b.Limits.Nesting+1 {
		return c // the path alone is a fault, which whoever asked reports
	}
	plan, err := inner.run()
	if err != nil {
		c.errs = automationErrors(err)
	} else {
		c.describe(inner, plan)
	}
	for _, s := range inner.steps {
		if s.child != nil && len(s.child.deepest) >= len(c.deepest) {
			c.deepest = append([]string{ref}, s.child.deepest...)
		}
	}
	b.nest.open[ref] = c
	return c
}

// inner is the builder of a stored workflow that this one includes.
func (b *builder) inner(w automation.Workflow, m mode) *builder {
	r := b.Request
	r.Definition, r.Inputs, r.later = []byte(w.Definition), nil, nil
	m.path = append(slices.Clone(b.mode.path), w.Ref())
	return &builder{Request: r, catalog: b.catalog, nest: b.nest, mode: m}
}

func automationErrors(err error) automation.Errors {
	if many, ok := err.(automation.Errors); ok { //nolint:errorlint // run returns it as it is
		return many
	}
	return automation.Errors{automation.AsError(err)}
}

// describe notes what steps that include the workflow need to know of it.
func (c *child) describe(inner *builder, plan *Plan) {
	fields := map[string]*schema.Type{}
	for _, o := range plan.Outputs {
		fields[o.Name] = o.Type
	}
	c.output = object(fields)
	c.selects = inner.root.field("targets") != nil
	for _, s := range inner.steps {
		c.wants = c.wants || s.forEach.targets || s.child != nil && s.child.wants && !s.child.selects && !s.forEach.assets
	}
	input, err := schema.Compile(inputSchema(plan.Declared))
	if err != nil {
		c.errs = automation.Errors{automation.AsError(err)}
		return
	}
	c.input = input
}

// inputSchema is the JSON Schema of a template's inputs.
func inputSchema(declared []PlanInput) json.RawMessage {
	properties, required := map[string]any{}, []string{}
	for _, in := range declared {
		p := map[string]any{"type": in.Type, "description": in.Type}
		if in.Enum != nil {
			p["enum"] = in.Enum
		}
		properties[in.Name] = p
		if in.Required {
			required = append(required, in.Name)
		}
	}
	raw, _ := json.Marshal(map[string]any{ // texts, and JSON that was read from the definition
		"type": "object", "properties": properties, "required": required, "additionalProperties": false,
	})
	return raw
}

// nestSteps makes the templates of the sub-workflows, once all is known that
// they depend on.
func (b *builder) nestSteps() {
	for _, s := range b.steps {
		if s.child != nil && s.with != nil && !b.mode.open && !b.faultyBelow(s.at+"/with") && !b.faultyBelow(s.at+"/for_each") {
			b.nestStep(s)
		}
	}
	total := 0
	for _, s := range b.steps {
		if s.child != nil {
			total = min(total+s.forEach.size*s.plan.Retry.MaxAttempts*(1+s.nested.runs), 1<<40)
		}
	}
	b.runs = total
	if total > b.Limits.ChildRuns && !b.mode.open {
		b.add("/steps", limitError(fmt.Sprintf("about %d runs of sub-workflows", total), b.Limits.ChildRuns, "select fewer targets, or repeat less"))
	}
}

// faultyBelow reports whether there is an error about a place or one within it.
func (b *builder) faultyBelow(pointer string) bool {
	return slices.ContainsFunc(b.errs, func(e *automation.Error) bool {
		return e.Pointer == pointer || strings.HasPrefix(e.Pointer, pointer+"/")
	})
}

// nested is what a step's template takes, for the estimates.
type nested struct{ runs, calls int }

func (b *builder) nestStep(s *step) {
	m := mode{template: true, given: s.with, late: s.plan.Dynamic}
	switch {
	case s.forEach.targets || s.forEach.assets || b.mode.itemTarget:
		m.itemTarget, m.hasTargets = true, true
	default:
		m.targets, m.hasTargets = b.targets, b.hasTargets
	}
	if s.child.wants && !s.child.selects && !m.hasTargets {
		b.add(s.at, &automation.Error{
			Code: automation.CodeMissing, Message: "the steps of workflow " + s.child.stored.Ref() + " loop over targets, and there are none that it could take over",
			Suggestion: "add targets, and for_each: {in: targets} for a run on each of them",
		})
		return
	}
	inner := b.inner(s.child.stored, m)
	plan, err := inner.run()
	if err != nil {
		errs := automationErrors(err)
		for i, e := range errs {
			if e.Pointer == lateSelect { // its place is in this document
				name := automation.Escape(e.Allowed)
				b.add(s.at+"/with/"+name, &automation.Error{
					Code: e.Code, Suggestion: "give it a value that reads nothing, or a target by for_each: {in: targets}",
					Message: "the targets of workflow " + s.child.stored.Ref() + " depend on this input, whose value is known at run time only",
				})
				errs = slices.Delete(slices.Clone(errs), i, i+1)
				break
			}
		}
		b.addChildFaults(s, s.child, errs)
		return
	}
	s.plan.Digest = plan.Hash()
	s.nested = nested{runs: inner.runs, calls: inner.calls}
	b.nest.templates[s.plan.Digest] = plan
	timeout := plan.Timeout
	b.readDuration(s.at+"/timeout", s.node.field("timeout"), b.Limits.RunTimeout, &timeout)
	s.plan.Timeout = min(timeout, plan.Timeout)
}

// lateSelect marks the fault of a selection that depends on an input which is
// known at run time only; Allowed is the input's name.
const lateSelect = "/targets/select#late"

// lateInput returns the first input that an expression reads and whose value the
// including step gives at run time; "" without one.
func (b *builder) lateInput(paths [][]string) string {
	for _, path := range paths {
		if path[0] != "inputs" {
			continue
		}
		for _, pointer := range b.mode.late {
			name, _, _ := strings.Cut(strings.TrimPrefix(pointer, "/"), "/")
			if name = automation.Unescape(name); len(path) == 1 || path[1] == name {
				return name
			}
		}
	}
	return ""
}

// References returns the stored workflows that a definition's steps use, by name
// and version, each once; nil for a definition that can't be read, whose fault
// Build finds.
func References(definition []byte) []automation.Workflow {
	if !strings.Contains(string(definition), automation.WorkflowPlugin) {
		return nil
	}
	root, err := parse(definition)
	if err != nil {
		return nil
	}
	var refs []automation.Workflow
	steps := root.field("steps")
	if steps == nil {
		return nil
	}
	for _, n := range steps.items {
		u, ok := parseUse(n.str("uses"))
		if !ok || u.plugin != automation.WorkflowPlugin {
			continue
		}
		version, err := strconv.Atoi(u.version)
		if err != nil {
			version = 0 // names it, and no version of it
		}
		if !slices.ContainsFunc(refs, func(w automation.Workflow) bool { return w.Name == u.action && w.Version == version }) {
			refs = append(refs, automation.Workflow{Name: u.action, Version: version})
		}
	}
	return refs
}
