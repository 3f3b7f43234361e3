package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
)

const (
	insertLive = `INSERT INTO live_logs (run_id, step, item, attempt, chunk, tenant, host_id, encoding, body)
		SELECT u.run_id, u.step, u.item, u.attempt, u.chunk, u.tenant, $1, u.encoding, u.body
		FROM unnest($2::text[], $3::int[], $4::int[], $5::int[], $6::int[], $7::text[], $8::smallint[], $9::bytea[])
			AS u (run_id, step, item, attempt, chunk, tenant, encoding, body)
		WHERE NOT EXISTS (SELECT 1 FROM attempt_logs a WHERE a.run_id = u.run_id AND a.step = u.step AND a.item = u.item AND a.attempt = u.attempt)
		ON CONFLICT DO NOTHING`
	deleteLive = `DELETE FROM live_logs l USING unnest($1::text[], $2::int[], $3::int[], $4::int[]) AS u (run_id, step, item, attempt)
		WHERE l.run_id = u.run_id AND l.step = u.step AND l.item = u.item AND l.attempt = u.attempt`

	selectRunLive = `SELECT tenant, run_id, step, item, attempt, chunk, encoding, body FROM live_logs
		WHERE run_id = $1 AND (step, item, attempt) IN (SELECT DISTINCT step, item, attempt FROM live_logs
			WHERE run_id = $1 AND (step, item, attempt) > ($2::int, $3::int, $4::int) ORDER BY step, item, attempt LIMIT $5)
		ORDER BY step, item, attempt, chunk`
	selectRunLogs = `SELECT tenant, run_id, step, item, attempt, encoding, body FROM attempt_logs
		WHERE run_id = $1 AND (step, item, attempt) > ($2::int, $3::int, $4::int) ORDER BY step, item, attempt LIMIT $5`

	marks = `SELECT DISTINCT * FROM unnest($2::int[], $3::int[], $4::int[], $5::int[]) AS m (step, item, attempt, chunk)`

	selectLiveSince = `WITH m AS (SELECT * FROM (` + marks + `) m WHERE EXISTS (SELECT 1 FROM live_logs l
			WHERE l.run_id = $1 AND l.step = m.step AND l.item = m.item AND l.attempt = m.attempt AND l.chunk > m.chunk)
			ORDER BY step, item, attempt LIMIT $6)
		SELECT l.tenant, l.run_id, l.step, l.item, l.attempt, l.chunk, l.encoding, l.body FROM m JOIN live_logs l
			ON l.run_id = $1 AND l.step = m.step AND l.item = m.item AND l.attempt = m.attempt AND l.chunk > m.chunk
		ORDER BY l.step, l.item, l.attempt, l.chunk`
	selectLogsOf = `SELECT l.tenant, l.run_id, l.step, l.item, l.attempt, l.encoding, l.body FROM (` + marks + `) m JOIN attempt_logs l
			ON l.run_id = $1 AND l.step = m.step AND l.item = m.item AND l.attempt = m.attempt
		ORDER BY l.step, l.item, l.attempt LIMIT $6`
)

// attempts are the columns of attempts' keys.
type attempts struct {
	runs                   []string
	steps, items, attempts []int32
}

func (a *attempts) add(k automation.AttemptKey) {
	a.runs = append(a.runs, string(k.Run))
	a.steps, a.items, a.attempts = append(a.steps, int32(k.Step)), append(a.items, int32(k.Item)), append(a.attempts, int32(k.Attempt)) //nolint:gosec // bounded by the limits of a workflow
}

// PutLiveLogs stores chunks of a host's attempts, in one round trip.
func (db *DB) PutLiveLogs(ctx context.Context, host automation.HostID, epoch int64, chunks []store.LiveLog) error {
	var keys attempts
	var numbers []int32
	var tenants []string
	var encodings []int16
	var bodies [][]byte
	for i := range chunks {
		body, encoding, err := store.EncodeLogs(chunks[i].Lines)
		if err != nil {
			return automation.AsError(err)
		}
		keys.add(chunks[i].Attempt)
		numbers = append(numbers, int32(chunks[i].Chunk))                                 //nolint:gosec // a chunk has a line, of which an attempt has few
		tenants, bodies = append(tenants, string(chunks[i].Tenant)), append(bodies, body) //nolint:gosec // no secret
		encodings = append(encodings, int16(encoding))                                    //nolint:gosec // 0 or 1
	}
	return db.write(ctx, store.LiveTopics(chunks), func(ctx context.Context) error {
		p := &pgx.Batch{}
		p.Queue(holdHost, string(host), epoch)
		if len(chunks) > 0 {
			p.Queue(insertLive, string(host), keys.runs, keys.steps, keys.items, keys.attempts, numbers, tenants, encodings, bodies)
		}
		return db.pool.SendBatch(ctx, p).Close()
	})
}

// queueDropLive removes the chunks of attempts whose whole log is stored now.
func queueDropLive(p *pgx.Batch, logs []store.AttemptLogs) {
	var keys attempts
	for i := range logs {
		if logs[i].Live && len(logs[i].Lines) > 0 {
			keys.add(logs[i].Attempt)
		}
	}
	if len(keys.runs) > 0 {
		p.Queue(deleteLive, keys.runs, keys.steps, keys.items, keys.attempts)
	}
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
	var keys attempts
	last := make([]int32, len(marks))
	for i := range marks {
		keys.add(marks[i].Attempt)
		last[i] = int32(marks[i].Chunk) //nolint:gosec // as it was stored
	}
	chunks, err := list(ctx, db, scanLive, selectLiveSince, string(run), keys.steps, keys.items, keys.attempts, last, limit)
	if err != nil {
		return nil, err
	}
	whole, err := list(ctx, db, scanLogs, selectLogsOf, string(run), keys.steps, keys.items, keys.attempts, last, limit)
	return store.JoinLogs(chunks, whole, limit), err
}

func scanLive(row pgx.Row) (store.LiveLog, error) {
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

func scanLogs(row pgx.Row) (store.AttemptLogs, error) {
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
