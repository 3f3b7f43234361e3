package postgres_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store/storetest"
)

// TestNumbersOutsideOfTheCommitAreMissed shows that the suite's follower can
// fail: an acceptor that takes its number in a transaction of its own, and
// commits its entry later, is missed by a reader that goes by number.
func TestNumbersOutsideOfTheCommitAreMissed(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		apart  bool // the number is committed before the entry
		missed int
	}{{"inside", false, 0}, {"outside", true, 1}} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			url := database(t)
			db := open(t, url)
			pool, err := pgxpool.New(t.Context(), url)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(pool.Close)
			numbered, first := make(chan struct{}), make(chan struct{}, 1)
			first <- struct{}{}
			missed := storetest.FollowWhile(t, db, 2, 1, func(f *storetest.Follower) (automation.RunID, error) {
				select {
				case <-first: // the slow one: takes number 1 and waits for the reader to see number 2
					return slow(t.Context(), pool, f, tt.apart, numbered)
				default:
				}
				<-numbered
				id := automation.NewID[automation.RunID]()
				return id, insert(t.Context(), pool, id, take)
			})
			if len(missed) != tt.missed {
				t.Errorf("the reader missed %d runs; want %d", len(missed), tt.missed)
			}
		})
	}
}

const (
	take       = `SELECT next_numbers(0, 1)`
	insertLate = `INSERT INTO entries (shard, seq, run_id, source, body) VALUES (0, $1, $2, 1, '[]')`
)

func slow(ctx context.Context, pool *pgxpool.Pool, f *storetest.Follower, apart bool, numbered chan struct{}) (automation.RunID, error) {
	id := automation.NewID[automation.RunID]()
	if !apart {
		return id, pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
			var seq int64
			if err := tx.QueryRow(ctx, take).Scan(&seq); err != nil {
				return err
			}
			close(numbered)
			if f.Seen.Load() >= seq { // the other one waits for this commit
				return fmt.Errorf("number %d is seen before %d", f.Seen.Load(), seq)
			}
			_, err := tx.Exec(ctx, insertLate, seq, string(id))
			return err
		})
	}
	var seq int64
	if err := pool.QueryRow(ctx, take).Scan(&seq); err != nil {
		return id, err
	}
	close(numbered)
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	again := time.NewTicker(time.Millisecond)
	defer again.Stop()
	for f.Seen.Load() <= seq {
		select {
		case <-again.C:
		case <-ctx.Done():
			return id, fmt.Errorf("number %d was not seen: %w", seq+1, ctx.Err())
		}
	}
	_, err := pool.Exec(ctx, insertLate, seq, string(id))
	return id, err
}

func insert(ctx context.Context, pool *pgxpool.Pool, id automation.RunID, take string) error {
	return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		var seq int64
		if err := tx.QueryRow(ctx, take).Scan(&seq); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, insertLate, seq, string(id))
		return err
	})
}
