package postgres

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
)

// accept is one caller of Accept, within a flush.
type accept struct {
	run  automation.Run
	body []byte // of its first entry
	act  automation.Act

	seq     int64          // its entry's number
	earlier automation.Run // with repeated: the run that the key stands for
	// repeated: the key was used before.
	repeated bool
	err      error
}

// Accept stores a run in state queued with its first entry and the act.
func (db *DB) Accept(ctx context.Context, run automation.Run, act automation.Act) (automation.Run, bool, error) {
	run, body, err := store.NewRun(run, act)
	if err != nil {
		return automation.Run{}, false, err
	}
	if act.Object == "" {
		act.Object = string(run.ID)
	}
	if err := db.gate.Enter(); err != nil {
		return automation.Run{}, false, err
	}
	defer db.gate.Leave()
	a := &accept{run: run, body: body, act: act}
	if err := db.accepts.Do(ctx, a); err != nil {
		return automation.Run{}, false, translate(ctx, err)
	}
	if a.err != nil {
		return automation.Run{}, false, a.err
	}
	if a.repeated {
		return a.earlier, false, nil
	}
	run.Seq = a.seq
	return run, true, nil
}

// flushAccepts commits the runs of several callers at once. When one of them
// makes the commit fail by its own fault, each is tried alone.
func (db *DB) flushAccepts(ctx context.Context, all []*accept) {
	together, alone := apart(all)
	err := db.commitAccepts(ctx, together)
	if err != nil && len(together) > 1 && ownFault(err) {
		alone = append(together, alone...)
	} else {
		settle(together, err)
	}
	for _, a := range alone {
		one := []*accept{a}
		settle(one, db.commitAccepts(ctx, one))
	}
}

// settle gives the error of a commit to all that were in it.
func settle(all []*accept, err error) {
	if err == nil {
		return
	}
	for _, a := range all {
		a.err = err
	}
}

// apart puts those aside whose idempotency key or run an earlier caller of the
// flush has too: they are answered after it.
func apart(all []*accept) (together, alone []*accept) {
	keys, runs := map[[4]string]bool{}, map[automation.RunID]bool{}
	for _, a := range all {
		key := [4]string{string(a.act.Tenant), a.act.By, a.act.Action, a.act.Key}
		if a.act.Key != "" && keys[key] || runs[a.run.ID] {
			alone = append(alone, a)
			continue
		}
		keys[key], runs[a.run.ID] = true, true
		together = append(together, a)
	}
	return together, alone
}

func (db *DB) commitAccepts(ctx context.Context, all []*accept) error {
	return db.commit(ctx, store.Topics{store.TopicInbox, store.TopicEntries}, func(ctx context.Context) error {
		conn, err := db.pool.Acquire(ctx)
		if err != nil {
			return err
		}
		defer conn.Release()
		err = acceptOn(ctx, conn, all)
		if err != nil {
			_, _ = conn.Exec(ctx, `ROLLBACK`)
		}
		return err
	})
}

// acceptOn is the transaction, in two round trips: the first takes keys and
// locks the audit heads, the second writes everything and commits.
func acceptOn(ctx context.Context, conn *pgxpool.Conn, all []*accept) error {
	for _, a := range all { // a second try starts afresh
		a.err, a.repeated = nil, false
	}
	heads, claimed, err := openAccepts(ctx, conn, all)
	if err != nil {
		return err
	}
	var fresh []*accept
	for _, a := range all {
		if a.act.Key == "" || claimed[keyOf(a)] {
			fresh = append(fresh, a)
			continue
		}
		if a.err = translate(ctx, lookUp(ctx, conn, a)); a.err != nil && !ownFault(a.err) {
			return a.err
		}
	}
	p := &pgx.Batch{}
	queueAudit(p, fresh, heads)
	for _, part := range byShard(fresh) {
		queueRuns(p, part)
	}
	p.Queue(`COMMIT`)
	err = conn.SendBatch(ctx, p).Close()
	if refersToNothing(err) {
		return store.NotFound("plan: store it before a run of it")
	}
	return err
}

func keyOf(a *accept) [4]string {
	return [4]string{string(a.act.Tenant), a.act.By, a.act.Action, a.act.Key}
}

// lookUp finds the run that a used key stands for.
func lookUp(ctx context.Context, conn *pgxpool.Conn, a *accept) error {
	id, _, err := used(ctx, conn, a.act)
	if err != nil {
		return err
	}
	a.repeated = true
	a.earlier, err = scanRun(conn.QueryRow(ctx, runByID, id, string(a.run.Tenant)))
	return gone(err, "run: it was made with this idempotency key, and removed since")
}

const (
	insertKeys = `INSERT INTO idempotency (tenant, by, action, key, request, object, at)
		SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::timestamptz[])
		ON CONFLICT DO NOTHING RETURNING tenant, by, action, key`
	lockHeads = `SELECT of_tenant, newest, newest_hash FROM lock_heads($1)`
)

// openAccepts begins the transaction, takes the keys, in order so that two
// processes can't wait for each other, and locks the tenants' audit heads.
func openAccepts(ctx context.Context, conn *pgxpool.Conn, all []*accept) (map[string]automation.AuditEntry, map[[4]string]bool, error) {
	heads, claimed := map[string]automation.AuditEntry{}, map[[4]string]bool{}
	p := &pgx.Batch{}
	p.Queue(`BEGIN`)
	if keys := newKeys(all); len(keys.keys) > 0 {
		p.Queue(insertKeys, keys.tenants, keys.by, keys.actions, keys.keys, keys.requests, keys.objects, keys.at).Query(func(rows pgx.Rows) error {
			for rows.Next() {
				var k [4]string
				if err := rows.Scan(&k[0], &k[1], &k[2], &k[3]); err != nil {
					return err
				}
				claimed[k] = true
			}
			return rows.Err()
		})
	}
	p.Queue(lockHeads, tenantsOf(all)).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			var e automation.AuditEntry
			if err := rows.Scan(&e.Tenant, &e.Seq, &e.Hash); err != nil {
				return err
			}
			heads[string(e.Tenant)] = e
		}
		return rows.Err()
	})
	return heads, claimed, conn.SendBatch(ctx, p).Close()
}

// keys is the columns of insertKeys.
type keys struct {
	tenants, by, actions, keys, requests, objects []string
	at                                            []*time.Time
}

func newKeys(all []*accept) keys {
	sorted := slices.Clone(all)
	slices.SortFunc(sorted, func(a, b *accept) int {
		ka, kb := keyOf(a), keyOf(b)
		return slices.Compare(ka[:], kb[:])
	})
	var k keys
	for _, a := range sorted {
		if a.act.Key == "" {
			continue
		}
		k.tenants, k.by = append(k.tenants, string(a.act.Tenant)), append(k.by, a.act.By)
		k.actions, k.keys = append(k.actions, a.act.Action), append(k.keys, a.act.Key)
		k.requests, k.objects = append(k.requests, string(a.act.Request)), append(k.objects, string(a.run.ID))
		k.at = append(k.at, moment(a.act.At))
	}
	return k
}

func tenantsOf(all []*accept) []string {
	var tenants []string
	for _, a := range all {
		tenants = append(tenants, string(a.run.Tenant))
	}
	slices.Sort(tenants)
	return slices.Compact(tenants)
}
