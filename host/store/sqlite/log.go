package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
)

// The sources of an entry (entries.source).
const (
	fromLeader   = 0
	fromAcceptor = 1
)

const (
	// Fence and numbering are one statement: the writer lock holds until the commit.
	takeNumbersAsLeader = `UPDATE shards SET seq = seq + ? WHERE shard = ? AND leader = ? AND leader_epoch = ? RETURNING seq`

	insertEntry   = `INSERT INTO entries (shard, seq, run_id, source, body)`
	raiseRunSeq   = `UPDATE runs SET seq = ? WHERE id = ? AND shard = ?`
	deleteCommand = `DELETE FROM commands WHERE id = ? AND shard = ?`
	insertLogs    = `INSERT INTO attempt_logs (run_id, step, item, attempt, tenant, encoding, body)`
	keepFirstLogs = ` ON CONFLICT DO NOTHING`
)

// Append commits a batch and sets the Shard and Seq of its entries.
func (db *DB) Append(ctx context.Context, b store.Batch) error {
	bodies := make([][]byte, len(b.Entries))
	for i, e := range b.Entries {
		var err error
		if bodies[i], err = store.EncodeFacts(e.Facts); err != nil {
			return automation.AsError(err)
		}
	}
	logs, err := logRows(b.Logs)
	if err != nil {
		return automation.AsError(err)
	}
	accepted, err := store.CheckAccepted(b)
	if err != nil {
		return err
	}
	b.Accepted = accepted
	var last int64
	err = db.write(ctx, store.BatchTopics(&b), func(ctx context.Context, w *writer) error {
		err := w.row(ctx, takeNumbersAsLeader, len(b.Entries), b.Shard, string(b.Host), b.Epoch).Scan(&last)
		if errors.Is(err, sql.ErrNoRows) {
			return store.Fenced("append to the log")
		}
		if err != nil {
			return err
		}
		return w.append(ctx, b, last-int64(len(b.Entries))+1, bodies, logs)
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

func (w *writer) append(ctx context.Context, b store.Batch, first int64, bodies [][]byte, logs []any) error {
	args := make([]any, 0, 5*len(b.Entries))
	newest := make(map[automation.RunID]int64, len(b.Entries))
	for i, e := range b.Entries {
		seq := first + int64(i)
		args = append(args, b.Shard, seq, string(e.Run), fromLeader, bodies[i])
		newest[e.Run] = seq
	}
	if err := w.insertAccepted(ctx, b.Accepted, newest); err != nil {
		return err
	}
	if err := w.insert(ctx, insertEntry, "", 5, args); err != nil {
		return err
	}
	for _, u := range b.Runs {
		if err := w.updateRun(ctx, b.Shard, u, newest); err != nil {
			return err
		}
	}
	for run, seq := range newest { // of runs whose record has no other change
		n, err := w.changed(ctx, raiseRunSeq, seq, string(run), b.Shard)
		if err != nil {
			return err
		}
		if n == 0 {
			return store.NotFound("run in this shard: an entry has no run")
		}
	}
	for _, id := range b.Commands {
		if err := w.exec(ctx, deleteCommand, string(id), b.Shard); err != nil {
			return err
		}
	}
	if err := w.buckets(ctx, &b); err != nil {
		return err
	}
	if err := w.post(ctx, &b); err != nil {
		return err
	}
	if err := w.approvals(ctx, b.Approvals); err != nil {
		return err
	}
	if err := w.insert(ctx, insertLogs, keepFirstLogs, 7, logs); err != nil {
		return err
	}
	return w.dropLive(ctx, b.Logs)
}

func logRows(logs []store.AttemptLogs) ([]any, error) {
	var args []any
	for _, l := range logs {
		if len(l.Lines) == 0 {
			continue
		}
		body, encoding, err := store.EncodeLogs(l.Lines)
		if err != nil {
			return nil, err
		}
		k := l.Attempt
		args = append(args, string(k.Run), k.Step, k.Item, k.Attempt, string(l.Tenant), encoding, body)
	}
	return args, nil
}

const (
	selectShardSeq = `SELECT coalesce(max(seq), 0) FROM shards WHERE shard = ?`
	replayEntries  = `SELECT e.shard, e.seq, e.run_id, e.body FROM runs r CROSS JOIN entries e ON e.run_id = r.id
		WHERE r.shard = ? AND r.state IN ('awaiting_approval', 'queued', 'running', 'paused') ORDER BY e.seq`
)

// Replay calls yield with every entry of every open run of the shard, by number,
// from one snapshot, and returns the shard's last number in it. The entries are
// read as yield takes them.
func (db *DB) Replay(ctx context.Context, shard int, yield func(automation.Entry) error) (last int64, err error) {
	var stop error // yield's own error goes back as it is
	err = db.read(ctx, func() error {
		tx, err := db.reads.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback() }()
		if err := tx.QueryRowContext(ctx, selectShardSeq, shard).Scan(&last); err != nil {
			return err
		}
		rows, err := tx.QueryContext(ctx, replayEntries, shard)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
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

func scanEntry(row scanner) (automation.Entry, error) {
	var e automation.Entry
	var body sql.RawBytes
	if err := row.Scan(&e.Shard, &e.Seq, &e.Run, &body); err != nil {
		return e, err
	}
	facts, err := store.DecodeFacts(body)
	e.Facts = facts
	return e, err
}

const selectAccepted = `SELECT shard, seq, run_id, body FROM entries
	WHERE shard = ? AND seq > ? AND source = 1 ORDER BY seq LIMIT ?`

// Accepted returns the entries that acceptors added after a number, by number.
func (db *DB) Accepted(ctx context.Context, shard int, after int64, limit int) ([]automation.Entry, error) {
	if err := store.CheckLimit(limit); err != nil {
		return nil, err
	}
	return list(ctx, db, scanEntry, selectAccepted, shard, after, limit)
}

const (
	selectRunKnown   = `SELECT 1 FROM runs WHERE id = ? AND tenant = ?`
	selectRunEntries = `SELECT shard, seq, run_id, body FROM entries WHERE run_id = ? AND seq > ? ORDER BY seq LIMIT ?`
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

func scanInt(row scanner) (n int64, err error) { return n, row.Scan(&n) }
