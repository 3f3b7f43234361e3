package memory

import (
	"context"
	"slices"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
)

type question struct {
	store.Question
	answer []byte
}

// AllLimits returns the limits that count, by identifier.
func (s *Store) AllLimits(context.Context) (out []automation.Limit, err error) {
	err = s.locked(func() error { out = slices.Clone(s.limits); return nil })
	return out, err
}

// AllWindows returns the maintenance windows.
func (s *Store) AllWindows(context.Context) (out []automation.Window, err error) {
	err = s.locked(func() error { out = slices.Clone(s.windows); return nil })
	return out, err
}

// Buckets returns what the rates of a shard have left, by key.
func (s *Store) Buckets(_ context.Context, n int) (out []automation.Bucket, err error) {
	err = s.locked(func() error {
		buckets := s.shard(n).buckets
		for _, key := range sortedKeys(buckets) {
			out = append(out, automation.Bucket{Key: key, Tat: buckets[key]})
		}
		return nil
	})
	return out, err
}

// Ask stores a question and forgets old ones.
func (s *Store) Ask(_ context.Context, q store.Question) error {
	return s.write(store.Topics{store.TopicQuestions}, func() error {
		s.questions = slices.DeleteFunc(s.questions, func(old question) bool { return old.At.Before(store.Moment(q.At).Add(-store.QuestionAge)) })
		if slices.ContainsFunc(s.questions, func(old question) bool { return old.ID == q.ID }) {
			return taken()
		}
		q.At = store.Moment(q.At)
		s.questions = append(s.questions, question{Question: q})
		return nil
	})
}

// Asked returns the questions of a shard without an answer, the oldest first.
func (s *Store) Asked(_ context.Context, n, limit int) ([]store.Question, error) {
	if err := store.CheckLimit(limit); err != nil {
		return nil, err
	}
	var out []store.Question
	_ = s.locked(func() error {
		for i := range s.questions {
			if q := &s.questions[i]; q.Shard == n && q.answer == nil && len(out) < limit {
				out = append(out, q.Question)
			}
		}
		return nil
	})
	return out, nil
}

// PutAnswer answers a question; one that is gone is passed over.
func (s *Store) PutAnswer(_ context.Context, id automation.QuestionID, answer []byte) error {
	return s.locked(func() error {
		for i := range s.questions {
			if s.questions[i].ID == id {
				s.questions[i].answer = slices.Clone(answer)
			}
		}
		return nil
	})
}

// Answer returns the answer to a question; nil while there is none.
func (s *Store) Answer(_ context.Context, tenant automation.TenantID, id automation.QuestionID) (answer []byte, err error) {
	err = s.locked(func() error {
		for i := range s.questions {
			if q := &s.questions[i]; q.ID == id && q.Tenant == tenant {
				answer = slices.Clone(q.answer)
				return nil
			}
		}
		return store.NotFound("question")
	})
	return answer, err
}
