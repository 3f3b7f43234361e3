package scheduler_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/scheduler"
	"opsconductor.dev/host/store"
	"opsconductor.dev/host/store/postgres"
	"opsconductor.dev/host/store/postgres/privatepg"
	"opsconductor.dev/host/store/sqlite"
	"opsconductor.dev/host/worker"
	"opsconductor.dev/host/workflow"
)

// cluster is the PostgreSQL server of the tests.
var cluster *privatepg.Cluster //nolint:gochecknoglobals // one server for the test binary

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	var err error
	cluster, err = privatepg.Start(context.Background(), privatepg.Config{Settings: map[string]string{"fsync": "off"}})
	if err != nil {
		fmt.Fprintln(os.Stderr, "start PostgreSQL:", err)
		return 1
	}
	code := m.Run()
	if err := errors.Join(cluster.Stop(), goleak.Find()); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// executor is a func as an Executor.
type executor func(ctx context.Context, a automation.Attempt, intent worker.Intent) automation.Outcome

func (e executor) Execute(ctx context.Context, a automation.Attempt, intent worker.Intent) automation.Outcome {
	return e(ctx, a, intent)
}

// fixture is a store on disk and what it takes to submit to it.
type fixture struct {
	t    testing.TB
	path string // of SQLite's file
	url  string // of PostgreSQL's database; "": SQLite
	st   store.Store
}

// onBoth runs a test on both stores.
func onBoth(t *testing.T, test func(t *testing.T, setup func(testing.TB) *fixture)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { t.Parallel(); test(t, setup) })
	t.Run("postgres", func(t *testing.T) { t.Parallel(); test(t, setupPostgres) })
}

func setupPostgres(t testing.TB) *fixture {
	t.Helper()
	url, err := cluster.CreateDatabase(t.Context(), "t"+strings.ToLower(rand.Text()))
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{t: t, url: url}
	f.open()
	t.Cleanup(func() { _ = f.st.Close() })
	return f
}

func setup(t testing.TB) *fixture {
	t.Helper()
	f := &fixture{t: t, path: filepath.Join(t.TempDir(), "store.db")}
	f.open()
	t.Cleanup(func() { _ = f.st.Close() })
	return f
}

func (f *fixture) open() {
	f.t.Helper()
	var err error
	if f.url != "" {
		f.st, err = postgres.Open(f.t.Context(), postgres.Config{URL: f.url})
	} else {
		f.st, err = sqlite.Open(f.t.Context(), sqlite.Config{Path: f.path})
	}
	if err != nil {
		f.t.Fatal(err)
	}
}

func steps(effect automation.Effect, n int) *workflow.Plan {
	p := &workflow.Plan{Schema: "opsconductor/plan/v1", Workflow: "w", Inputs: json.RawMessage(`{}`)}
	for i := range n {
		s := workflow.PlanStep{
			ID: string(rune('a' + i)), Plugin: "core", Version: "1.0.0", Action: "noop", Effect: effect,
			With: json.RawMessage(`{}`), Constant: true, Retry: workflow.Retry{MaxAttempts: 1}, Timeout: time.Minute,
		}
		if i > 0 {
			s.Needs = []int{i - 1}
		}
		p.Steps = append(p.Steps, s)
	}
	return p
}

// submit stores a plan and accepts a run of it.
func (f *fixture) submit(p *workflow.Plan) automation.RunID {
	f.t.Helper()
	b, err := p.Encode()
	if err != nil {
		f.t.Fatal(err)
	}
	if err := f.st.PutPlan(f.t.Context(), automation.DefaultTenant, p.Hash(), b, time.Now().UTC()); err != nil {
		f.t.Fatal(err)
	}
	return f.accept(p, p.Hash())
}

// accept accepts a run of a stored plan.
func (f *fixture) accept(p *workflow.Plan, hash automation.Digest) automation.RunID {
	f.t.Helper()
	now := time.Now().UTC()
	run := automation.Run{
		ID: automation.NewID[automation.RunID](), Tenant: automation.DefaultTenant, Workflow: p.Workflow,
		PlanHash: hash, State: automation.RunQueued, By: "test", Created: now,
	}
	act := automation.Act{Tenant: run.Tenant, By: "test", Action: "run.submit", Object: string(run.ID), At: now}
	if _, created, err := f.st.Accept(f.t.Context(), run, act); err != nil || !created {
		f.t.Fatalf("accept: %v, created %v", err, created)
	}
	return run.ID
}

// start runs a loop in the background; stop ends it and waits.
func (f *fixture) start(st scheduler.Store, e worker.Executor) (stop func()) {
	f.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	l := scheduler.New(scheduler.Config{
		Store: st, Executor: e, Host: "01900000-0000-7000-8000-000000000001", Name: "h", Slots: 16, Alone: true, Drain: time.Millisecond,
	})
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := l.Run(ctx); err != nil {
			f.t.Errorf("the loop ended: %v", err)
		}
	})
	var once sync.Once
	stop = func() { once.Do(func() { cancel(); wg.Wait() }) }
	f.t.Cleanup(stop)
	return stop
}

// await waits until the run's record satisfies ok.
func (f *fixture) await(id automation.RunID, ok func(automation.Run) bool) automation.Run {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), 20*time.Second)
	defer cancel()
	wake, stop := f.st.Wake(store.TopicEntries)
	defer stop()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for {
		run, err := f.st.Run(f.t.Context(), automation.DefaultTenant, id)
		if err != nil {
			f.t.Fatal(err)
		}
		if ok(run) {
			return run
		}
		select {
		case <-wake:
		case <-look.C:
		case <-ctx.Done():
			f.t.Fatalf("the run is still %s: %v", run.State, run.Error)
		}
	}
}

func ended(r automation.Run) bool { return r.State.Ended() }

// facts returns the kinds of the run's facts in order.
func (f *fixture) facts(id automation.RunID) []automation.FactKind {
	f.t.Helper()
	entries, err := f.st.RunEntries(f.t.Context(), automation.DefaultTenant, id, 0, 1000)
	if err != nil {
		f.t.Fatal(err)
	}
	var kinds []automation.FactKind
	for _, e := range entries {
		for _, fact := range e.Facts {
			kinds = append(kinds, fact.Kind)
		}
	}
	return kinds
}
