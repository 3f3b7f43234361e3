package postgres

import (
	"context"
	"errors"
	"slices"

	"github.com/jackc/pgx/v5"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
)

// The sources of an entry (entries.source).
const (
	fromLeader   = 0
	fromAcceptor = 1
)

const (
	// Fence and numbering in one; it ends the pipeline when the epoch is over.
	takeNumbers = `SELECT take_numbers($1, $2, $3, $4)`

	// lastNumber is the last of the numbers that this transaction has taken.
	lastNumber = `current_setting('opsconductor.last')::bigint`

	// insertEntries numbers the rows up to lastNumber.
	insertEntries = `INSERT INTO entries (shard, seq, run_id, source, body)
		SELECT $1, ` + lastNumber + ` - $2::bigint + u.n, u.run_id, $3, u.body
		FROM unnest($4::text[], $5::bytea[]) WITH ORDINALITY AS u (run_id, body, n)`

	// raiseRuns sets the seq of runs whose entries are the n-th of the commit. The
	// least and the greatest identifier keep it out of the partitions of other days.
	raiseRuns = `WITH changed AS (
			UPDATE runs r SET seq = ` + lastNumber + ` - $2::bigint + u.n FROM unnest($3::text[], $4::bigint[]) AS u (id, n)
			WHERE r.id = u.id AND r.shard = $1 AND r.id >= $5 AND r.id <= $6 RETURNING 1)
		SELECT require_count((SELECT count(*) FROM changed), cardinality($3::text[]))`

	deleteCommands = `DELETE FROM commands WHERE shard = $1 AND id = ANY ($2::text[])`
	insertLogs     = `INSERT INTO attempt_logs (run_id, step, item, attempt, tenant, encoding, body)
		SELECT * FROM unnest($1::text[], $2::int[], $3::int[], $4::int[], $5::text[], $6::smallint[], $7::bytea[])
		ON CONFLICT DO NOTHING`
)

// Append commits a batch in one round trip and sets the Shard and Seq of its
// entries.
func (db *DB) Append(ctx context.Context, b store.Batch) error {
	var last int64
	pipeline, err := appendPipeline(b, &last)
	if err != nil {
		return automation.AsError(err)
	}
	err = db.write(ctx, store.BatchTopics(&b), func(ctx context.Context) error {
		// Without a BEGIN the pipeline is one transaction (PostgreSQL's manual, 55.2.4).
		err := db.pool.SendBatch(ctx, pipeline).Close()
		if len(b.Accepted) > 0 && refersToNothing(err) {
			return store.NotFound("plan: store it before a run of it")
		}
		return err
	})
	if err != nil {
		return err
	}
	for i := range b.Entries {
		b.Entries[i].Shard = b.Shard
		b.Entries[i].Seq = last - int64(len(b.Entries)) + 1 + int64(i)
	}
	return nil
}

func appendPipeline(b store.Batch, last *int64) (*pgx.Batch, error) {
	runs, bodies := make([]string, len(b.Entries)), make([][]byte, len(b.Entries))
	newest := make(map[automation.RunID]int64, len(b.Entries))
	for i, e := range b.Entries {
		body, err := store.EncodeFacts(e.Facts)
		if err != nil {
			return nil, err
		}
		runs[i], bodies[i] = string(e.Run), body
		newest[e.Run] = int64(i) + 1
	}
	p := &pgx.Batch{}
	p.Queue(takeNumbers, b.Shard, len(b.Entries), string(b.Host), b.Epoch).QueryRow(func(row pgx.Row) error { return row.Scan(last) })
	if err := queueAccepted(p, b, newest); err != nil {
		return nil, err
	}
	if len(runs) > 0 {
		p.Queue(insertEntries, b.Shard, len(runs), fromLeader, runs, bodies)
	}
	if err := queueUpdates(p, b, newest); err != nil {
		return nil, err
	}
	if len(b.Commands) > 0 {
		p.Queue(deleteCommands, b.Shard, texts(b.Commands))
	}
	queueBuckets(p, b)
	if err := queuePost(p, b); err != nil {
		return nil, err
	}
	queueApprovals(p, b.Approvals)
	queueDropLive(p, b.Logs)
	return p, queueLogs(p, b.Logs)
}

// queueUpdates adds the changes of the runs' records: each run's number, and the
// updates in their order. newest is each run's place in the commit, from 1.
func queueUpdates(p *pgx.Batch, b store.Batch, newest map[automation.RunID]int64) error {
	for wave := range waves(b.Runs) {
		u, err := newRunUpdates(wave, newest)
		if err != nil {
			return err
		}
		p.Queue(updateRuns, b.Shard, len(b.Entries), u.ids, u.places, u.states, u.errors, u.started, u.ended, u.outputs, slices.Min(u.ids), slices.Max(u.ids))
	}
	if len(newest) == 0 {
		return nil
	}
	ids, places := make([]string, 0, len(newest)), make([]int64, 0, len(newest))
	for id, n := range newest { // of runs whose record has no other change
		ids, places = append(ids, string(id)), append(places, n)
	}
	p.Queue(raiseRuns, b.Shard, len(b.Entries), ids, places, slices.Min(ids), slices.Max(ids))
	return nil
}

func queueLogs(p *pgx.Batch, logs []store.AttemptLogs) error {
	var runs, tenants []string
	var steps, items, attempts []int32
	var encodings []int16
	var bodies [][]byte
	for _, l := range logs {
		if len(l.Lines) == 0 {
			continue
		}
		body, encoding, err := store.EncodeLogs(l.Lines)
		if err != nil {
			return err
		}
		k := l.Attempt
		runs, tenants, bodies = append(runs, string(k.Run)), append(tenants, string(l.Tenant)), append(bodies, body)
		steps, items, attempts = append(steps, int32(k.Step)), append(items, int32(k.Item)), append(attempts, int32(k.Attempt)) //nolint:gosec // bounded by the limits of a workflow
		encodings = append(encodings, int16(encoding))                                                                          //nolint:gosec // 0 or 1
	}
	if len(runs) > 0 {
		p.Queue(insertLogs, runs, steps, items, attempts, tenants, encodings, bodies)
	}
	return nil
}

func texts[T ~string](list []T) []string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = string(v)
	}
	return out
}

const (
	selectShardSeq = `SELECT coalesce((SELECT last FROM numbers WHERE shard = $1 ORDER BY last DESC LIMIT 1), 0)`
	replayEntries  = `SELECT e.shard, e.seq, e.run_id, e.body FROM runs r JOIN entries e ON e.run_id = r.id
		WHERE r.shard = $1 AND r.state IN ('awaiting_approval', 'queued', 'running', 'paused') ORDER BY e.seq`
)

// Replay calls yield with every entry of every open run of the shard, by number,
// from one snapshot, and returns the shard's last number in it. The entries are
// read as yield takes them.
func (db *DB) Replay(ctx context.Context, shard int, yield func(automation.Entry) error) (last int64, err error) {
	var stop error // yield's own error goes back as it is
	err = db.read(ctx, func() error {
		tx, err := db.pool.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
		if err := tx.QueryRow(ctx, selectShardSeq, shard).Scan(&last); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, replayEntries, shard)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			e, err := scanEntry(rows)
			if err != nil {
				return err
			}
			if stop = yield(e); stop != nil {
				return nil
			}
		}
		return rows.Err()
	})
	return last, errors.Join(stop, err)
}

func scanEntry(row pgx.Row) (automation.Entry, error) {
	var e automation.Entry
	var body []byte
	if err := row.Scan(&e.Shard, &e.Seq, &e.Run, &body); err != nil {
		return e, err
	}
	facts, err := store.DecodeFacts(body)
	e.Facts = facts
	return e, err
}

const selectAccepted = `SELECT shard, seq, run_id, body FROM entries
	WHERE shard = $1 AND seq > $2 AND source = 1 ORDER BY seq LIMIT $3`

// Accepted returns the entries that acceptors added after a number, by number.
func (db *DB) Accepted(ctx context.Context, shard int, after int64, limit int) ([]automation.Entry, error) {
	if err := store.CheckLimit(limit); err != nil {
		return nil, err
	}
	return list(ctx, db, scanEntry, selectAccepted, shard, after, limit)
}

const (
	selectRunKnown   = `SELECT 1 FROM runs WHERE id = $1 AND tenant = $2`
	selectRunEntries = `SELECT shard, seq, run_id, body FROM entries WHERE run_id = $1 AND seq > $2 ORDER BY seq LIMIT $3`
)

// RunEntries returns a run's entries after a number, by number.
func (db *DB) RunEntries(ctx context.Context, tenant automation.TenantID, run automation.RunID, after int64, limit int) ([]automation.Entry, error) {
	if err := db.checkRun(ctx, tenant, run, limit); err != nil {
		return nil, err
	}
	return list(ctx, db, scanEntry, selectRunEntries, string(run), after, limit)
}

// checkRun reports a run that the tenant does not have.
func (db *DB) checkRun(ctx context.Context, tenant automation.TenantID, run automation.RunID, limit int) error {
	if err := store.CheckLimit(limit); err != nil {
		return err
	}
	_, err := one(ctx, db, scanInt, "run", selectRunKnown, string(run), string(tenant))
	return err
}

func scanInt(row pgx.Row) (n int64, err error) { return n, row.Scan(&n) }
