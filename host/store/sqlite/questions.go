package sqlite

import (
	"context"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
)

const (
	forgetQuestions = `DELETE FROM questions WHERE asked_at < ?`
	insertQuestion  = `INSERT INTO questions (id, tenant, shard, run_id, asked_at) VALUES (?, ?, ?, ?, ?)`
	askedQuestions  = `SELECT id, tenant, shard, run_id, asked_at FROM questions WHERE shard = ? AND answer IS NULL ORDER BY number LIMIT ?`
	putAnswer       = `UPDATE questions SET answer = ? WHERE id = ?`
	selectAnswer    = `SELECT answer FROM questions WHERE id = ? AND tenant = ?`
)

// Ask stores a question and forgets old ones.
func (db *DB) Ask(ctx context.Context, q store.Question) error {
	return db.write(ctx, store.Topics{store.TopicQuestions}, func(ctx context.Context, w *writer) error {
		if err := w.exec(ctx, forgetQuestions, micros(q.At.Add(-store.QuestionAge))); err != nil {
			return err
		}
		return w.exec(ctx, insertQuestion, string(q.ID), string(q.Tenant), q.Shard, string(q.Run), micros(q.At))
	})
}

// Asked returns the questions of a shard without an answer.
func (db *DB) Asked(ctx context.Context, shard int, limit int) ([]store.Question, error) {
	if err := store.CheckLimit(limit); err != nil {
		return nil, err
	}
	return list(ctx, db, scanQuestion, askedQuestions, shard, limit)
}

func scanQuestion(row scanner) (store.Question, error) {
	var q store.Question
	err := row.Scan(&q.ID, &q.Tenant, &q.Shard, &q.Run, stamp{&q.At})
	return q, err
}

// PutAnswer answers a question.
func (db *DB) PutAnswer(ctx context.Context, id automation.QuestionID, answer []byte) error {
	return db.write(ctx, nil, func(ctx context.Context, w *writer) error {
		return w.exec(ctx, putAnswer, answer, string(id))
	})
}

// Answer returns the answer to a question; nil while there is none.
func (db *DB) Answer(ctx context.Context, tenant automation.TenantID, id automation.QuestionID) ([]byte, error) {
	return one(ctx, db, scanAnswer, "question", selectAnswer, string(id), string(tenant))
}

func scanAnswer(row scanner) (answer []byte, err error) {
	err = row.Scan(&answer)
	return answer, err
}
