package workflow

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/registry/schema"
	"opsconductor.dev/host/workflow/expr"
	"opsconductor.dev/schemas"
)

// maxErrors bounds the errors that Build returns.
const maxErrors = 200

// Request is what a plan is built from.
type Request struct {
	// Definition is the workflow, JSON or YAML.
	Definition []byte
	// Inputs is a JSON object of the inputs' values; nil: none.
	Inputs json.RawMessage
	// Plugins is the catalog. Only active ones are used.
	Plugins []automation.Plugin
	// Assets is the inventory that `targets.select` chooses from.
	Assets []automation.Asset
	// Workflows are the stored workflows: those that the definition includes, and
	// theirs, with their Definition; of the others the names and versions do.
	Workflows []automation.Workflow
	// Self is the definition's own NAME@VERSION where it is stored; "": it is not.
	Self string
	// Limits of the deployment; the zero value stands for DefaultLimits.
	Limits Limits

	later []string // inputs whose values are not known: nothing but Check sets it
}

// Build resolves a definition into a plan. The error is automation.Errors: all
// faults at once, in the order of the document, those of the supplied inputs
// (with a pointer below /inputs and no line) last. Build is a pure function of its
// request, and safe for concurrent use.
func Build(r Request) (*Plan, error) {
	plan, err := newBuilder(r).run()
	if err != nil {
		return nil, err
	}
	return plan, nil
}

// run reads the definition and builds the plan.
func (b *builder) run() (*Plan, error) {
	if len(b.Definition) > b.Limits.DefinitionBytes {
		return nil, automation.Errors{limitError("the definition has too many bytes", b.Limits.DefinitionBytes, "")}
	}
	root, err := parse(b.Definition)
	if err != nil {
		return nil, automation.Errors{err}
	}
	b.root = root
	if len(b.mode.path) == 0 {
		b.mode.path = []string{cmp.Or(b.Self, root.str("name"))}
	}
	plan, fault := b.build()
	if fault != nil {
		return nil, automation.Errors{fault}
	}
	if len(b.errs) > 0 {
		return nil, b.sorted()
	}
	return plan, nil
}

// builder holds what Build knows so far.
type builder struct {
	Request
	catalog catalog
	root    *node
	places  places // made for the first error
	errs    automation.Errors

	forms      map[*automation.Action]actionForms
	inputs     *inputs
	steps      []*step
	graph      graph
	order      []int // topological; nil when steps need each other
	targets    []automation.Target
	hasTargets bool // the definition selects targets

	timeout       time.Duration // of the run
	stopIfFailed  Amount
	mode          mode
	nest          *nesting
	outputs       []PlanOutput
	readByOutputs []string // ids of steps
	runs, calls   int      // estimates: of runs of sub-workflows, of attempts that may call host functions
}

func (b *builder) build() (*Plan, *automation.Error) {
	b.root.duplicates("", func(e *automation.Error) { b.errs = append(b.errs, e) })
	if err := b.checkForm(); err != nil {
		return nil, err
	}
	b.readInputs()
	b.readLimits()
	b.selectTargets()
	if !b.readSteps() {
		return nil, nil //nolint:nilnil // the errors are in b.errs
	}
	b.readNeeds()
	b.checkGraph()
	if err := b.checkExpressions(); err != nil {
		return nil, err
	}
	if err := b.readOutputs(); err != nil {
		return nil, err
	}
	b.nestSteps()
	b.checkHostCalls()
	if len(b.errs) > 0 {
		return nil, nil //nolint:nilnil // the errors are in b.errs
	}
	plan := b.assemble()
	if _, err := Compile(plan); err != nil {
		return nil, automation.AsError(err)
	}
	return plan, nil
}

// workflowSchema is schemas/workflow.schema.json, compiled.
//
//nolint:gochecknoglobals // an immutable value that takes a while to make
var workflowSchema = sync.OnceValues(func() (*schema.Schema, error) {
	raw, err := schemas.Files.ReadFile("workflow.schema.json")
	if err != nil {
		return nil, err
	}
	return schema.Compile(raw)
})

// checkForm validates the definition by the language's JSON Schema.
func (b *builder) checkForm() *automation.Error {
	s, err := workflowSchema()
	if err != nil {
		return automation.AsError(err)
	}
	for _, e := range s.Validate(b.root.value(), "") {
		b.add(e.Pointer, e)
	}
	return nil
}

// add reports an error about the definition, with its place.
func (b *builder) add(pointer string, e *automation.Error) {
	if b.places == nil {
		b.places = places{}
		b.places.note(b.root, "", place{})
	}
	at := b.places.of(pointer, e.Code)
	e.Pointer, e.Line, e.Column = pointer, at.line, at.column
	b.errs = append(b.errs, e)
}

// addAll reports errors about one place of the definition.
func (b *builder) addAll(pointer string, errs automation.Errors) {
	for _, e := range errs {
		b.add(pointer, e)
	}
}

// full reports whether there are so many errors that more are of no use to anyone.
func (b *builder) full() bool { return len(b.errs) > 10*maxErrors }

// faulty reports whether there is an error about a place already.
func (b *builder) faulty(pointer string) bool {
	return slices.ContainsFunc(b.errs, func(e *automation.Error) bool { return e.Pointer == pointer && e.Line > 0 })
}

// sorted returns the errors in the order of the document.
func (b *builder) sorted() automation.Errors {
	slices.SortStableFunc(b.errs, func(a, c *automation.Error) int {
		if (a.Line == 0) != (c.Line == 0) {
			return cmp.Compare(c.Line, a.Line)
		}
		return cmp.Or(cmp.Compare(a.Line, c.Line), cmp.Compare(a.Column, c.Column))
	})
	if len(b.errs) > maxErrors {
		b.errs = append(b.errs[:maxErrors:maxErrors], limitError("there are more errors", maxErrors, ""))
	}
	return b.errs
}

func limitError[T any](message string, allowed T, suggestion string) *automation.Error {
	return &automation.Error{
		Code: automation.CodeLimit, Message: message, Allowed: fmt.Sprintf("at most %v", allowed), Suggestion: suggestion,
	}
}

// selectTargets chooses the plan's targets.
func (b *builder) selectTargets() {
	const at = "/targets/select"
	n := b.root.field("targets").field("select")
	if n == nil || n.kind != nodeString || b.faulty(at) {
		b.hasTargets = b.root.field("targets") != nil
		if !b.hasTargets && b.mode.template {
			b.takeOver()
		}
		return
	}
	b.hasTargets = true
	s, errs := expr.NewSelector(n.text, b.inputs.typ, b.inputs.value(), expr.Options{Cost: b.Limits.ExpressionCost})
	if errs != nil {
		b.addAll(at, errs)
		return
	}
	if !b.inputs.ok || b.mode.open {
		return // what is selected cannot be known
	}
	if name := b.lateInput(s.Reads()); name != "" {
		b.errs = append(b.errs, &automation.Error{Code: automation.CodeExpression, Pointer: lateSelect, Allowed: name})
		return
	}
	for _, a := range b.Assets {
		ok, err := s.Selects(a)
		if err != nil {
			e := automation.AsError(err)
			b.add(at, &automation.Error{Code: e.Code, Message: "asset " + a.Name + ": " + e.Message, Suggestion: e.Suggestion})
			return
		}
		if ok {
			b.targets = append(b.targets, expr.TargetOf(a))
		}
	}
	slices.SortStableFunc(b.targets, func(x, y automation.Target) int { return strings.Compare(x.Name, y.Name) })
	b.checkTargets(at)
}

// takeOver lets a template that selects no targets have those of whoever includes it.
func (b *builder) takeOver() {
	m := &b.mode
	b.hasTargets = m.hasTargets || m.open
	if len(m.targets) > 0 {
		b.targets = m.targets
		b.checkTargets("/limits/max_targets")
	}
}

func (b *builder) checkTargets(at string) {
	if len(b.targets) == 0 {
		b.add(at, &automation.Error{
			Code: automation.CodeInvalid, Message: fmt.Sprintf("no asset of the %d in the inventory is selected", len(b.Assets)),
			Suggestion: "change the expression, or add assets",
		})
	}
	if len(b.targets) > b.Limits.Targets {
		b.add(at, limitError(fmt.Sprintf("%d assets are selected", len(b.targets)), b.Limits.Targets, "select fewer"))
		return
	}
	const own = "/limits/max_targets"
	n := b.root.field("limits").field("max_targets")
	if n == nil || b.faulty(own) {
		return
	}
	most, err := integer(n)
	switch {
	case err != nil || most > int64(b.Limits.Targets):
		b.add(own, limitError("more targets than this deployment allows", b.Limits.Targets, ""))
	case int64(len(b.targets)) > most:
		b.add(at, limitError(fmt.Sprintf("%d assets are selected", len(b.targets)), most, "select fewer, or raise limits.max_targets"))
	}
}
