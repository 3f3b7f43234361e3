package workflow

import (
	"slices"
	"strconv"
	"strings"

	"opsconductor.dev/host/automation"
)

// readPolicy reads what a step asks of those that it needs, and what its failure
// does, as far as that is no other step's business.
func (b *builder) readPolicy(s *step) {
	if p := s.node.field("needs_policy"); p != nil && p.kind == nodeString && !b.faulty(s.at+"/needs_policy") {
		s.plan.Policy = NeedsPolicy(p.text)
		if needs := s.node.field("needs"); needs == nil || len(needs.items) == 0 {
			b.add(s.at+"/needs_policy", &automation.Error{
				Code: automation.CodeInvalid, Message: "a policy for needs, and the step has none", Suggestion: "add needs, or leave needs_policy out",
			})
		}
	}
	switch f := OnFailure(s.node.str("on_failure")); f {
	case FailureContinue, FailureStop:
		s.plan.OnFailure = f
	}
}

// readCompensation resolves an on_failure that names a step: that step then needs
// this one, and runs when it has failed.
func (b *builder) readCompensation(i int, index map[string]int, ids []string) {
	s := b.steps[i]
	at := s.at + "/on_failure"
	n := s.node.field("on_failure")
	if n == nil || n.kind != nodeString || s.plan.OnFailure != "" || b.faulty(at) {
		return
	}
	k, ok := index[n.text]
	switch {
	case !ok:
		others := slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return id == s.id })
		b.add(at, &automation.Error{
			Code: automation.CodeUnknownName, Message: "no step " + automation.Quote(n.text) + " that could make good for this one",
			Allowed:    "continue, stop, or a step: " + list(others),
			Suggestion: automation.DidYouMean(n.text, append(others, string(FailureContinue), string(FailureStop))),
		})
		return
	case k == i:
		b.add(at, &automation.Error{Code: automation.CodeInvalid, Message: "a step that makes good for itself", Suggestion: "use retry, or name another step"})
		return
	case b.steps[k].plan.Policy != "":
		b.add(b.steps[k].at+"/needs_policy", &automation.Error{
			Code: automation.CodeInvalid, Message: "the step makes good for " + s.id + ": it runs when that has failed, and a policy has no say", Suggestion: "leave needs_policy out",
		})
		return
	}
	b.steps[k].makesGood = append(b.steps[k].makesGood, i)
	b.graph.add(k, i)
}

// readBatches reads the sizes of waves.
func (b *builder) readBatches(at string, n *node) []Amount {
	if n == nil || n.kind != nodeArray {
		return nil
	}
	var batches []Amount
	for i, item := range n.items {
		if a, ok := b.readAmount(at+"/"+strconv.Itoa(i), item); ok {
			batches = append(batches, a)
		}
	}
	return batches
}

// readAmount reads a number of items or a share of them.
func (b *builder) readAmount(at string, n *node) (Amount, bool) {
	if n == nil || b.faulty(at) {
		return Amount{}, false
	}
	if n.kind == nodeNumber {
		count, err := integer(n)
		return Amount{Count: int(count)}, err == nil && count > 0
	}
	share, err := strconv.ParseFloat(strings.TrimSuffix(n.text, "%"), 64)
	if err != nil || n.kind != nodeString {
		return Amount{}, false // the form is at fault, and reported
	}
	if share <= 0 {
		b.add(at, &automation.Error{
			Code: automation.CodeInvalid, Message: "a share of nothing", Allowed: "more than 0%, at most 100%", Suggestion: "use 1 for a single item",
		})
		return Amount{}, false
	}
	return Amount{Percent: share}, true
}
