package store_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
	"opsconductor.dev/host/store/memory"
	"opsconductor.dev/host/store/postgres"
	"opsconductor.dev/host/store/postgres/privatepg"
	"opsconductor.dev/host/store/sqlite"
)

// roles is what the scheduler and its clients use of a store.
type roles interface {
	store.Log
	store.LiveLogs
	store.Runs
	store.Leases
	store.Deliveries
	store.Queues
	store.Bounds
	store.Questions
	store.Approvals
}

// TestHistories: the same random history on SQLite, on PostgreSQL and on the store of
// the simulation gets the same answers, the same errors by code, and leaves the same
// state. HISTORIES sets how many, FROM the first seed.
func TestHistories(t *testing.T) {
	t.Parallel()
	cluster, err := privatepg.Start(t.Context(), privatepg.Config{Settings: map[string]string{"fsync": "off"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cluster.Stop() })
	begin := time.Now()
	ops, seeds := 0, setting("HISTORIES", 8)
	codes := map[automation.Code]int{}
	for seed := range uint64(seeds) { //nolint:gosec // a small number
		h := &history{t: t, r: mathrand.New(mathrand.NewPCG(seed+uint64(setting("FROM", 0)), 7)), codes: codes} //nolint:gosec // no secret
		h.open(t, cluster)
		for range 250 {
			h.step()
			ops++
		}
		h.compareAll()
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	t.Logf("%d histories of 250 calls on three stores in %s; answers by code: %v", seeds, time.Since(begin).Round(time.Millisecond), codes)
	for _, c := range []automation.Code{"", automation.CodeConflict, automation.CodeNotFound, automation.CodeInvalid, automation.CodeInternal} {
		if codes[c] == 0 {
			t.Errorf("no call was answered by code %q", c)
		}
	}
}

func setting(name string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return otherwise
}

// history makes the calls, and knows what they may be about.
type history struct {
	t      *testing.T
	r      *mathrand.Rand
	codes  map[automation.Code]int
	names  []string
	stores []roles

	plans    []automation.Digest
	runs     []automation.RunID
	ended    map[automation.RunID]bool
	commands []automation.CommandID
	asked    []automation.QuestionID
	epoch    int64 // the leader's
	leader   automation.HostID
	epochs   map[automation.HostID]int64
	numbers  map[automation.HostID]int64
	keys     int
}

func (h *history) open(t *testing.T, cluster *privatepg.Cluster) {
	t.Helper()
	url, err := cluster.CreateDatabase(t.Context(), "h"+strings.ToLower(rand.Text()))
	if err != nil {
		t.Fatal(err)
	}
	pg, err := postgres.Open(t.Context(), postgres.Config{URL: url, MaxConns: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pg.Close() })
	lite, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "h.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = lite.Close() })
	h.names, h.stores = []string{"memory", "sqlite", "postgres"}, []roles{memory.New(memory.Config{}), lite, pg}
	h.leader = "h1"
	h.ended, h.epochs, h.numbers = map[automation.RunID]bool{}, map[automation.HostID]int64{}, map[automation.HostID]int64{}
}

// do makes one call on every store and compares what they say.
func (h *history) do(what string, call func(ctx context.Context, st roles) (any, error)) (answer any, err error) {
	h.t.Helper()
	for i, st := range h.stores {
		got, gotErr := call(h.t.Context(), st)
		if i == 0 {
			answer, err = got, gotErr
			h.codes[automation.CodeOf(err)]++
			continue
		}
		if a, b := automation.CodeOf(err), automation.CodeOf(gotErr); a != b {
			h.t.Errorf("%s: %s says %q (%v), %s says %q (%v: %v)", what, h.names[0], a, err, h.names[i], b, gotErr, errors.Unwrap(gotErr))
			continue
		}
		if diff := cmp.Diff(answer, got, cmp.Comparer(func(a, b error) bool { return fmt.Sprint(a) == fmt.Sprint(b) })); err == nil && diff != "" {
			h.t.Errorf("%s: -%s +%s:\n%s", what, h.names[0], h.names[i], diff)
		}
	}
	return answer, err
}

func oneOf[T any](h *history, list []T) (v T) {
	if len(list) == 0 {
		return v
	}
	return list[h.r.IntN(len(list))]
}

func (h *history) host() automation.HostID {
	return automation.HostID(oneOf(h, []string{"h1", "h2", "h3"}))
}

// epochOf is a host's epoch, or one that is over or to come.
func (h *history) epochOf(id automation.HostID) int64 {
	if h.r.IntN(5) == 0 {
		return h.epochs[id] + int64(h.r.IntN(3)) - 1
	}
	return h.epochs[id]
}

func (h *history) at() time.Time {
	return time.Date(2026, 3, 1, 12, 0, h.r.IntN(60), h.r.IntN(1e9), time.UTC)
}

// run is a run that there is, or one that there is not.
func (h *history) run() automation.RunID {
	if len(h.runs) == 0 || h.r.IntN(20) == 0 {
		return "01900000-0000-7000-8000-ffffffffffff"
	}
	return oneOf(h, h.runs)
}

func (h *history) step() {
	switch n := h.r.IntN(100); {
	case n < 4:
		h.putPlan()
	case n < 18:
		h.accept()
	case n < 48:
		h.append()
	case n < 56:
		h.lead()
	case n < 64:
		h.hosts()
	case n < 76:
		h.report()
	case n < 84:
		h.command()
	case n < 88:
		h.question()
	case n < 90:
		h.loads()
	case n < 93:
		h.live()
	default:
		h.read()
	}
}

func (h *history) putPlan() {
	hash := automation.Digest(fmt.Sprintf("%064d", len(h.plans)))
	h.plans = append(h.plans, hash)
	body := []byte(`{"steps":[]}`)
	_, _ = h.do("put a plan", func(ctx context.Context, st roles) (any, error) {
		return nil, st.PutPlan(ctx, automation.DefaultTenant, hash, body, time.Now())
	})
}

func (h *history) act(action string) automation.Act {
	a := automation.Act{Tenant: automation.DefaultTenant, By: "ann", Action: action, At: h.at()}
	if h.r.IntN(3) == 0 {
		h.keys++
		n := h.r.IntN(h.keys)
		a.Key, a.Request = strconv.Itoa(n), automation.Digest(fmt.Sprintf("%064d", n%7+h.r.IntN(30)/29))
	}
	if h.r.IntN(40) == 0 {
		a.By = ""
	}
	return a
}

func (h *history) accept() {
	run := automation.Run{
		ID: automation.NewID[automation.RunID](), Tenant: automation.DefaultTenant, Workflow: "w", PlanHash: oneOf(h, h.plans), By: "ann",
		Created: time.Now(), Shard: h.r.IntN(6) / 5,
	}
	switch h.r.IntN(20) {
	case 0:
		run.PlanHash = automation.Digest(strings.Repeat("f", 64))
	case 1:
		if len(h.runs) > 0 {
			run.ID = oneOf(h, h.runs)
		}
	case 2:
		run.State = automation.RunRunning
	}
	act := h.act("run.submit")
	got, err := h.do("accept", func(ctx context.Context, st roles) (any, error) {
		run, created, err := st.Accept(ctx, run, act)
		if !created {
			run = automation.Run{ID: run.ID}
		}
		return run, err
	})
	if run, ok := got.(automation.Run); ok && err == nil && run.Shard == 0 && !slices.Contains(h.runs, run.ID) {
		h.runs = append(h.runs, run.ID)
	}
}

func (h *history) lead() {
	id, epoch, ttl := h.host(), h.epoch, oneOf(h, []time.Duration{time.Hour, time.Hour, 0})
	switch h.r.IntN(4) {
	case 0:
		epoch = 0
	case 1:
		epoch++
	}
	if h.r.IntN(5) == 0 {
		_, _ = h.do("resign", func(ctx context.Context, st roles) (any, error) { return nil, st.Resign(ctx, 0, id, epoch) })
		return
	}
	got, err := h.do("lead", func(ctx context.Context, st roles) (any, error) { return st.Lead(ctx, 0, id, epoch, ttl) })
	if err == nil {
		h.leader, h.epoch = id, got.(int64)
	}
}

// row is what of a host's row does not depend on the clock.
func row(in automation.Host) automation.Host {
	in.Heartbeat, in.Age = time.Time{}, 0
	if len(in.Queues) == 0 {
		in.Queues = nil
	}
	return in
}

func (h *history) hosts() {
	id := h.host()
	epoch := h.epochOf(id)
	switch h.r.IntN(4) {
	case 0:
		in := automation.Host{ID: id, Name: string(id), Version: "1", Slots: h.r.IntN(9), Queues: oneOf(h, [][]string{nil, {"default"}, {"a", "b"}})}
		got, err := h.do("register", func(ctx context.Context, st roles) (any, error) {
			out, err := st.RegisterHost(ctx, in)
			return row(out), err
		})
		if err == nil {
			h.epochs[id], h.numbers[id] = got.(automation.Host).Epoch, 0
		}
	case 1:
		_, err := h.do("reap", func(ctx context.Context, st roles) (any, error) {
			return nil, st.ReapHost(ctx, id, epoch, automation.HostLost)
		})
		if err == nil {
			h.epochs[id] = epoch + 1
		}
	default:
		beat := automation.Beat{State: oneOf(h, []automation.HostState{automation.HostLive, automation.HostDraining}), AtWork: h.r.IntN(5)}
		_, _ = h.do("heartbeat", func(ctx context.Context, st roles) (any, error) { return nil, st.Heartbeat(ctx, id, epoch, beat) })
	}
}

func (h *history) attempt() automation.Attempt {
	return automation.Attempt{
		AttemptKey: automation.AttemptKey{Run: h.run(), Step: h.r.IntN(3), Item: h.r.IntN(3), Attempt: 1 + h.r.IntN(2)},
		Tenant:     automation.DefaultTenant, StepID: "s", Effect: automation.EffectOnce, Input: []byte(`{"a":1}`), Timeout: time.Minute,
	}
}

func (h *history) outcome() *automation.Outcome {
	o := &automation.Outcome{State: automation.ItemSucceeded, Output: []byte(`{"n":1}`), StartedAt: h.at(), EndedAt: h.at()}
	if h.r.IntN(2) == 0 {
		o.State, o.Output, o.Error = automation.ItemFailed, nil, automation.Errorf(automation.CodeUnreachable, "it said no")
	}
	return o
}

func (h *history) report() {
	id := h.host()
	taken := store.Cursor{Host: id, Epoch: h.epochOf(id), Number: int64(h.r.IntN(20))}
	var list []store.Report
	for range h.r.IntN(3) {
		h.numbers[id]++
		r := store.Report{Number: max(1, h.numbers[id]-int64(h.r.IntN(5)/4)), Attempt: h.attempt()}
		if r.Command = "c"; h.r.IntN(2) == 0 {
			r.Outcome, r.Command = h.outcome(), ""
		}
		list = append(list, r)
	}
	_, _ = h.do("report", func(ctx context.Context, st roles) (any, error) {
		return nil, st.PutReports(ctx, 0, h.local(st, taken), list)
	})
}

// local turns a count of deliveries into the number that a store gave the last of
// them: numbers grow, but not by one in every store.
func (h *history) local(st roles, c store.Cursor) store.Cursor {
	list, err := st.Deliveries(h.t.Context(), 0, store.Cursor{Host: c.Host, Epoch: c.Epoch}, 1000)
	n := int(min(c.Number, int64(len(list))))
	if c.Number = 0; err == nil && n > 0 {
		c.Number = list[n-1].Number
	}
	return c
}

func (h *history) command() {
	c := automation.Command{
		ID: automation.NewID[automation.CommandID](), Tenant: automation.DefaultTenant, Run: h.run(), Step: h.r.IntN(2), By: "ann", Reason: "why", At: h.at(),
		Kind: oneOf(h, []automation.FactKind{automation.FactCancelAsked, automation.FactPauseAsked, automation.FactDecisionGiven}),
	}
	if c.Kind == automation.FactDecisionGiven {
		c.Told = &automation.Told{Decision: automation.DecisionApprove, Payload: []byte(`{"x":[1]}`)}
	}
	act := h.act("run.tell")
	if _, err := h.do("command", func(ctx context.Context, st roles) (any, error) { return nil, st.PutCommand(ctx, c, act) }); err == nil {
		h.commands = append(h.commands, c.ID)
	}
}

func (h *history) question() {
	if len(h.asked) > 0 && h.r.IntN(2) == 0 {
		id := oneOf(h, h.asked)
		_, _ = h.do("put an answer", func(ctx context.Context, st roles) (any, error) { return nil, st.PutAnswer(ctx, id, []byte(`[]`)) })
		return
	}
	q := store.Question{ID: automation.NewID[automation.QuestionID](), Tenant: automation.DefaultTenant, Run: h.run(), At: h.at()}
	h.asked = append(h.asked, q.ID)
	_, _ = h.do("ask", func(ctx context.Context, st roles) (any, error) { return nil, st.Ask(ctx, q) })
}

func (h *history) loads() {
	loads := []automation.QueueLoad{{Queue: "a", Waiting: h.r.IntN(3)}, {Queue: "b", Waiting: h.r.IntN(3)}}
	id, epoch := h.leads()
	_, _ = h.do("loads", func(ctx context.Context, st roles) (any, error) {
		return nil, st.PutQueueLoads(ctx, 0, id, epoch, loads)
	})
}

// leads is the leader and its epoch, or now and then another.
func (h *history) leads() (automation.HostID, int64) {
	switch h.r.IntN(12) {
	case 0:
		return h.host(), h.epoch
	case 1:
		return h.leader, h.epoch - 1
	}
	return h.leader, h.epoch
}
