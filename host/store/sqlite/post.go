package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
)

const (
	insertDelivery = `INSERT INTO deliveries (shard, host_id, epoch, kind, body)`
	deleteReports  = `DELETE FROM reports WHERE shard = ? AND host_id = ? AND (epoch, number) <= (?, ?)`

	selectDeliveries = `SELECT host_id, epoch, number, kind, body FROM deliveries
		WHERE shard = ? AND host_id = ? AND epoch = ? AND number > ? ORDER BY number LIMIT ?`

	holdHost         = `SELECT 1 FROM hosts WHERE id = ? AND epoch = ?`
	insertReport     = `INSERT INTO reports (shard, host_id, epoch, number, body)`
	keepFirstReport  = ` ON CONFLICT DO NOTHING`
	deleteDeliveries = `DELETE FROM deliveries WHERE shard = ? AND host_id = ? AND epoch = ? AND number <= ?`

	selectReports = `SELECT host_id, epoch, number, body FROM reports
		WHERE shard = ? AND host_id = ? AND (epoch, number) > (?, ?) ORDER BY epoch, number LIMIT ?`
)

// post adds what a batch delivers to hosts, and removes the reports that it has read.
func (w *writer) post(ctx context.Context, b *store.Batch) error {
	args := make([]any, 0, 5*len(b.Deliveries))
	for _, d := range b.Deliveries {
		body, err := store.EncodeDelivery(d)
		if err != nil {
			return automation.AsError(err)
		}
		args = append(args, b.Shard, string(d.Host), d.Epoch, string(d.Kind), body)
	}
	if err := w.insert(ctx, insertDelivery, "", 5, args); err != nil {
		return err
	}
	for _, c := range b.Read {
		if err := w.exec(ctx, deleteReports, b.Shard, string(c.Host), c.Epoch, c.Number); err != nil {
			return err
		}
	}
	return nil
}

// Deliveries returns what the leader has for a host's epoch after a number.
func (db *DB) Deliveries(ctx context.Context, shard int, to store.Cursor, limit int) ([]store.Delivery, error) {
	if err := store.CheckLimit(limit); err != nil {
		return nil, err
	}
	return list(ctx, db, scanDelivery, selectDeliveries, shard, string(to.Host), to.Epoch, to.Number, limit)
}

func scanDelivery(row scanner) (store.Delivery, error) {
	var d store.Delivery
	var body sql.RawBytes
	if err := row.Scan(&d.Host, &d.Epoch, &d.Number, &d.Kind, &body); err != nil {
		return d, err
	}
	return d, store.DecodeDelivery(body, &d)
}

// PutReports stores reports of one host's epoch, and removes its deliveries up to
// taken.Number.
func (db *DB) PutReports(ctx context.Context, shard int, taken store.Cursor, reports []store.Report) error {
	args := make([]any, 0, 5*len(reports))
	for _, r := range reports {
		body, err := store.EncodeReport(r)
		if err != nil {
			return automation.AsError(err)
		}
		args = append(args, shard, string(taken.Host), taken.Epoch, r.Number, body)
	}
	var topics store.Topics
	if len(reports) > 0 {
		topics = store.Topics{store.TopicReports}
	}
	return db.write(ctx, topics, func(ctx context.Context, w *writer) error {
		var one int
		err := w.row(ctx, holdHost, string(taken.Host), taken.Epoch).Scan(&one)
		if errors.Is(err, sql.ErrNoRows) {
			return store.Fenced("report")
		}
		if err != nil {
			return err
		}
		if err := w.insert(ctx, insertReport, keepFirstReport, 5, args); err != nil {
			return err
		}
		return w.exec(ctx, deleteDeliveries, shard, string(taken.Host), taken.Epoch, taken.Number)
	})
}

// Reports returns the reports of each named host after its cursor.
func (db *DB) Reports(ctx context.Context, shard int, after []store.Cursor, limit int) ([]store.Report, error) {
	if err := store.CheckLimit(limit); err != nil {
		return nil, err
	}
	var all []store.Report
	for _, c := range after {
		one, err := list(ctx, db, scanReport, selectReports, shard, string(c.Host), c.Epoch, c.Number, limit)
		if err != nil {
			return nil, err
		}
		all = append(all, one...)
	}
	return all, nil
}

func scanReport(row scanner) (store.Report, error) {
	var r store.Report
	var body sql.RawBytes
	if err := row.Scan(&r.Host, &r.Epoch, &r.Number, &body); err != nil {
		return r, err
	}
	return r, store.DecodeReport(body, &r)
}
