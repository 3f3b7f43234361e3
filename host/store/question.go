package store

import (
	"context"
	"time"

	"opsconductor.dev/host/automation"
)

// Question is what a reader asks the leader of a shard, who alone knows it: what
// the items of a run wait for.
type Question struct {
	ID     automation.QuestionID
	Tenant automation.TenantID
	Shard  int
	Run    automation.RunID
	At     time.Time
}

// QuestionAge is how long a question and its answer are kept.
const QuestionAge = time.Minute

// Questions is the questions to leaders, and their answers. They are not of the
// truth about runs: nothing is lost when one is.
type Questions interface {
	// Ask stores a question (TopicQuestions), and forgets those older than QuestionAge.
	Ask(ctx context.Context, q Question) error
	// Asked returns the questions of a shard without an answer, the oldest first, at
	// most limit.
	Asked(ctx context.Context, shard int, limit int) ([]Question, error)
	// PutAnswer answers a question; one that is gone is passed over.
	PutAnswer(ctx context.Context, id automation.QuestionID, answer []byte) error
	// Answer returns the answer to a question; nil while there is none. not_found
	// when the tenant has no such question.
	Answer(ctx context.Context, tenant automation.TenantID, id automation.QuestionID) ([]byte, error)
}
