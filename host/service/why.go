package service

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/scheduler/machine"
	"opsconductor.dev/host/store"
)

// Reason is what a number of items of a step wait for, as the scheduler's leader
// knows it.
type Reason struct {
	Kind machine.WhyKind `json:"kind"`
	Step string          `json:"step"`
	Text string          `json:"text"` // in a sentence
	// Limit is what has no room (kinds limit and rate).
	Limit *ReasonLimit `json:"limit,omitempty"`
	// Window is the maintenance window's name (kind window), Queue the task queue
	// (kind slots), Needs the steps that have not ended (kind needs).
	Window string   `json:"window,omitempty"`
	Queue  string   `json:"queue,omitempty"`
	Needs  []string `json:"needs,omitempty"`
	// Until is when the first of the items may go on; zero: not known.
	Until time.Time `json:"until,omitzero"`
	// Count is how many items wait for this, Items the indexes of the first of them.
	Count int   `json:"count"`
	Items []int `json:"items,omitempty"`
}

// ReasonLimit is a limit that has no room.
type ReasonLimit struct {
	Kind  automation.LimitKind `json:"kind"` // max_parallel: the step's own
	Value string               `json:"value"`
	Used  int                  `json:"used"`
	Max   int                  `json:"max"`
}

// How long the leader is waited for, and how often its answer is looked for.
const (
	whyPatience = 5 * time.Second
	whyPoll     = 10 * time.Millisecond
)

// Why says of each item of a run that has not ended what it waits for, by step;
// nothing of a run that has ended. It asks the leader, which any host may be; when
// none answers the error is unavailable.
func (s *Service) Why(ctx context.Context, p automation.Principal, id automation.RunID) ([]Reason, error) {
	if err := s.authorise(p, opRunRead); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, whyPatience, errNoLeader())
	defer cancel()
	for {
		run, err := s.findRun(ctx, p.Tenant, id)
		if err != nil || run.State.Ended() {
			return nil, err
		}
		reasons, err := s.askWhy(ctx, run)
		if err != nil || len(reasons) > 0 {
			return reasons, err
		}
		// It has ended meanwhile, or the leader has not seen it yet.
		if err := rest(ctx, 5*whyPoll); err != nil {
			return nil, err
		}
	}
}

func errNoLeader() error {
	return &automation.Error{
		Code: automation.CodeUnavailable, Message: fmt.Sprintf("no scheduler has answered within %s", whyPatience), CanRetry: true,
		Suggestion: "look whether a host leads: GET /v1/hosts",
	}
}

// askWhy puts one question and waits for its answer.
func (s *Service) askWhy(ctx context.Context, run automation.Run) ([]Reason, error) {
	q := store.Question{ID: automation.NewID[automation.QuestionID](), Tenant: run.Tenant, Shard: run.Shard, Run: run.ID, At: s.now()}
	if err := s.store.Ask(ctx, q); err != nil {
		return nil, fault(err)
	}
	for {
		body, err := s.store.Answer(ctx, run.Tenant, q.ID)
		switch {
		case ctx.Err() != nil:
			return nil, fault(context.Cause(ctx))
		case err != nil:
			return nil, fault(err)
		case body != nil:
			return reasonsOf(body)
		}
		if err := rest(ctx, whyPoll); err != nil {
			return nil, err
		}
	}
}

func rest(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return fault(context.Cause(ctx))
	}
}

func reasonsOf(body []byte) ([]Reason, error) {
	var list []machine.Reason
	if err := json.Unmarshal(body, &list); err != nil {
		return nil, automation.AsError(fmt.Errorf("read the leader's answer: %w", err))
	}
	out := make([]Reason, len(list))
	for i := range list {
		r := &list[i]
		out[i] = Reason{Kind: r.Kind, Step: r.StepID, Text: r.Text, Queue: r.Queue, Needs: r.Needs, Until: r.Until, Count: r.Count, Items: r.Items}
		switch r.Kind {
		case machine.WhyWindow:
			out[i].Window = r.Value
		case machine.WhyLimit, machine.WhyRate:
			out[i].Limit = &ReasonLimit{Kind: r.Key, Value: r.Value, Used: r.Used, Max: r.Max}
		default:
		}
	}
	return out, nil
}
