package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
)

const (
	insertDeliveries = `INSERT INTO deliveries (shard, host_id, epoch, kind, body)
		SELECT $1, u.host_id, u.epoch, u.kind, u.body
		FROM unnest($2::text[], $3::bigint[], $4::text[], $5::bytea[]) WITH ORDINALITY AS u (host_id, epoch, kind, body, n) ORDER BY u.n`
	deleteReports = `DELETE FROM reports r USING unnest($2::text[], $3::bigint[], $4::bigint[]) AS u (host_id, epoch, number)
		WHERE r.shard = $1 AND r.host_id = u.host_id AND (r.epoch, r.number) <= (u.epoch, u.number)`

	selectDeliveries = `SELECT host_id, epoch, number, kind, body FROM deliveries
		WHERE shard = $1 AND host_id = $2 AND epoch = $3 AND number > $4 ORDER BY number LIMIT $5`

	// The fence of a host's commit; it ends the pipeline when the epoch is over.
	holdHost      = `SELECT hold_host($1, $2)`
	insertReports = `INSERT INTO reports (shard, host_id, epoch, number, body)
		SELECT $1, $2, $3, * FROM unnest($4::bigint[], $5::bytea[]) ON CONFLICT DO NOTHING`
	deleteDeliveries = `DELETE FROM deliveries WHERE shard = $1 AND host_id = $2 AND epoch = $3 AND number <= $4`

	selectReports = `SELECT r.host_id, r.epoch, r.number, r.body FROM unnest($2::text[], $3::bigint[], $4::bigint[]) AS u (host_id, epoch, number)
		CROSS JOIN LATERAL (SELECT * FROM reports r WHERE r.shard = $1 AND r.host_id = u.host_id AND (r.epoch, r.number) > (u.epoch, u.number)
			ORDER BY r.epoch, r.number LIMIT $5) r ORDER BY r.host_id, r.epoch, r.number`
)

// queuePost adds what a batch delivers to hosts, and removes the reports that it has read.
func queuePost(p *pgx.Batch, b store.Batch) error {
	if len(b.Deliveries) > 0 {
		var hosts, kinds []string
		var epochs []int64
		var bodies [][]byte
		for _, d := range b.Deliveries {
			body, err := store.EncodeDelivery(d)
			if err != nil {
				return err
			}
			hosts, epochs = append(hosts, string(d.Host)), append(epochs, d.Epoch)
			kinds, bodies = append(kinds, string(d.Kind)), append(bodies, body)
		}
		p.Queue(insertDeliveries, b.Shard, hosts, epochs, kinds, bodies)
	}
	if len(b.Read) > 0 {
		hosts, epochs, numbers := columns(b.Read)
		p.Queue(deleteReports, b.Shard, hosts, epochs, numbers)
	}
	return nil
}

func columns(list []store.Cursor) (hosts []string, epochs, numbers []int64) {
	for _, c := range list {
		hosts, epochs, numbers = append(hosts, string(c.Host)), append(epochs, c.Epoch), append(numbers, c.Number)
	}
	return hosts, epochs, numbers
}

// Deliveries returns what the leader has for a host's epoch after a number.
func (db *DB) Deliveries(ctx context.Context, shard int, to store.Cursor, limit int) ([]store.Delivery, error) {
	if err := store.CheckLimit(limit); err != nil {
		return nil, err
	}
	return list(ctx, db, scanDelivery, selectDeliveries, shard, string(to.Host), to.Epoch, to.Number, limit)
}

func scanDelivery(row pgx.Row) (store.Delivery, error) {
	var d store.Delivery
	var body []byte
	if err := row.Scan(&d.Host, &d.Epoch, &d.Number, &d.Kind, &body); err != nil {
		return d, err
	}
	return d, store.DecodeDelivery(body, &d)
}

// PutReports stores reports of one host's epoch, and removes its deliveries up to
// taken.Number, in one round trip.
func (db *DB) PutReports(ctx context.Context, shard int, taken store.Cursor, reports []store.Report) error {
	numbers, bodies := make([]int64, len(reports)), make([][]byte, len(reports))
	for i, r := range reports {
		body, err := store.EncodeReport(r)
		if err != nil {
			return automation.AsError(err)
		}
		numbers[i], bodies[i] = r.Number, body
	}
	var topics store.Topics
	if len(reports) > 0 {
		topics = store.Topics{store.TopicReports}
	}
	return db.write(ctx, topics, func(ctx context.Context) error {
		p := &pgx.Batch{}
		p.Queue(holdHost, string(taken.Host), taken.Epoch)
		if len(reports) > 0 {
			p.Queue(insertReports, shard, string(taken.Host), taken.Epoch, numbers, bodies)
		}
		if taken.Number > 0 {
			p.Queue(deleteDeliveries, shard, string(taken.Host), taken.Epoch, taken.Number)
		}
		return db.pool.SendBatch(ctx, p).Close()
	})
}

// Reports returns the reports of each named host after its cursor.
func (db *DB) Reports(ctx context.Context, shard int, after []store.Cursor, limit int) ([]store.Report, error) {
	if err := store.CheckLimit(limit); err != nil {
		return nil, err
	}
	hosts, epochs, numbers := columns(after)
	return list(ctx, db, scanReport, selectReports, shard, hosts, epochs, numbers, limit)
}

func scanReport(row pgx.Row) (store.Report, error) {
	var r store.Report
	var body []byte
	if err := row.Scan(&r.Host, &r.Epoch, &r.Number, &body); err != nil {
		return r, err
	}
	return r, store.DecodeReport(body, &r)
}
