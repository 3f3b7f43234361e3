package scheduler

import (
	"context"
	"encoding/json"
	"fmt"

	"opsconductor.dev/host/scheduler/machine"
)

// answerLimit is how many questions are answered in one turn.
const answerLimit = 100

// answer answers what readers have asked this leader. A question about a run that
// it does not have has an empty answer: the run has ended, or was accepted just now.
func (t *turn) answer(ctx context.Context) error {
	if !t.asked {
		return nil
	}
	l := t.loop
	list, err := l.cfg.Store.Asked(ctx, l.cfg.Shard, answerLimit)
	if err != nil {
		return fmt.Errorf("read what was asked: %w", err)
	}
	t.asked = len(list) == answerLimit
	now := l.now()
	for _, q := range list {
		reasons, _ := t.m.Why(q.Run, now)
		if reasons == nil {
			reasons = []machine.Reason{}
		}
		body, err := json.Marshal(reasons)
		if err != nil {
			return fmt.Errorf("encode an answer: %w", err)
		}
		if err := l.cfg.Store.PutAnswer(ctx, q.ID, body); err != nil {
			return fmt.Errorf("answer a question: %w", err)
		}
	}
	return nil
}
