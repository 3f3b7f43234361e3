package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
)

const (
	insertQuestion = `WITH forgotten AS (DELETE FROM questions WHERE asked_at < $6)
		INSERT INTO questions (id, tenant, shard, run_id, asked_at) VALUES ($1, $2, $3, $4, $5)`
	askedQuestions = `SELECT id, tenant, shard, run_id, asked_at FROM questions WHERE shard = $1 AND answer IS NULL ORDER BY number LIMIT $2`
	putAnswer      = `UPDATE questions SET answer = $1 WHERE id = $2`
	selectAnswer   = `SELECT answer FROM questions WHERE id = $1 AND tenant = $2`
)

// Ask stores a question and forgets old ones.
func (db *DB) Ask(ctx context.Context, q store.Question) error {
	return db.write(ctx, store.Topics{store.TopicQuestions}, func(ctx context.Context) error {
		_, err := db.pool.Exec(ctx, insertQuestion, string(q.ID), string(q.Tenant), q.Shard, string(q.Run), moment(q.At),
			moment(q.At.Add(-store.QuestionAge)))
		return err
	})
}

// Asked returns the questions of a shard without an answer.
func (db *DB) Asked(ctx context.Context, shard int, limit int) ([]store.Question, error) {
	if err := store.CheckLimit(limit); err != nil {
		return nil, err
	}
	return list(ctx, db, scanQuestion, askedQuestions, shard, limit)
}

func scanQuestion(row pgx.Row) (store.Question, error) {
	var q store.Question
	err := row.Scan(&q.ID, &q.Tenant, &q.Shard, &q.Run, stamp{&q.At})
	return q, err
}

// PutAnswer answers a question.
func (db *DB) PutAnswer(ctx context.Context, id automation.QuestionID, answer []byte) error {
	return db.write(ctx, nil, func(ctx context.Context) error {
		_, err := db.pool.Exec(ctx, putAnswer, answer, string(id))
		return err
	})
}

// Answer returns the answer to a question; nil while there is none.
func (db *DB) Answer(ctx context.Context, tenant automation.TenantID, id automation.QuestionID) ([]byte, error) {
	return one(ctx, db, scanAnswer, "question", selectAnswer, string(id), string(tenant))
}

func scanAnswer(row pgx.Row) (answer []byte, err error) {
	err = row.Scan(&answer)
	return answer, err
}
