package machine

import (
	"fmt"
	"strconv"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/workflow"
)

func itoa(n int) string { return strconv.Itoa(n) }

func (r *run) item(s, i int) *item {
	if s < 0 || s >= len(r.steps) || i < 0 || i >= len(r.steps[s].items) {
		return nil
	}
	return &r.steps[s].items[i]
}

// openStep decides about a step whose needs have ended: skip it, fail it, or
// make its items ready.
func (m *Machine) openStep(s *step, at time.Time) {
	r := s.run
	if why := s.unwanted(); why != nil {
		m.skip(s, automation.ItemSkipped, why, at)
		return
	}
	if s.plan.If != "" {
		run, err := r.program.Condition(s.index, r.scope)
		if err != nil {
			m.skip(s, automation.ItemFailed, automation.AsError(err), at)
			return
		}
		if !run {
			m.skip(s, automation.ItemSkipped, nil, at)
			return
		}
	}
	elements, err := r.program.Elements(s.index, r.scope)
	if err != nil {
		m.skip(s, automation.ItemFailed, automation.AsError(err), at)
		return
	}
	m.fanOut(s, elements, at)
}

// unwanted says why a step is not to run after what became of those it needs;
// nil when it is.
func (s *step) unwanted() *automation.Error {
	if len(s.plan.Compensates) > 0 {
		for _, n := range s.plan.Compensates {
			if s.run.steps[n].bad() {
				return nil
			}
		}
		return &automation.Error{Code: automation.CodeStepFailed, Message: "nothing failed that it would have to make good"}
	}
	good := 0
	var first *step
	for _, n := range s.plan.Needs {
		if need := &s.run.steps[n]; need.good() {
			good++
		} else if first == nil {
			first = need
		}
	}
	switch {
	case first == nil, s.plan.Policy == workflow.NeedsAlways, s.plan.Policy == workflow.NeedsAny && good > 0:
		return nil
	}
	return &automation.Error{
		Code: automation.CodeStepFailed, Message: "step " + first.plan.ID + ", which it needs, " + became(first.state),
	}
}

// bad reports whether the step has failed.
func (s *step) bad() bool { return s.state == automation.ItemFailed }

// good reports whether what needs the step may go on.
func (s *step) good() bool {
	return s.state == automation.ItemSucceeded || s.bad() && s.plan.OnFailure == workflow.FailureContinue
}

// fanOut makes a step's items and lets the first wave of them be granted.
func (m *Machine) fanOut(s *step, elements []workflow.Element, at time.Time) {
	s.items = make([]item, len(elements))
	s.left = len(elements)
	s.state = automation.ItemReady
	if f := s.plan.ForEach; f != nil && f.MaxParallel > 0 {
		s.limit = &limit{counter: counter{kind: limitParallel, value: s.plan.ID}, max: f.MaxParallel}
	}
	for i := range s.items {
		it := &s.items[i]
		it.step, it.index, it.element, it.state = s, i, elements[i], automation.ItemBlocked
	}
	if s.run.plan.StopIfFailed != (workflow.Amount{}) {
		s.stopAt = s.run.plan.StopIfFailed.Of(s.left)
	}
	if s.left == 0 {
		m.endStep(s, at)
		return
	}
	m.limitStep(s, at)
	m.nextWave(s, at)
}

// nextWave makes the next items of a step ready: all of them without batches.
func (m *Machine) nextWave(s *step, at time.Time) {
	from, n := s.released, len(s.items)
	if f := s.plan.ForEach; f != nil && len(f.Batches) > 0 {
		n = f.Batches[min(s.wave, len(f.Batches)-1)].Of(n)
		s.wave++
	}
	to := min(from+n, len(s.items))
	s.released = to
	for i := from; i < to; i++ { // a wave that is kept whole releases the next one
		if !m.takeKept(&s.items[i], at) {
			m.toReady(&s.items[i], at)
		}
	}
}

// afterItem goes on with a step of which an item has ended and others have not:
// too many failures stop it, and a wave that has ended well lets the next one start.
func (m *Machine) afterItem(s *step, at time.Time) {
	if s.halted || s.run.stopping != "" {
		return
	}
	failed := s.counts[automation.ItemFailed]
	waveOver := s.released == len(s.items)-s.left
	switch {
	case s.stopAt > 0 && failed >= s.stopAt:
		m.halt(s, fmt.Sprintf("%d items of the step have failed, and stop_if_failed stops it at %d", failed, s.stopAt), at)
	case waveOver && failed > 0 && s.stopAt == 0:
		m.halt(s, fmt.Sprintf("%d items of the wave before have failed", failed), at)
	case waveOver:
		m.nextWave(s, at)
	}
}

// halt skips the items of a step that have not begun.
func (m *Machine) halt(s *step, why string, at time.Time) {
	s.halted = true
	cause := &automation.Error{Code: automation.CodeStepFailed, Message: why}
	for i := range s.items {
		if it := &s.items[i]; !it.state.Ended() && !it.holds() {
			m.endItem(it, &automation.Outcome{State: automation.ItemSkipped, Error: cause}, at)
		}
	}
}

// skip ends a step that never fanned out: it has one item, in the given state.
func (m *Machine) skip(s *step, state automation.ItemState, cause *automation.Error, at time.Time) {
	s.items = make([]item, 1)
	s.items[0] = item{step: s, state: automation.ItemBlocked}
	s.left = 1
	m.endItem(&s.items[0], &automation.Outcome{State: state, Error: cause}, at)
}

// toReady makes an item ready and queues it, unless it is ready already.
func (m *Machine) toReady(it *item, at time.Time) {
	if it.state != automation.ItemReady {
		m.setItem(it, automation.ItemReady, at)
		it.since = at.UnixNano()
	}
	if !it.queued {
		m.queue(it)
	}
}

// endItem ends an item with an outcome, and its step with the last of its items.
func (m *Machine) endItem(it *item, o *automation.Outcome, at time.Time) {
	s := it.step
	o = it.honest(o)
	if (s.plan.Scheduler || it.state == automation.ItemUnknown) && it.holds() {
		m.release(it, at)
	}
	it.outcome, it.ended = o, at
	if o.Error != nil && o.Error.Code == automation.CodeUnknownOutcome {
		s.uncertain = true
	}
	m.setItem(it, o.State, at)
	if it.wait != nil && it.wait.For == automation.WaitForApproval {
		m.out.approvals = append(m.out.approvals, it)
	}
	if s.counts == nil {
		s.counts = map[automation.ItemState]int{}
	}
	s.counts[o.State]++
	s.left--
	if s.left == 0 {
		m.endStep(s, at)
		return
	}
	m.afterItem(s, at)
}

// honest is the outcome of an item that ends while nobody has found out what became
// of the guarded command that it began.
func (it *item) honest(o *automation.Outcome) *automation.Outcome {
	if it.begun == nil || it.state.Open() || it.state == automation.ItemUnknown {
		return o
	}
	c := *o
	if c.State == automation.ItemSkipped {
		c.State = automation.ItemFailed
	}
	c.Error = &automation.Error{
		Code: automation.CodeUnknownOutcome, Phase: automation.PhaseAfter,
		Message:    "it ended before anybody found out what became of the guarded command that it had begun",
		Suggestion: "look at the target before anything is run on it again",
	}
	if o.Error != nil {
		c.Error.Message = o.Error.Message + ": " + c.Error.Message
	}
	return &c
}

// endStep draws a step's state from its items', and opens what needed it.
func (m *Machine) endStep(s *step, at time.Time) {
	r := s.run
	s.state = automation.ItemSucceeded
	for _, worse := range []automation.ItemState{
		automation.ItemSkipped, automation.ItemCancelled, automation.ItemFailed,
	} {
		if s.counts[worse] > 0 {
			s.state = worse
		}
	}
	r.left--
	m.disperse(s, at)
	m.unbind(s)
	r.scope.SetStep(s.index, s.result())
	if s.bad() && s.plan.OnFailure == workflow.FailureStop {
		m.stop(r, automation.RunFailed, s.failure(), at)
	}
	for _, n := range s.needed {
		next := &r.steps[n]
		next.blocks--
		if next.blocks == 0 && next.state == automation.ItemBlocked && r.stopping == "" {
			m.openStep(next, at)
		}
	}
}

func (s *step) result() workflow.StepResult {
	res := workflow.StepResult{Status: s.state, Items: make([]workflow.ItemResult, len(s.items))}
	for i := range s.items {
		it := &s.items[i]
		res.Items[i] = workflow.ItemResult{Element: it.element, Status: it.state, Attempts: it.attempt}
		if it.outcome != nil {
			res.Items[i].Outputs, res.Items[i].Error = it.outcome.Output, it.outcome.Error
		}
	}
	return res
}

// stop lets nothing more of a run start: what is not out on a host is cancelled,
// what is out is told to stop.
func (m *Machine) stop(r *run, final automation.RunState, why *automation.Error, at time.Time) {
	if r.stopping != "" {
		return
	}
	r.stopping, r.err = final, why
	m.askChildren(r, automation.Fact{Kind: automation.FactCancelAsked, At: at, By: "run " + string(r.id), Reason: why.Message})
	for i := range r.steps {
		s := &r.steps[i]
		if s.state.Ended() {
			continue
		}
		if s.items == nil {
			m.skip(s, automation.ItemCancelled, why, at)
			continue
		}
		for j := range s.items {
			m.stopItem(&s.items[j], why, at)
		}
	}
}

func (m *Machine) stopItem(it *item, why *automation.Error, at time.Time) {
	switch {
	case it.state.Ended():
	case it.child != "" && it.state == automation.ItemRunning: // it ends with its run, which stop has asked
		it.cancel = true
	case it.state == automation.ItemUnknown:
		m.endItem(it, it.undecided(), at)
	case it.state.Open() && !it.step.plan.Scheduler:
		if !it.cancel {
			it.cancel = true
			m.out.cancel(it, why)
		}
	default:
		m.endItem(it, &automation.Outcome{State: automation.ItemCancelled, Error: why}, at)
	}
}

// settle ends a run whose steps have all ended.
func (m *Machine) settle(r *run, at time.Time) {
	if r.left > 0 || r.state.Ended() {
		return
	}
	state := automation.RunSucceeded
	if bad := r.firstBad(); bad != nil {
		state, r.err = automation.RunFailed, firstError(r.err, bad.failure())
	}
	if r.stopping != "" {
		state = r.stopping
	}
	if state == automation.RunSucceeded {
		var err error
		if r.outputs, err = r.program.Outputs(r.scope); err != nil {
			state, r.err = automation.RunFailed, automation.AsError(err)
		}
	}
	r.ended = at
	m.setRun(r, state, at)
	if r.parent != nil {
		m.children.ended = append(m.children.ended, r)
	}
}

func firstError(a, b *automation.Error) *automation.Error {
	if a != nil {
		return a
	}
	return b
}

func (r *run) firstBad() *step {
	for i := range r.steps {
		if r.steps[i].good() {
			continue
		}
		switch r.steps[i].state {
		case automation.ItemFailed, automation.ItemCancelled:
			return &r.steps[i]
		case automation.ItemBlocked, automation.ItemReady, automation.ItemParked, automation.ItemLeased, automation.ItemRunning,
			automation.ItemWaitingRetry, automation.ItemUnknown, automation.ItemSucceeded, automation.ItemSkipped:
		}
	}
	return nil
}

// failure says why a step failed its run: how many items, and the first one's error.
func (s *step) failure() *automation.Error {
	bad := s.counts[automation.ItemFailed] + s.counts[automation.ItemCancelled]
	e := &automation.Error{Code: automation.CodeStepFailed, Message: "step " + s.plan.ID + " " + became(s.state)}
	for i := range s.items {
		it := &s.items[i]
		if it.state != s.state {
			continue
		}
		if len(s.items) > 1 {
			e.Message += fmt.Sprintf(" on %d of %d items, first %s", bad, len(s.items), it.label())
		}
		if it.outcome != nil && it.outcome.Error != nil {
			e.Message += ": " + it.outcome.Error.Message
			e.Suggestion, e.Phase = it.outcome.Error.Suggestion, it.outcome.Error.Phase
		}
		break
	}
	return e
}

// became says in a sentence how a step ended.
func became(s automation.ItemState) string {
	switch s {
	case automation.ItemSkipped, automation.ItemCancelled:
		return "was " + string(s)
	case automation.ItemFailed, automation.ItemSucceeded:
		return string(s)
	case automation.ItemBlocked, automation.ItemReady, automation.ItemParked, automation.ItemLeased, automation.ItemRunning, automation.ItemWaitingRetry,
		automation.ItemUnknown:
	}
	return "is " + string(s)
}

// holds reports whether the item counts against its limits: what is unknown may
// still go on.
func (it *item) holds() bool { return it.state.Open() || it.state == automation.ItemUnknown }

func (it *item) label() string {
	if it.element.Target != nil {
		return it.element.Target.Name
	}
	return "#" + itoa(it.index)
}
