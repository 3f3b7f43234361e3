package workflow

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/registry/schema"
)

// step is a step of the definition, as far as it is known.
type step struct {
	at     string // JSON Pointer
	node   *node
	id     string // "" when there is none that can be used
	plugin *automation.Plugin
	action *automation.Action
	input  *schema.Schema // nil when the action is not known
	output *schema.Type
	plan   PlanStep

	forEach forEach
	closure []bool
	// makesGood are the steps whose on_failure names this one.
	makesGood []int
	child     *child // of a sub-workflow
	nested    nested
	with      *node // filled in as far as the inputs allow
}

// forEach is a step's fan-out, as far as it is known.
type forEach struct {
	declared   bool
	targets    bool
	isList     bool
	list       []*node
	expression string
	// assets: the expression's elements are assets, or items that have one.
	assets bool
	elem   *schema.Type
	size   int // the greatest number of items

	maxParallel int
	batches     []Amount
}

// readSteps reads all that can be known of each step by itself. It reports
// whether the steps can be looked at any further.
func (b *builder) readSteps() bool {
	list := b.root.field("steps")
	if list == nil || list.kind != nodeArray {
		return false
	}
	if len(list.items) > b.Limits.Steps {
		b.add("/steps", limitError(fmt.Sprintf("%d steps", len(list.items)), b.Limits.Steps, "split the workflow"))
		return false
	}
	seen := map[string]bool{}
	for i, n := range list.items {
		s := &step{at: "/steps/" + strconv.Itoa(i), node: n, id: n.str("id")}
		if s.id != "" && seen[s.id] {
			b.add(s.at+"/id", &automation.Error{
				Code: automation.CodeInvalid, Message: "the id " + automation.Quote(s.id) + " is there twice", Suggestion: "rename one of the steps",
			})
			s.id = ""
		}
		seen[s.id] = true
		b.steps = append(b.steps, s)
		b.readUses(s)
		b.readForEach(s)
		b.readRetry(s)
		b.readTimes(s)
		b.readPolicy(s)
		b.readSharing(s)
		s.plan.If = n.str("if")
		if e := n.str("effect"); e != "" {
			s.plan.Effect = automation.Effect(e)
		}
	}
	return true
}

// readUses finds the step's plugin and action.
func (b *builder) readUses(s *step) {
	at := s.at + "/uses"
	u, ok := parseUse(s.node.str("uses"))
	if !ok || b.faulty(at) {
		return
	}
	if u.plugin == automation.WorkflowPlugin {
		b.readIncluded(s, u)
		return
	}
	p, a, err := b.catalog.find(u)
	if err != nil {
		b.add(at, err)
		return
	}
	s.plugin, s.action = p, a
	s.plan.Plugin, s.plan.Version, s.plan.Action, s.plan.Digest = p.Name, p.Version, a.Name, p.Digest
	s.plan.Effect, s.plan.Scheduler = a.Effect, a.Scheduler
	for _, f := range p.Manifest.HostFunctions {
		s.plan.HostFunctions = append(s.plan.HostFunctions, f.Name)
	}
	slices.Sort(s.plan.HostFunctions)
	forms, ok := b.forms[a]
	if !ok {
		forms = compileForms(a)
		if b.forms == nil {
			b.forms = map[*automation.Action]actionForms{}
		}
		b.forms[a] = forms
	}
	s.input, s.output = forms.input, forms.output
	if s.input == nil {
		b.add(at, &automation.Error{
			Code: automation.CodeBadPlugin, Message: "the plugin's schemas for this action cannot be used", Suggestion: "upload a repaired version of the plugin",
		})
	}
}

// actionForms are an action's schemas, ready for use; input is nil when they
// cannot be used.
type actionForms struct {
	input  *schema.Schema
	output *schema.Type
}

func compileForms(a *automation.Action) actionForms {
	in, inErr := schema.Compile(a.Input)
	out, outErr := schema.Compile(a.Output)
	if inErr != nil || outErr != nil {
		return actionForms{}
	}
	return actionForms{input: in, output: out.Type()}
}

func (b *builder) readForEach(s *step) {
	n := s.node.field("for_each")
	in := n.field("in")
	s.forEach.size = 1
	if n == nil {
		b.needsTarget(s)
		return
	}
	s.forEach.declared = true
	at := s.at + "/for_each/in"
	if m := n.field("max_parallel"); m != nil && !b.faulty(s.at+"/for_each/max_parallel") {
		most, err := integer(m)
		if err != nil || most > 1<<31-1 {
			b.add(s.at+"/for_each/max_parallel", limitError("too large a number", 1<<31-1, "leave it out for no limit"))
		}
		s.forEach.maxParallel = int(most)
	}
	s.forEach.batches = b.readBatches(s.at+"/for_each/batches", n.field("batches"))
	switch {
	case in == nil || b.faulty(at):
	case in.kind == nodeArray:
		b.readList(s, in)
	case in.text == "targets":
		s.forEach.targets, s.forEach.size = true, len(b.targets)
		if b.mode.itemTarget && b.targets == nil {
			s.forEach.size = 1
		}
		if !b.hasTargets {
			b.add(at, &automation.Error{
				Code: automation.CodeMissing, Message: "the workflow selects no targets", Suggestion: `add targets: {select: "…"}`,
			})
		}
	default:
		b.readLoop(s, in, at)
	}
	if !s.forEach.targets && s.forEach.expression == "" && in != nil {
		b.needsTarget(s)
	}
}

func (b *builder) readList(s *step, in *node) {
	s.forEach.isList, s.forEach.list, s.forEach.size = true, in.items, len(in.items)
	at := s.at + "/for_each/in"
	if len(in.items) > b.Limits.Iterations {
		b.add(at, limitError(fmt.Sprintf("a list of %d elements", len(in.items)), b.Limits.Iterations, "split the list"))
	}
	values, _ := in.value().([]any)
	s.forEach.elem = schema.Common(values, 0)
	for i, item := range in.items {
		if item.hasTemplate() {
			b.add(at+"/"+strconv.Itoa(i), &automation.Error{
				Code: automation.CodeExpression, Message: "an expression in a literal list", Suggestion: "make the list one expression: ${{ [a, b] }}",
			})
		}
	}
}

// needsTarget reports an action that acts on a target in a step whose items have none.
func (b *builder) needsTarget(s *step) {
	if s.action == nil || !s.action.Target {
		return
	}
	at := s.at
	if s.forEach.declared {
		at += "/for_each/in"
	}
	b.add(at, &automation.Error{
		Code: automation.CodeMissing, Message: "the action " + s.plan.Plugin + "." + s.plan.Action + " acts on a target, and the step's items have none",
		Suggestion: "add for_each: {in: targets}",
	})
}

func (b *builder) readRetry(s *step) {
	s.plan.Retry = Retry{MaxAttempts: 1}
	n := s.node.field("retry")
	if n == nil || n.kind != nodeObject {
		return
	}
	at := s.at + "/retry"
	if m := n.field("max_attempts"); m != nil && !b.faulty(at+"/max_attempts") {
		most, err := integer(m)
		if err != nil || most > int64(b.Limits.Attempts) {
			b.add(at+"/max_attempts", limitError("too many attempts", b.Limits.Attempts, ""))
		}
		s.plan.Retry.MaxAttempts = int(most)
	}
	s.plan.Retry.If = n.str("if")
	back := n.field("backoff")
	r := &s.plan.Retry
	if r.MaxAttempts > 1 {
		r.Initial, r.Factor, r.Max, r.Jitter = time.Second, 2, time.Minute, "full"
	}
	if back == nil || back.kind != nodeObject {
		return
	}
	b.readDuration(at+"/backoff/initial", back.field("initial"), b.Limits.RunTimeout, &r.Initial)
	b.readDuration(at+"/backoff/max", back.field("max"), b.Limits.RunTimeout, &r.Max)
	if f := back.field("factor"); f != nil && f.kind == nodeNumber {
		r.Factor, _ = strconv.ParseFloat(f.text, 64)
	}
	if j := back.str("jitter"); j != "" {
		r.Jitter = j
	}
	if r.Max < r.Initial && !b.faulty(at+"/backoff/max") && !b.faulty(at+"/backoff/initial") {
		if back.field("max") == nil {
			r.Max = r.Initial
			return
		}
		b.add(at+"/backoff/max", &automation.Error{
			Code: automation.CodeInvalid, Message: "the longest wait is shorter than the first", Allowed: "at least " + formatDuration(r.Initial),
		})
	}
}

// readNeeds resolves the steps' needs into the graph.
func (b *builder) readNeeds() {
	index := map[string]int{}
	var ids []string
	for i, s := range b.steps {
		if s.id != "" {
			index[s.id] = i
			ids = append(ids, s.id)
		}
	}
	b.graph.needs = make([][]int, len(b.steps))
	for i, s := range b.steps {
		n := s.node.field("needs")
		if n == nil || n.kind != nodeArray {
			continue
		}
		for j, need := range n.items {
			if need.kind != nodeString || b.full() {
				continue
			}
			k, ok := index[need.text]
			if !ok {
				others := slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return id == s.id })
				b.add(s.at+"/needs/"+strconv.Itoa(j), &automation.Error{
					Code: automation.CodeUnknownName, Message: "no step " + automation.Quote(need.text),
					Allowed: list(others), Suggestion: automation.DidYouMean(need.text, others),
				})
				continue
			}
			b.graph.add(i, k)
		}
	}
	for i := range b.steps {
		b.readCompensation(i, index, ids)
	}
}

// checkGraph finds cycles, and checks the limits of depth and width.
func (b *builder) checkGraph() {
	for i, s := range b.steps {
		s.closure = b.graph.closure(i)
	}
	for _, path := range b.graph.cycles() {
		names := make([]string, len(path))
		for i, n := range path {
			names[i] = b.steps[n].id
		}
		b.add(b.steps[path[0]].at+"/needs", &automation.Error{
			Code: automation.CodeCycle, Message: "steps that need each other: " + strings.Join(names, " -> "),
			Suggestion: "take one of them out of needs",
		})
	}
	order, ok := b.graph.order()
	if !ok {
		return
	}
	b.order = order
	width := map[int]int{}
	for i, level := range b.graph.levels(order) {
		width[level]++
		if level == b.Limits.Depth+1 {
			b.add(b.steps[i].at+"/needs", limitError("too long a path of steps that need each other", b.Limits.Depth, ""))
		}
		if width[level] == b.Limits.Parallel+1 {
			b.add(b.steps[i].at, limitError("too many steps side by side", b.Limits.Parallel, "let some need others"))
		}
	}
}

// checkHostCalls bounds the attempts that may call host functions.
func (b *builder) checkHostCalls() {
	calls := 0
	for _, s := range b.steps {
		each := s.nested.calls
		if len(s.plan.HostFunctions) > 0 {
			each = 1
		}
		calls = min(calls+s.forEach.size*s.plan.Retry.MaxAttempts*each, 1<<40)
	}
	b.calls = calls
	if calls > b.Limits.HostCalls {
		b.add("/steps", limitError(fmt.Sprintf("about %d attempts that may call host functions", calls), b.Limits.HostCalls, "select fewer targets, or repeat less"))
	}
}
