package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
)

const (
	insertLive = `INSERT INTO live_logs (run_id, step, item, attempt, chunk, tenant, host_id, encoding, body)
		SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9 WHERE NOT EXISTS (SELECT 1 FROM attempt_logs
		WHERE run_id = ?1 AND step = ?2 AND item = ?3 AND attempt = ?4) ON CONFLICT DO NOTHING`
	deleteLive = `DELETE FROM live_logs WHERE run_id = ? AND step = ? AND item = ? AND attempt = ?`

	selectRunLive = `SELECT tenant, run_id, step, item, attempt, chunk, encoding, body FROM live_logs
		WHERE run_id = ?1 AND (step, item, attempt) IN (SELECT DISTINCT step, item, attempt FROM live_logs
			WHERE run_id = ?1 AND (step, item, attempt) > (?2, ?3, ?4) ORDER BY step, item, attempt LIMIT ?5)
		ORDER BY step, item, attempt, chunk`
	selectRunLogs = `SELECT tenant, run_id, step, item, attempt, encoding, body FROM attempt_logs
		WHERE run_id = ? AND (step, item, attempt) > (?, ?, ?) ORDER BY step, item, attempt LIMIT ?`

	// The marks are an array of [step, item, attempt, chunk].
	marks = `SELECT DISTINCT value ->> 0 AS step, value ->> 1 AS item, value ->> 2 AS attempt, value ->> 3 AS chunk FROM json_each(?2)`

	selectLiveSince = `WITH m AS (SELECT * FROM (` + marks + `) m WHERE EXISTS (SELECT 1 FROM live_logs l
			WHERE l.run_id = ?1 AND l.step = m.step AND l.item = m.item AND l.attempt = m.attempt AND l.chunk > m.chunk)
			ORDER BY step, item, attempt LIMIT ?3)
		SELECT l.tenant, l.run_id, l.step, l.item, l.attempt, l.chunk, l.encoding, l.body FROM m CROSS JOIN live_logs l
			ON l.run_id = ?1 AND l.step = m.step AND l.item = m.item AND l.attempt = m.attempt AND l.chunk > m.chunk
		ORDER BY l.step, l.item, l.attempt, l.chunk`
	selectLogsOf = `SELECT l.tenant, l.run_id, l.step, l.item, l.attempt, l.encoding, l.body FROM (` + marks + `) m CROSS JOIN attempt_logs l
			ON l.run_id = ?1 AND l.step = m.step AND l.item = m.item AND l.attempt = m.attempt
		ORDER BY l.step, l.item, l.attempt LIMIT ?3`
)

// PutLiveLogs stores chunks of a host's attempts.
func (db *DB) PutLiveLogs(ctx context.Context, host automation.HostID, epoch int64, chunks []store.LiveLog) error {
	rows := make([][]any, len(chunks))
	for i := range chunks {
		c := &chunks[i]
		body, encoding, err := store.EncodeLogs(c.Lines)
		if err != nil {
			return automation.AsError(err)
		}
		k := c.Attempt
		rows[i] = []any{string(k.Run), k.Step, k.Item, k.Attempt, c.Chunk, string(c.Tenant), string(host), encoding, body}
	}
	return db.write(ctx, store.LiveTopics(chunks), func(ctx context.Context, w *writer) error {
		var one int
		err := w.row(ctx, holdHost, string(host), epoch).Scan(&one)
		if errors.Is(err, sql.ErrNoRows) {
			return store.Fenced("store what was logged")
		}
		if err != nil {
			return err
		}
		for _, row := range rows {
			if err := w.exec(ctx, insertLive, row...); err != nil {
				return err
			}
		}
		return nil
	})
}

// dropLive removes the chunks of attempts whose whole log is stored now.
func (w *writer) dropLive(ctx context.Context, logs []store.AttemptLogs) error {
	for i := range logs {
		k := logs[i].Attempt
		if !logs[i].Live || len(logs[i].Lines) == 0 {
			continue
		}
		if err := w.exec(ctx, deleteLive, string(k.Run), k.Step, k.Item, k.Attempt); err != nil {
			return err
		}
	}
	return nil
}

// RunLogs returns what the attempts of a run logged, by step, item and attempt.
func (db *DB) RunLogs(ctx context.Context, tenant automation.TenantID, run automation.RunID, after automation.AttemptKey, limit int) ([]store.AttemptLogs, error) {
	if err := db.checkRun(ctx, tenant, run, limit); err != nil {
		return nil, err
	}
	chunks, err := list(ctx, db, scanLive, selectRunLive, string(run), after.Step, after.Item, after.Attempt, limit)
	if err != nil {
		return nil, err
	}
	whole, err := list(ctx, db, scanLogs, selectRunLogs, string(run), after.Step, after.Item, after.Attempt, limit)
	return store.JoinLogs(chunks, whole, limit), err
}

// LogsSince returns what attempts of a run have logged behind marks.
func (db *DB) LogsSince(ctx context.Context, tenant automation.TenantID, run automation.RunID, marks []store.LogMark, limit int) ([]store.AttemptLogs, error) {
	if err := db.checkRun(ctx, tenant, run, limit); err != nil {
		return nil, err
	}
	rows := make([][4]int, len(marks))
	for i, m := range marks {
		rows[i] = [4]int{m.Attempt.Step, m.Attempt.Item, m.Attempt.Attempt, m.Chunk}
	}
	text, err := json.Marshal(rows)
	if err != nil {
		return nil, automation.AsError(err)
	}
	chunks, err := list(ctx, db, scanLive, selectLiveSince, string(run), string(text), limit)
	if err != nil {
		return nil, err
	}
	whole, err := list(ctx, db, scanLogs, selectLogsOf, string(run), string(text), limit)
	return store.JoinLogs(chunks, whole, limit), err
}

func scanLive(row scanner) (store.LiveLog, error) {
	var l store.LiveLog
	var encoding int
	var body []byte
	err := row.Scan(&l.Tenant, &l.Attempt.Run, &l.Attempt.Step, &l.Attempt.Item, &l.Attempt.Attempt, &l.Chunk, &encoding, &body)
	if err != nil {
		return l, err
	}
	l.Lines, err = store.DecodeLogs(body, encoding)
	return l, err
}

func scanLogs(row scanner) (store.AttemptLogs, error) {
	var l store.AttemptLogs
	var encoding int
	var body []byte
	err := row.Scan(&l.Tenant, &l.Attempt.Run, &l.Attempt.Step, &l.Attempt.Item, &l.Attempt.Attempt, &encoding, &body)
	if err != nil {
		return l, err
	}
	l.Lines, err = store.DecodeLogs(body, encoding)
	return l, err
}
