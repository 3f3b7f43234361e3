package storetest

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
)

func accept(t *testing.T, b Backend) {
	f := setup(t, b)
	run := f.run()
	got, created, err := f.st.Accept(t.Context(), run, act("run.submit"))
	f.must(err)
	want := run
	want.State, want.Created, want.Seq = automation.RunQueued, store.Moment(run.Created), 1
	equal(t, "what Accept returns", got, want)
	equal(t, "created", created, true)
	equal(t, "what is stored", f.record(run.ID), want)

	again := f.run()
	again.RerunOf = run.ID
	again.Begin = &automation.Begin{Kept: []automation.KeptItem{{Step: 1, Item: 2, Attempt: 3, Outcome: &automation.Outcome{State: automation.ItemSucceeded}}}}
	begin := again.Begin
	again, _, err = f.st.Accept(t.Context(), again, act("run.rerun"))
	f.must(err)
	equal(t, "what a rerun is of", f.record(again.ID).RerunOf, run.ID)
	equal(t, "what a rerun begins with", f.entries(again.ID)[0].Facts[0].Begin, begin)

	_, _, err = f.st.Accept(t.Context(), run, act("run.submit"))
	wantCode(t, "the same identifier again", err, automation.CodeConflict)
	none := f.run()
	none.PlanHash = digest("no such plan")
	_, _, err = f.st.Accept(t.Context(), none, act("run.submit"))
	wantCode(t, "a run of no plan", err, automation.CodeNotFound)
	running := f.run()
	running.State = automation.RunRunning
	_, _, err = f.st.Accept(t.Context(), running, act("run.submit"))
	wantCode(t, "a run that runs already", err, automation.CodeInvalid)

	sharded := f.run()
	sharded.Shard = 3
	got, _, err = f.st.Accept(t.Context(), sharded, act("run.submit"))
	f.must(err)
	equal(t, "the first number of a new shard", got.Seq, int64(1))
	entries, err := f.st.Accepted(t.Context(), 3, 0, 10)
	f.must(err)
	equal(t, "entries of the new shard", len(entries), 1)
	equal(t, "entries of shard 0", len(must(f.st.Accepted(t.Context(), 0, 0, 10))), 2)
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// acceptWithKey: one key makes one run, however many ask at the same time.
func acceptWithKey(t *testing.T, b Backend) {
	f := setup(t, b)
	var mu sync.Mutex
	got := map[automation.RunID]int{}
	created := 0
	var wg sync.WaitGroup
	for range 40 {
		wg.Go(func() {
			run, fresh, err := f.st.Accept(t.Context(), f.run(), keyed(act("run.submit"), "k1", "request"))
			if err != nil {
				t.Errorf("accept: %v", err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			got[run.ID]++
			if fresh {
				created++
			}
		})
	}
	wg.Wait()
	if len(got) != 1 || created != 1 {
		t.Errorf("40 callers with one key got %v, %d created; want one run, created once", got, created)
	}
	entries, err := f.st.Audit(t.Context(), tenant, 0, 100)
	f.must(err)
	equal(t, "audit entries", len(entries), 1)

	_, _, err = f.st.Accept(t.Context(), f.run(), keyed(act("run.submit"), "k1", "another request"))
	wantErr(t, "the key for another request", err, store.ErrKeyReused)
	wantCode(t, "the key for another request", err, automation.CodeConflict)
	bob := keyed(act("run.submit"), "k1", "request")
	bob.By = "bob"
	_, fresh, err := f.st.Accept(t.Context(), f.run(), bob)
	if err != nil || !fresh {
		t.Errorf("the same key of somebody else: created %v, %v", fresh, err)
	}

	// A failed acceptance does not use its key up.
	bad := f.run()
	bad.PlanHash = digest("no such plan")
	if _, _, err := f.st.Accept(t.Context(), bad, keyed(act("run.submit"), "k2", "request")); err == nil {
		t.Error("a run of no plan was accepted")
	}
	if _, fresh, err := f.st.Accept(t.Context(), f.run(), keyed(act("run.submit"), "k2", "request")); err != nil || !fresh {
		t.Errorf("the key of a failed acceptance: created %v, %v", fresh, err)
	}
}

// badCaller: in a commit that many share, only those fail that are at fault.
func badCaller(t *testing.T, b Backend) {
	f := setup(t, b)
	first := f.accept()
	var wg sync.WaitGroup
	for i := range 60 {
		wg.Go(func() {
			run, a, bad := f.run(), act("run.submit"), i%6 == 0
			switch i % 18 {
			case 0:
				run.PlanHash = digest("no such plan")
			case 6:
				run.ID = first.ID
			case 12:
				a.Detail = []byte("not JSON")
			}
			_, _, err := f.st.Accept(t.Context(), run, a)
			if (err != nil) != bad {
				t.Errorf("caller %d: got %v", i, err)
			}
			if code := automation.CodeOf(err); code == automation.CodeUnavailable {
				t.Errorf("caller %d: its own fault is called %s: %v", i, code, err)
			}
		})
	}
	wg.Wait()
	runs, err := f.st.ListRuns(t.Context(), tenant, store.RunQuery{}, automation.Page{Limit: 1000})
	f.must(err)
	equal(t, "runs", len(runs), 51)
	n, err := store.VerifyAudit(t.Context(), f.st, tenant)
	f.must(err)
	equal(t, "audit entries", n, int64(51))
}

func listRuns(t *testing.T, b Backend) {
	f := setup(t, b)
	epoch := f.lead("h")
	var all, failed []automation.RunID
	for i := range 9 {
		run := f.accept()
		all = append(all, run.ID)
		if i%3 == 0 {
			failed = append(failed, run.ID)
			f.must(f.st.Append(t.Context(), store.Batch{Host: "h", Epoch: epoch, Runs: []automation.RunUpdate{{Run: run.ID, State: automation.RunFailed, Ended: start()}}}))
		}
	}
	slices.Reverse(all)
	slices.Reverse(failed)
	for _, c := range []struct {
		state automation.RunState
		want  []automation.RunID
	}{{"", all}, {automation.RunFailed, failed}, {automation.RunPaused, nil}} {
		var got []automation.RunID
		page := automation.Page{Limit: 2}
		for {
			runs, err := f.st.ListRuns(t.Context(), tenant, store.RunQuery{State: c.state}, page)
			f.must(err)
			for _, r := range runs {
				got = append(got, r.ID)
				equal(t, "a listed run", r, f.record(r.ID))
			}
			if len(runs) < page.Limit {
				break
			}
			page.After = string(runs[len(runs)-1].ID)
		}
		equal(t, fmt.Sprintf("runs in state %q", c.state), got, c.want)
	}
}

func plans(t *testing.T, b Backend) {
	f := setup(t, b)
	body := []byte("{\"a\": 1,\n \"b\":\"\xff\"}")
	f.must(f.st.PutPlan(t.Context(), tenant, digest("p"), body, start()))
	f.must(f.st.PutPlan(t.Context(), tenant, digest("p"), []byte("other"), start()))
	got, err := f.st.Plan(t.Context(), tenant, digest("p"))
	f.must(err)
	equal(t, "the plan, byte for byte", string(got), string(body))
	_, err = f.st.Plan(t.Context(), tenant, digest("q"))
	wantCode(t, "no such plan", err, automation.CodeNotFound)
}

func commands(t *testing.T, b Backend) {
	f := setup(t, b)
	run := f.accept()
	other3 := f.run()
	other3.Shard = 3
	_, _, err := f.st.Accept(t.Context(), other3, act("run.submit"))
	f.must(err)
	var want []automation.Command
	kinds := []automation.FactKind{automation.FactCancelAsked, automation.FactPauseAsked, automation.FactResumeAsked}
	for i := range 5 {
		c := automation.Command{
			ID: automation.CommandID(fmt.Sprintf("c%d", 9-i)), Tenant: tenant, Run: run.ID, Kind: kinds[i%len(kinds)],
			By: "ann", Reason: "wrong host", At: store.Moment(start().Add(time.Duration(-i) * time.Minute)),
		}
		f.must(f.st.PutCommand(t.Context(), c, act("run.cancel")))
		want = append(want, c)
	}
	f.must(f.st.PutCommand(t.Context(), automation.Command{ID: "s3", Tenant: tenant, Run: other3.ID, Kind: automation.FactCancelAsked, At: start()}, act("run.cancel")))
	got, err := f.st.Commands(t.Context(), 0, 100)
	f.must(err)
	equal(t, "commands in the order in which they came", got, want)
	got, err = f.st.Commands(t.Context(), 3, 100)
	f.must(err)
	if len(got) != 1 || got[0].ID != "s3" || got[0].Shard != 3 {
		t.Errorf("commands of shard 3: %+v; want the one whose run is there", got)
	}
	c := want[0]
	c.ID, c.Run = "new", "none"
	wantCode(t, "a command for no run", f.st.PutCommand(t.Context(), c, act("run.cancel")), automation.CodeNotFound)
	c = want[0]
	wantCode(t, "the same command again", f.st.PutCommand(t.Context(), c, act("run.cancel")), automation.CodeConflict)
	for range 2 {
		c.ID += "k"
		f.must(f.st.PutCommand(t.Context(), c, keyed(act("run.cancel"), "key", "r")))
	}
	epoch := f.lead("h")
	f.must(f.st.Append(t.Context(), store.Batch{Host: "h", Epoch: epoch, Commands: []automation.CommandID{"c9", "c8", "s3", "none"}}))
	got, err = f.st.Commands(t.Context(), 0, 100)
	f.must(err)
	equal(t, "commands that are left: the one with a key came once", len(got), 4)
	equal(t, "the oldest command that is left", got[0], want[2])
	got, err = f.st.Commands(t.Context(), 3, 100)
	f.must(err)
	equal(t, "commands of shard 3 after a commit in shard 0", len(got), 1)
}

// transitions: the database itself refuses what automation's table does not have.
func transitions(t *testing.T, b Backend) {
	f := setup(t, b)
	run := f.accept()
	for _, from := range automation.RunStates() {
		for _, to := range automation.RunStates() {
			id := strings.Join([]string{string(from), string(to)}, "-")
			insert := fmt.Sprintf(`INSERT INTO runs (id, tenant, shard, workflow, plan_hash, state, submitted_by, day, created_at, ended_at, seq)
				SELECT '%s', tenant, shard, workflow, plan_hash, '%s', submitted_by, day, created_at, %s, 1 FROM runs WHERE id = '%s'`, id, from, endedAt(from), run.ID)
			if err := b.Exec(t, f.st, insert); err != nil {
				t.Fatalf("a run in state %s: %v", from, err)
			}
			err := b.Exec(t, f.st, fmt.Sprintf(`UPDATE runs SET state = '%s', ended_at = %s WHERE id = '%s'`, to, endedAt(to), id))
			if legal := from == to || from.CanBecome(to); legal != (err == nil) {
				t.Errorf("%s to %s: the database says %v; the table says %v", from, to, err, legal)
			}
		}
	}
	err := b.Exec(t, f.st, fmt.Sprintf(`UPDATE runs SET state = 'gone' WHERE id = '%s'`, run.ID))
	if err == nil {
		t.Error("a state that does not exist was stored")
	}
}

// endedAt is the column that a state needs.
func endedAt(s automation.RunState) string {
	if s.Ended() {
		return "created_at"
	}
	return "NULL"
}
