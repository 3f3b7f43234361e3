package postgres_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// TestOldTransaction: while a transaction stays open, PostgreSQL keeps all versions
// of a row. A commit does not look at those of the commits before: it reads no more
// pages after 10,000 of them.
func TestOldTransaction(t *testing.T) {
	t.Parallel()
	url := database(t)
	open(t, url) // makes the tables
	old, conn := connect(t, url), connect(t, url)
	if _, err := old.Exec(t.Context(), `BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM shards`); err != nil {
		t.Fatal(err)
	}
	const commits, each = 10_000, 500
	for from := 1; from <= commits; from += each {
		var b strings.Builder
		for n := from; n < from+each; n++ { // COMMIT: each is a transaction of its own
			fmt.Fprintf(&b, `SELECT next_numbers(0, 1); COMMIT; SELECT lock_heads(ARRAY['t']); SELECT move_heads(ARRAY['t'], ARRAY[%d], ARRAY[%d], ARRAY['x'::bytea]); COMMIT; `, n-1, n)
		}
		if _, err := conn.PgConn().Exec(t.Context(), b.String()).ReadAll(); err != nil {
			t.Fatal(err)
		}
	}
	for _, statement := range []string{`SELECT next_numbers(0, 1)`, `SELECT lock_heads(ARRAY['t'])`, `SELECT move_heads(ARRAY['t'], ARRAY[10000], ARRAY[10001], ARRAY['x'::bytea])`} {
		pages(t, conn, statement) // what is planned once is planned
		n := pages(t, conn, statement)
		t.Logf("%s: %d pages", statement, n)
		if n > 40 {
			t.Errorf("%s reads %d pages after %d commits", statement, n, commits)
		}
	}
	var last int64
	if err := conn.QueryRow(t.Context(), `SELECT next_numbers(0, 0)`).Scan(&last); err != nil || last != commits {
		t.Errorf("the last number is %d (%v), want %d", last, err, commits)
	}
}

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(t.Context()) })
	return conn
}

// pages returns how many pages a statement looks at; what it does is undone.
func pages(t *testing.T, conn *pgx.Conn, statement string) int {
	t.Helper()
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(t.Context()) }()
	var body []byte
	if err := tx.QueryRow(t.Context(), `EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) `+statement).Scan(&body); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
	var plans []struct {
		Plan struct {
			Hit  int `json:"Shared Hit Blocks"`
			Read int `json:"Shared Read Blocks"`
		}
	}
	if err := json.Unmarshal(body, &plans); err != nil {
		t.Fatal(err)
	}
	return plans[0].Plan.Hit + plans[0].Plan.Read
}
