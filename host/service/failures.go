package service

import (
	"context"
	"encoding/json"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/scheduler/machine"
)

// Failures is why items of a run ended badly.
type Failures struct {
	Groups []Failure
	// Total is the number of items that failed or are unknown. It is more than the
	// groups count when there are more than 100 groups.
	Total int
	// Seq is the log's number that this reflects.
	Seq int64
}

// Failure is items of a step that failed for the same cause.
type Failure struct {
	Step string          `json:"step"`
	Code automation.Code `json:"code"`
	// Signature is what the messages of all have in common.
	Signature string            `json:"signature"`
	Count     int               `json:"count"`
	Error     *automation.Error `json:"error"` // the first item's
	Items     []FailedItem      `json:"items"` // the first five
}

// FailedItem names an item that failed.
type FailedItem struct {
	Index   int                  `json:"index"`
	Target  string               `json:"target,omitempty"`
	Value   json.RawMessage      `json:"value,omitempty"`
	State   automation.ItemState `json:"state"`
	Attempt int                  `json:"attempt"`
}

// Failures groups the items of a run that failed by the cause, the largest group
// first.
func (s *Service) Failures(ctx context.Context, p automation.Principal, id automation.RunID) (Failures, error) {
	if err := s.authorise(p, opRunRead); err != nil {
		return Failures{}, err
	}
	run, err := s.findRun(ctx, p.Tenant, id)
	if err != nil {
		return Failures{}, err
	}
	out := Failures{Groups: []Failure{}}
	err = s.look(ctx, run, func(v *view) {
		groups, total := v.fold.Failures()
		out.Total, out.Seq = total, v.seq
		for i := range groups {
			out.Groups = append(out.Groups, failureOf(&groups[i]))
		}
	})
	return out, err
}

func failureOf(g *machine.Failure) Failure {
	out := Failure{Step: g.StepID, Code: g.Code, Signature: g.Signature, Count: g.Count, Error: g.Error}
	for _, it := range g.First {
		item := FailedItem{Index: it.Index, Value: it.Element.Value, State: it.State, Attempt: it.Attempt}
		if t := it.Element.Target; t != nil {
			item.Target = t.Name
		}
		out.Items = append(out.Items, item)
	}
	return out
}
