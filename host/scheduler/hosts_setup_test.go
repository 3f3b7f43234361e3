package scheduler_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/scheduler"
	"opsconductor.dev/host/store"
	"opsconductor.dev/host/store/postgres"
	"opsconductor.dev/host/worker"
	"opsconductor.dev/host/workflow"
)

// ttl is short, so that a dead host is found soon, and long enough for a machine
// that is busy.
const ttl = 1200 * time.Millisecond

// hostOf is a host of the tests: a loop over a store of its own.
type hostOf struct {
	id   automation.HostID
	st   *mortal
	stop func() // as SIGTERM does, and waits
	kill func() // as kill -9 does
}

// hostSettings are what the tests of many hosts set.
type hostSettings struct {
	slots   int
	drain   time.Duration
	ttl     time.Duration
	queues  []string
	silent  bool // it is never woken: it has to look by itself
	old     bool // it may not lead: a newer version has
	execute executor
	logs    worker.Logs
}

// join starts a host in the background, on its own connections to the database.
func (f *fixture) join(name string, s hostSettings) *hostOf {
	f.t.Helper()
	url := f.url
	if s.silent { // as behind a pooler: no notifications, no statements prepared on a connection
		url += "&default_query_exec_mode=cache_describe"
	}
	opened, err := postgres.Open(f.t.Context(), postgres.Config{URL: url, MaxConns: 4})
	if err != nil {
		f.t.Fatal(err)
	}
	if s.drain == 0 {
		s.drain = 10 * time.Second
	}
	if s.ttl == 0 {
		s.ttl = ttl
	}
	h := &hostOf{id: automation.NewID[automation.HostID](), st: &mortal{Store: opened, silent: s.silent, old: s.old}}
	l := scheduler.New(scheduler.Config{
		Store: h.st, Executor: s.execute, Host: h.id, Name: name, Slots: s.slots, Queues: s.queues, TTL: s.ttl, Drain: s.drain,
		Logs: s.logs, LogsEvery: often,
	})
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := l.Run(ctx); err != nil && !h.st.dead.Load() {
			f.t.Errorf("host %s ended: %v", name, err)
		}
	})
	h.stop = func() { cancel(); wg.Wait() }
	h.kill = func() { h.st.dead.Store(true); cancel() }
	f.t.Cleanup(func() {
		h.kill()
		wg.Wait()
		_ = opened.Close()
	})
	return h
}

// leads waits until the host leads.
func (f *fixture) leads(h *hostOf) {
	f.t.Helper()
	f.eventually("the host leads", func() bool {
		row := f.row(h.id)
		return row.Leads
	})
}

// joined waits until the host has a live row.
func (f *fixture) joined(h *hostOf) {
	f.t.Helper()
	f.eventually("the host is live", func() bool { return f.row(h.id).State == automation.HostLive })
}

func (f *fixture) row(id automation.HostID) automation.Host {
	f.t.Helper()
	hosts, err := f.st.Hosts(f.t.Context())
	if err != nil {
		f.t.Fatal(err)
	}
	for _, h := range hosts {
		if h.ID == id {
			return h
		}
	}
	return automation.Host{}
}

func (f *fixture) eventually(what string, ok func() bool) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), 30*time.Second)
	defer cancel()
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for !ok() {
		select {
		case <-again.C:
		case <-ctx.Done():
			f.t.Fatalf("it did not come: %s", what)
		}
	}
}

// wide is a plan of n steps that need nothing.
func wide(effect automation.Effect, n int) *workflow.Plan {
	p := steps(effect, n)
	for i := range p.Steps {
		p.Steps[i].Needs = nil
	}
	return p
}

// ledger is what the targets would have seen: who acted for which item.
type ledger struct {
	mu    sync.Mutex
	acts  map[automation.AttemptKey][]string // by item: the hosts that acted
	begun map[string]int                     // by host: attempts that began
	now   map[string]int                     // by host: attempts at work
	most  map[string]int
}

func newLedger() *ledger {
	return &ledger{acts: map[automation.AttemptKey][]string{}, begun: map[string]int{}, now: map[string]int{}, most: map[string]int{}}
}

func itemOf(a automation.Attempt) automation.AttemptKey {
	return automation.AttemptKey{Run: a.Run, Step: a.Step, Item: a.Item}
}

// begins counts an attempt that begins, and returns what counts its end.
func (l *ledger) begins(host string) (ends func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.begun[host]++
	l.now[host]++
	l.most[host] = max(l.most[host], l.now[host])
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.now[host]--
	}
}

func (l *ledger) act(host string, a automation.Attempt) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.acts[itemOf(a)] = append(l.acts[itemOf(a)], host)
}

func (l *ledger) of(host string) (begun, most int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.begun[host], l.most[host]
}

// once reports every item that did not act exactly once.
func (l *ledger) once(t *testing.T, items int) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.acts) != items {
		t.Errorf("%d items acted; want %d", len(l.acts), items)
	}
	for item, hosts := range l.acts {
		if len(hosts) != 1 {
			t.Errorf("step %d of %s acted on %v; want once", item.Step, item.Run, hosts)
		}
	}
}

// acting executes attempts that act at once, after `before` returns.
func (l *ledger) acting(host string, before func(context.Context)) executor {
	return func(ctx context.Context, a automation.Attempt, intent worker.Intent) automation.Outcome {
		defer l.begins(host)()
		if before != nil {
			before(ctx)
		}
		if err := intent(ctx, "hash"); err != nil {
			return automation.Outcome{State: automation.ItemFailed, Error: automation.AsError(err)}
		}
		if ctx.Err() != nil {
			return automation.Outcome{State: automation.ItemCancelled, Error: automation.AsError(context.Cause(ctx))}
		}
		l.act(host, a)
		return automation.Outcome{State: automation.ItemSucceeded}
	}
}

// mortal is a store whose host can die: nothing that it asks for is done any more.
type mortal struct {
	store.Store
	dead   atomic.Bool
	blind  atomic.Bool // it sees every host as it was when it was seen first
	silent bool
	old    bool

	mu   sync.Mutex
	seen map[automation.HostID]automation.HostState
	// whole are the logs that it stored with outcomes.
	whole []store.AttemptLogs
}

func (s *mortal) Hosts(ctx context.Context) ([]automation.Host, error) {
	if err := s.alive(); err != nil {
		return nil, err
	}
	hosts, err := s.Store.Hosts(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen == nil {
		s.seen = map[automation.HostID]automation.HostState{}
	}
	for i := range hosts {
		h := &hosts[i]
		if s.blind.Load() && s.seen[h.ID] != "" {
			h.State = s.seen[h.ID]
		}
		s.seen[h.ID] = h.State
	}
	return hosts, err
}

var errDead = &automation.Error{Code: automation.CodeUnavailable, Message: "this host is dead", Err: errors.New("dead")}

func (s *mortal) alive() error {
	if s.dead.Load() {
		return errDead
	}
	return nil
}

func (s *mortal) PutLiveLogs(ctx context.Context, host automation.HostID, epoch int64, chunks []store.LiveLog) error {
	if err := s.alive(); err != nil {
		return err
	}
	return s.Store.PutLiveLogs(ctx, host, epoch, chunks)
}

func (s *mortal) Append(ctx context.Context, b store.Batch) error {
	if err := s.alive(); err != nil {
		return err
	}
	s.mu.Lock()
	s.whole = append(s.whole, b.Logs...)
	s.mu.Unlock()
	return s.Store.Append(ctx, b)
}

func (s *mortal) Lead(ctx context.Context, shard int, host automation.HostID, epoch int64, ttl time.Duration) (int64, error) {
	if err := s.alive(); err != nil {
		return 0, err
	}
	if s.old {
		return 0, store.Outdated(automation.FactsFormat + 1)
	}
	return s.Store.Lead(ctx, shard, host, epoch, ttl)
}

func (s *mortal) Resign(ctx context.Context, shard int, host automation.HostID, epoch int64) error {
	if err := s.alive(); err != nil {
		return err
	}
	return s.Store.Resign(ctx, shard, host, epoch)
}

func (s *mortal) Heartbeat(ctx context.Context, id automation.HostID, epoch int64, b automation.Beat) error {
	if err := s.alive(); err != nil {
		return err
	}
	return s.Store.Heartbeat(ctx, id, epoch, b)
}

func (s *mortal) ReapHost(ctx context.Context, id automation.HostID, epoch int64, state automation.HostState) error {
	if err := s.alive(); err != nil {
		return err
	}
	return s.Store.ReapHost(ctx, id, epoch, state)
}

func (s *mortal) Deliveries(ctx context.Context, shard int, to store.Cursor, limit int) ([]store.Delivery, error) {
	if err := s.alive(); err != nil {
		return nil, err
	}
	return s.Store.Deliveries(ctx, shard, to, limit)
}

func (s *mortal) PutReports(ctx context.Context, shard int, taken store.Cursor, reports []store.Report) error {
	if err := s.alive(); err != nil {
		return err
	}
	return s.Store.PutReports(ctx, shard, taken, reports)
}

func (s *mortal) Wake(topic store.Topic) (<-chan struct{}, func()) {
	if s.silent {
		return nil, func() {}
	}
	return s.Store.Wake(topic)
}
