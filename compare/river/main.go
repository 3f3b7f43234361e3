// Command river measures River (riverqueue.com), a queue of jobs on PostgreSQL, on
// the work that OpsConductor's own benchmarks do: no-op jobs. It prints one JSON
// object a line. RIVER_DSN names an empty database.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

// noop is a job that does nothing; a link of a chain inserts the next one.
type noop struct {
	Left int `json:"left"` // links after this one
}

// Kind implements river.JobArgs.
func (noop) Kind() string { return "noop" }

type worker struct {
	river.WorkerDefaults[noop]
	done chan struct{} // one for each chain that has ended
}

// Work implements river.Worker.
func (w *worker) Work(ctx context.Context, j *river.Job[noop]) error {
	switch {
	case j.Args.Left > 1:
		_, err := river.ClientFromContext[pgx.Tx](ctx).Insert(ctx, noop{j.Args.Left - 1}, nil)
		return err
	case j.Args.Left == 1:
		w.done <- struct{}{}
	}
	return nil
}

// result is one line of what is printed.
type result struct {
	Peer     string  `json:"peer"`
	Version  string  `json:"version"`
	Name     string  `json:"name"` // drain, independent or chain
	Steps    int     `json:"steps"`
	Seconds  float64 `json:"seconds"`
	PerS     float64 `json:"steps_per_s,omitempty"`
	P50MS    float64 `json:"ms_per_step_p50,omitempty"`
	Settings string  `json:"settings"`
}

const settings = "1,000 workers, fetch cooldown 1 ms, poll 50 ms, pgx pool of 20"

type bench struct {
	pool   *pgxpool.Pool
	client *river.Client[pgx.Tx]
	worker *worker
	out    *json.Encoder
}

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "river:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer) error {
	n := 20_000
	if len(os.Args) > 1 {
		var err error
		if n, err = strconv.Atoi(os.Args[1]); err != nil || n < 1 {
			return errors.New("usage: river [STEPS]")
		}
	}
	cfg, err := pgxpool.ParseConfig(os.Getenv("RIVER_DSN"))
	if err != nil {
		return errors.New("RIVER_DSN is not the URL of a database")
	}
	cfg.MaxConns = 20
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return err
	}
	defer pool.Close()
	migrator, err := rivermigrate.New(riverpgxv5.New(pool), nil)
	if err != nil {
		return err
	}
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return err
	}
	b := &bench{pool: pool, worker: &worker{done: make(chan struct{}, 1)}, out: json.NewEncoder(out)}
	workers := river.NewWorkers()
	river.AddWorker(workers, b.worker)
	b.client, err = river.NewClient(riverpgxv5.New(pool), &river.Config{
		Queues:  map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: 1000}},
		Workers: workers, Logger: slog.New(slog.DiscardHandler),
		FetchCooldown: time.Millisecond, FetchPollInterval: 50 * time.Millisecond,
	})
	if err != nil {
		return err
	}
	if err := b.fill(ctx, n); err != nil {
		return err
	}
	if err := b.drain(ctx, n); err != nil {
		return err
	}
	if err := b.independent(ctx, n); err != nil {
		return err
	}
	if err := b.chain(ctx, 50, 20); err != nil {
		return err
	}
	return b.client.Stop(ctx)
}

// fill inserts jobs in bulk, as fast as River can.
func (b *bench) fill(ctx context.Context, n int) error {
	params := make([]river.InsertManyParams, n)
	for i := range params {
		params[i].Args = noop{}
	}
	for part := range slices.Chunk(params, 5000) {
		if _, err := b.client.InsertManyFast(ctx, part); err != nil {
			return err
		}
	}
	return nil
}

// drain measures jobs that are in the queue already, to the last one's commit.
func (b *bench) drain(ctx context.Context, n int) error {
	began := time.Now()
	if err := b.client.Start(ctx); err != nil {
		return err
	}
	if err := b.completed(ctx, n); err != nil {
		return err
	}
	return b.say("drain", n, time.Since(began))
}

// independent measures jobs that 256 callers insert, each in a transaction of its
// own, while workers run.
func (b *bench) independent(ctx context.Context, n int) error {
	before := 0
	if err := b.pool.QueryRow(ctx, "SELECT count(*) FROM river_job WHERE state = 'completed'").Scan(&before); err != nil {
		return err
	}
	began := time.Now()
	var left atomic.Int64
	left.Store(int64(n))
	var group sync.WaitGroup
	failures := make(chan error, 256)
	for range 256 {
		group.Go(func() {
			for left.Add(-1) >= 0 {
				if _, err := b.client.Insert(ctx, noop{}, nil); err != nil {
					failures <- err
					return
				}
			}
		})
	}
	group.Wait()
	select {
	case err := <-failures:
		return err
	default:
	}
	if err := b.completed(ctx, before+n); err != nil {
		return err
	}
	return b.say("independent", n, time.Since(began))
}

// chain measures jobs each of which inserts the next when it works.
func (b *bench) chain(ctx context.Context, chains, links int) error {
	var all []time.Duration
	for range chains {
		began := time.Now()
		if _, err := b.client.Insert(ctx, noop{links}, nil); err != nil {
			return err
		}
		<-b.worker.done
		all = append(all, time.Since(began)/time.Duration(links))
	}
	slices.Sort(all)
	return b.out.Encode(result{
		Peer: "River", Version: version(), Name: "chain", Steps: chains * links, P50MS: float64(all[len(all)/2].Microseconds()) / 1000, Settings: settings,
	})
}

// completed returns when the database has n completed jobs.
func (b *bench) completed(ctx context.Context, n int) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		var got int
		if err := b.pool.QueryRow(ctx, "SELECT count(*) FROM river_job WHERE state = 'completed'").Scan(&got); err != nil {
			return err
		}
		if got >= n {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

func (b *bench) say(name string, n int, took time.Duration) error {
	return b.out.Encode(result{
		Peer: "River", Version: version(), Name: name, Steps: n, Seconds: took.Seconds(), PerS: float64(n) / took.Seconds(), Settings: settings,
	})
}

func version() string {
	info, _ := debug.ReadBuildInfo()
	for _, m := range info.Deps {
		if m.Path == "github.com/riverqueue/river" {
			return m.Version
		}
	}
	return ""
}
