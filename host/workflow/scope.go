package workflow

import (
	"encoding/json"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/registry/schema"
	"opsconductor.dev/host/workflow/expr"
)

// Scope is what the expressions of one run can read: the run, and the steps that
// have ended. It keeps what it has turned into values of expressions, so it
// belongs to one program. It is not safe for concurrent use.
type Scope struct {
	run   RunInfo
	steps []StepResult
	ended []bool
	// values are the ended steps' as values; set when first read.
	values []expr.Value
	made   []bool
	// Of a template's run: what it begins with.
	begun, inputsMade bool
	inputs            json.RawMessage
	inputsValue       expr.Value
	target            *automation.Target
}

// NewScope returns the scope of a run whose plan has that many steps.
func NewScope(run RunInfo, steps int) *Scope {
	return &Scope{
		run: run, steps: make([]StepResult, steps), ended: make([]bool, steps),
		values: make([]expr.Value, steps), made: make([]bool, steps),
	}
}

// SetStep adds the result of a step that has ended, once per step. r is not
// changed afterwards.
func (s *Scope) SetStep(i int, r StepResult) {
	s.steps[i], s.ended[i], s.made[i] = r, true, false
}

// vars are the values of an expression's names for one item.
type vars struct {
	p       *Program
	scope   *Scope
	step    int
	element Element
}

var _ expr.Vars = (*vars)(nil)

// Name returns the value of a name in scope.
func (v *vars) Name(name string) (expr.Value, bool) {
	switch name {
	case "inputs":
		return v.scope.inputsOf(v.p), true
	case "run":
		return runValue(&v.scope.run), true
	case "steps":
		return expr.Record(v.p.ids, v.stepValue), true
	case "asset":
		if v.element.Target == nil {
			return expr.Value{}, false
		}
		return expr.Asset(v.element.Target), true
	case "item":
		if v.element.Value == nil {
			return expr.Value{}, false
		}
		return decode(v.p.steps[v.step].elem, v.element.Value), true
	}
	return expr.Value{}, false
}

func runValue(r *RunInfo) expr.Value {
	return expr.Record([]string{"by", "id", "scheduled_at", "workflow"}, func(name string) (expr.Value, bool) {
		switch name {
		case "by":
			return expr.Text(r.By), true
		case "id":
			return expr.Text(string(r.ID)), true
		case "scheduled_at":
			return expr.Text(r.scheduled()), true
		}
		return expr.Text(r.Workflow), true
	})
}

// scheduled is the time of the schedule in UTC; "" without one.
func (r *RunInfo) scheduled() string {
	if r.Scheduled.IsZero() {
		return ""
	}
	return r.Scheduled.UTC().Format(time.RFC3339Nano)
}

// decode returns stored JSON as a value; what is not JSON is null.
func decode(t *schema.Type, raw []byte) expr.Value {
	doc, err := schema.Decode(raw)
	if err != nil {
		return expr.Null()
	}
	return expr.JSON(t, doc)
}

// stepValue returns steps.ID, made once for each run.
func (v *vars) stepValue(id string) (expr.Value, bool) {
	i := v.p.index[id]
	s := v.scope
	if !s.ended[i] {
		return expr.Value{}, false
	}
	if !s.made[i] {
		s.values[i], s.made[i] = v.p.result(i, &s.steps[i]), true
	}
	return s.values[i], true
}

// result returns an ended step as a value.
func (p *Program) result(i int, r *StepResult) expr.Value {
	items := make([]expr.Value, len(r.Items))
	for j := range r.Items {
		items[j] = p.item(i, j, &r.Items[j])
	}
	all := expr.List(items)
	return expr.Record([]string{"items", "outputs", "status"}, func(name string) (expr.Value, bool) {
		switch name {
		case "items":
			return all, true
		case "status":
			return expr.Text(string(r.Status)), true
		}
		if p.plan.Steps[i].ForEach != nil || len(items) == 0 {
			return expr.Value{}, false
		}
		return items[0].Field("outputs")
	})
}

// item returns an ended item as a value; its outputs are decoded when first read.
func (p *Program) item(step, index int, r *ItemResult) expr.Value {
	var outputs expr.Value
	decoded := false
	names := []string{"asset", "attempts", "error", "index", "item", "outputs", "status"}
	return expr.Record(names, func(name string) (expr.Value, bool) {
		switch name {
		case "asset":
			if r.Element.Target == nil {
				return expr.Value{}, false
			}
			return expr.Asset(r.Element.Target), true
		case "attempts":
			return expr.Integer(int64(r.Attempts)), true
		case "error":
			return errorValue(r.Error)
		case "index":
			return expr.Integer(int64(index)), true
		case "item":
			if r.Element.Value == nil {
				return expr.Value{}, false
			}
			return decode(p.steps[step].elem, r.Element.Value), true
		case "status":
			return expr.Text(string(r.Status)), true
		}
		if r.Outputs == nil {
			return expr.Value{}, false
		}
		if !decoded {
			outputs, decoded = decode(p.plan.Steps[step].Outputs, r.Outputs), true
		}
		return outputs, true
	})
}

func errorValue(e *automation.Error) (expr.Value, bool) {
	if e == nil {
		return expr.Value{}, false
	}
	return expr.Record([]string{"code", "message"}, func(name string) (expr.Value, bool) {
		if name == "code" {
			return expr.Text(string(e.Code)), true
		}
		return expr.Text(e.Message), true
	}), true
}
