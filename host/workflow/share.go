package workflow

import (
	"fmt"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/workflow/expr"
)

// The priorities of steps. 0 is what a step has without one.
const (
	MinPriority = -10
	MaxPriority = 10
)

// maxKey bounds a concurrency key, in bytes.
const maxKey = 200

// readSharing reads how a step shares the hosts with others: its task queue and
// its priority, which the workflow may give for all its steps.
func (b *builder) readSharing(s *step) {
	if s.plan.Scheduler {
		for _, field := range []string{"queue", "priority", "concurrency_key"} {
			if s.node.field(field) != nil {
				b.add(s.at+"/"+field, &automation.Error{
					Code: automation.CodeInvalid, Message: "the scheduler carries the step out itself: it needs no worker, and waits for no limit", Suggestion: "leave " + field + " out",
				})
			}
		}
		return
	}
	s.plan.Queue = s.node.str("queue")
	s.plan.Priority = b.readPriority("/priority", b.root.field("priority"), 0)
	s.plan.Priority = b.readPriority(s.at+"/priority", s.node.field("priority"), s.plan.Priority)
}

func (b *builder) readPriority(at string, n *node, without int) int {
	if n == nil || n.kind != nodeNumber || b.faulty(at) {
		return without
	}
	v, err := integer(n)
	if err != nil {
		return without // out of range, which the form reports
	}
	return int(v)
}

// checkKey checks a step's concurrency_key, and fills it in when the inputs alone
// decide it.
func (b *builder) checkKey(s *step, envs *envs) error {
	at := s.at + "/concurrency_key"
	n := s.node.field("concurrency_key")
	if n == nil || n.kind != nodeString || b.faulty(at) || s.plan.Scheduler {
		return nil
	}
	own := s.typ()
	g, ok, err := b.compileText(s, func() (*expr.Env, error) { return envs.of(b, &own) }, at, n.text)
	if err != nil || !ok {
		return err
	}
	if !b.known(g) {
		s.plan.ConcurrencyKey, s.plan.KeyDynamic = n.text, true
		return nil
	}
	if b.inputs.ok {
		key, err := fillKey(g, b.inputVars())
		if err != nil {
			b.add(at, automation.AsError(err))
		}
		s.plan.ConcurrencyKey = key
	}
	return nil
}

// fillKey evaluates a concurrency key.
func fillKey(g segment, vars expr.Vars) (string, error) {
	text, err := g.text(vars, maxKey, keyTooLong)
	if err == nil && len(text) > maxKey {
		err = keyTooLong()
	}
	if err != nil {
		return "", err
	}
	return string(text), nil
}

func keyTooLong() error {
	return limitError(fmt.Sprintf("a concurrency key of more than %d bytes", maxKey), maxKey, "use a shorter one")
}

// key compiles a step's concurrency_key.
func (c *compiler) key(i int, env *expr.Env) error {
	w := segments{env: env}
	if w.template(c.p.plan.Steps[i].ConcurrencyKey, ""); w.err != nil {
		return w.err
	}
	c.p.steps[i].key = &w.out[0]
	return nil
}

// ConcurrencyKey returns the concurrency key of an item; "": it has none. The error
// is an *automation.Error with code expression or limit that names the step.
func (p *Program) ConcurrencyKey(step int, s *Scope, e Element) (string, error) {
	k := p.steps[step].key
	if k == nil {
		return p.plan.Steps[step].ConcurrencyKey, nil
	}
	key, err := fillKey(*k, &vars{p: p, scope: s, step: step, element: e})
	if err != nil {
		return "", p.fault(step, "/concurrency_key", err)
	}
	return key, nil
}
