package scheduler_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
	"opsconductor.dev/host/worker"
	"opsconductor.dev/host/workflow"
)

// nested builds and stores the plan of a definition whose steps may use the
// workflow inner@1 with two steps, a and b, and the output n.
func (f *fixture) nested(definition string) *workflow.Plan {
	f.t.Helper()
	core := automation.Plugin{
		Name: "core", Version: "1.0.0", State: automation.PluginActive, Digest: "d-core",
		Manifest: automation.Manifest{Name: "core", Version: "1.0.0", Actions: []automation.Action{{
			Name: "noop", Effect: automation.EffectPure, Input: json.RawMessage(`{"type":"object"}`), Output: json.RawMessage(`{"type":"object"}`),
		}}},
	}
	inner := "schema: opsconductor/v1\nname: inner\ninputs: {n: {type: integer, required: true}}\nsteps:\n- {id: a, uses: core.noop, with: {n: \"${{ inputs.n }}\"}}\n" +
		"- {id: b, uses: core.noop, needs: [a]}\noutputs: {twice: \"${{ inputs.n * 2 }}\"}\n"
	plan, err := workflow.Build(workflow.Request{
		Definition: []byte("schema: opsconductor/v1\nname: outer\nsteps:\n" + definition), Plugins: []automation.Plugin{core},
		Workflows: []automation.Workflow{{Name: "inner", Version: 1, State: automation.WorkflowActive, Definition: inner}},
	})
	if err != nil {
		f.t.Fatal(err)
	}
	for hash, template := range plan.Templates {
		f.putPlan(hash, template)
	}
	return plan
}

func (f *fixture) putPlan(hash automation.Digest, p *workflow.Plan) {
	f.t.Helper()
	b, err := p.Encode()
	if err != nil {
		f.t.Fatal(err)
	}
	if err := f.st.PutPlan(f.t.Context(), automation.DefaultTenant, hash, b, time.Now().UTC()); err != nil {
		f.t.Fatal(err)
	}
}

// children returns the runs that a run started, the oldest first.
func (f *fixture) children(parent automation.RunID) []automation.Run {
	f.t.Helper()
	runs, err := f.st.ListRuns(f.t.Context(), automation.DefaultTenant, store.RunQuery{Parent: parent}, automation.Page{Limit: 1000})
	if err != nil {
		f.t.Fatal(err)
	}
	slices.Reverse(runs)
	return runs
}

const overThree = "- {id: each, uses: workflow.inner@1, for_each: {in: [1, 2, 3], max_parallel: 1}, with: {n: \"${{ item }}\"}}\n"

func TestChildren(t *testing.T) {
	t.Parallel()
	onBoth(t, testChildren)
}

func testChildren(t *testing.T, setup func(testing.TB) *fixture) {
	t.Helper()
	f := setup(t)
	var mu sync.Mutex
	var order []string
	f.start(f.st, executor(func(_ context.Context, a automation.Attempt, _ worker.Intent) automation.Outcome {
		mu.Lock()
		defer mu.Unlock()
		order = append(order, a.StepID+string(a.Input))
		return automation.Outcome{State: automation.ItemSucceeded}
	}))
	id := f.submit(f.nested(overThree))
	run := f.await(id, ended)
	if run.State != automation.RunSucceeded {
		t.Fatalf("got %s: %v", run.State, run.Error)
	}
	mu.Lock()
	defer mu.Unlock()
	if got, want := strings.Join(order, " "), `a{"n":1} b{} a{"n":2} b{} a{"n":3} b{}`; got != want {
		t.Errorf("attempts %s; want one child after the other: %s", got, want)
	}
	for i, child := range f.children(id) {
		if p := child.Parent; child.State != automation.RunSucceeded || p == nil || p.Run != id || p.Step != "each" || p.Attempt != 1 || child.By != "test" {
			t.Errorf("child %d: %+v, %+v", i, child, p)
		}
		one, err := f.st.Run(t.Context(), automation.DefaultTenant, child.ID)
		if want := []string{`{"twice":2}`, `{"twice":4}`, `{"twice":6}`}; err != nil || string(one.Outputs) != want[child.Parent.Item] {
			t.Errorf("the outputs of child %d: %s, %v", child.Parent.Item, one.Outputs, err)
		}
	}
	want := []automation.FactKind{automation.FactRunAccepted}
	for range 3 {
		want = append(want, automation.FactChildStarted, automation.FactChildEnded)
	}
	if got := f.facts(id); !slices.Equal(got, want) {
		t.Errorf("facts %v; want %v", got, want)
	}
}

func TestCancelReachesTheChild(t *testing.T) {
	t.Parallel()
	onBoth(t, testCancelReachesTheChild)
}

func testCancelReachesTheChild(t *testing.T, setup func(testing.TB) *fixture) {
	t.Helper()
	f := setup(t)
	begun := make(chan struct{})
	f.start(f.st, executor(func(ctx context.Context, _ automation.Attempt, _ worker.Intent) automation.Outcome {
		close(begun)
		<-ctx.Done()
		return automation.Outcome{State: automation.ItemCancelled, Error: automation.AsError(context.Cause(ctx))}
	}))
	id := f.submit(f.nested(overThree))
	<-begun
	f.command(id, automation.FactCancelAsked)
	if run := f.await(id, ended); run.State != automation.RunCancelled || run.Error.Message != "cancelled by ann: wrong host" {
		t.Errorf("got %s, %+v", run.State, run.Error)
	}
	for _, child := range f.children(id) {
		if child.State != automation.RunCancelled || child.Error.Message != "cancelled by run "+string(id)+": cancelled by ann: wrong host" {
			t.Errorf("the child is %s: %+v", child.State, child.Error)
		}
	}
}

func (f *fixture) command(id automation.RunID, kind automation.FactKind) {
	f.t.Helper()
	now := time.Now().UTC()
	err := f.st.PutCommand(f.t.Context(), automation.Command{
		ID: automation.NewID[automation.CommandID](), Tenant: automation.DefaultTenant, Run: id, Kind: kind, By: "ann", Reason: "wrong host", At: now,
	}, automation.Act{Tenant: automation.DefaultTenant, By: "ann", Action: "run.command", Object: string(id), At: now})
	if err != nil {
		f.t.Fatal(err)
	}
}

// TestCancelledChild: somebody cancels the child alone: the item fails, and is
// not tried again.
func TestCancelledChild(t *testing.T) {
	t.Parallel()
	onBoth(t, testCancelledChild)
}

func testCancelledChild(t *testing.T, setup func(testing.TB) *fixture) {
	t.Helper()
	f := setup(t)
	begun := make(chan struct{})
	f.start(f.st, executor(func(ctx context.Context, _ automation.Attempt, _ worker.Intent) automation.Outcome {
		close(begun)
		<-ctx.Done()
		return automation.Outcome{State: automation.ItemCancelled, Error: automation.AsError(context.Cause(ctx))}
	}))
	id := f.submit(f.nested("- {id: one, uses: workflow.inner@1, with: {n: 1}, retry: {max_attempts: 3, backoff: {initial: 1ms}}}\n"))
	<-begun
	child := f.children(id)[0].ID
	f.command(child, automation.FactCancelAsked)
	run := f.await(id, ended)
	want := "step one failed: run " + string(child) + " of workflow inner@1 was cancelled: cancelled by ann: wrong host"
	if run.State != automation.RunFailed || run.Error.Message != want {
		t.Errorf("got %s, %v; want %q", run.State, run.Error, want)
	}
	if n := len(f.children(id)); n != 1 {
		t.Errorf("%d children; want no second one", n)
	}
}

// atEnd fails the commits in which a child's end is recorded: made or not made.
type atEnd struct {
	store.Store
	made  bool
	times atomic.Int64
}

func (s *atEnd) Append(ctx context.Context, b store.Batch) error {
	ends := slices.ContainsFunc(b.Entries, func(e automation.Entry) bool {
		return slices.ContainsFunc(e.Facts, func(f automation.Fact) bool { return f.Kind == automation.FactChildEnded })
	})
	if !ends || s.times.Add(1) > 4 {
		return s.Store.Append(ctx, b)
	}
	if s.made {
		if err := s.Store.Append(ctx, b); err != nil {
			return err
		}
	}
	return errFlaky
}

// TestChildEndsOnce: whether the commit of a child's end that failed was made or
// not, the parent hears of it once, and goes on.
func TestChildEndsOnce(t *testing.T) {
	t.Parallel()
	for name, made := range map[string]bool{"made": true, "not made": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onBoth(t, func(t *testing.T, setup func(testing.TB) *fixture) {
				t.Helper()
				f := setup(t)
				f.start(&atEnd{Store: f.st, made: made}, executor(succeed))
				id := f.submit(f.nested(overThree))
				if run := f.await(id, ended); run.State != automation.RunSucceeded {
					t.Fatalf("got %s: %v", run.State, run.Error)
				}
				ends := 0
				for _, kind := range f.facts(id) {
					if kind == automation.FactChildEnded {
						ends++
					}
				}
				if n := len(f.children(id)); n != 3 || ends != 3 {
					t.Errorf("%d children, and %d ends of them; want 3", n, ends)
				}
			})
		})
	}
}

// TestRestartWithChildren: a host that goes on with what another has left: the
// child under way goes on, and so does its parent.
func TestRestartWithChildren(t *testing.T) {
	t.Parallel()
	onBoth(t, testRestartWithChildren)
}

func testRestartWithChildren(t *testing.T, setup func(testing.TB) *fixture) {
	t.Helper()
	f := setup(t)
	begun := make(chan struct{}, 1)
	stop := f.start(f.st, executor(func(ctx context.Context, a automation.Attempt, _ worker.Intent) automation.Outcome {
		if a.StepID == "b" {
			begun <- struct{}{}
			<-ctx.Done()
		}
		return automation.Outcome{State: automation.ItemSucceeded}
	}))
	id := f.submit(f.nested(overThree))
	<-begun
	stop()
	if err := f.st.Close(); err != nil {
		t.Fatal(err)
	}
	f.open()
	f.start(f.st, executor(succeed))
	if run := f.await(id, ended); run.State != automation.RunSucceeded {
		t.Fatalf("got %s: %v", run.State, run.Error)
	}
	if n := len(f.children(id)); n != 3 {
		t.Errorf("%d children; want 3, none twice", n)
	}
}

// without is a store that does not have a plan any more.
type without struct {
	store.Store
	plan automation.Digest
}

func (s *without) Plan(ctx context.Context, tenant automation.TenantID, hash automation.Digest) ([]byte, error) {
	if hash == s.plan {
		return nil, store.NotFound("plan")
	}
	return s.Store.Plan(ctx, tenant, hash)
}

// TestChildWithoutItsPlan: a template that can't be used fails the item, at the
// start and after a restart; the host goes on.
func TestChildWithoutItsPlan(t *testing.T) {
	t.Parallel()
	onBoth(t, testChildWithoutItsPlan)
}

func testChildWithoutItsPlan(t *testing.T, setup func(testing.TB) *fixture) {
	t.Helper()
	f := setup(t)
	begun := make(chan struct{}, 1)
	stop := f.start(f.st, executor(func(ctx context.Context, _ automation.Attempt, _ worker.Intent) automation.Outcome {
		begun <- struct{}{}
		<-ctx.Done()
		return automation.Outcome{State: automation.ItemCancelled}
	}))
	plan := f.nested("- {id: one, uses: workflow.inner@1, with: {n: 1}}\n")
	early := f.submit(plan)
	<-begun
	stop()
	f.start(&without{f.st, plan.Steps[0].Digest}, executor(succeed))
	late := f.submit(plan)
	for id, want := range map[automation.RunID]string{early: "the stored plan can't be used any more", late: "the stored plan of workflow inner@1 can't be used any more"} {
		run := f.await(id, ended)
		if run.State != automation.RunFailed || run.Error == nil || !strings.Contains(run.Error.Message, want) {
			t.Errorf("got %s, %v; want %q", run.State, run.Error, want)
		}
	}
	if child := f.children(early); len(child) != 1 || child[0].State != automation.RunFailed {
		t.Errorf("the child that was open: %+v", child)
	}
}

// TestPauseReachesTheChild: nothing of a paused run's child starts until the run
// is resumed.
func TestPauseReachesTheChild(t *testing.T) {
	t.Parallel()
	onBoth(t, testPauseReachesTheChild)
}

func testPauseReachesTheChild(t *testing.T, setup func(testing.TB) *fixture) {
	t.Helper()
	f := setup(t)
	begun, goOn := make(chan struct{}), make(chan struct{})
	var started atomic.Int64
	f.start(f.st, executor(func(_ context.Context, a automation.Attempt, _ worker.Intent) automation.Outcome {
		started.Add(1)
		if a.StepID == "a" {
			close(begun)
			<-goOn
		}
		return automation.Outcome{State: automation.ItemSucceeded}
	}))
	id := f.submit(f.nested("- {id: one, uses: workflow.inner@1, with: {n: 1}}\n"))
	<-begun
	f.command(id, automation.FactPauseAsked)
	child := f.children(id)[0].ID
	paused := func(r automation.Run) bool { return r.State == automation.RunPaused }
	f.await(id, paused)
	if run := f.await(child, paused); run.Seq == 0 {
		t.Error("the child is not paused")
	}
	close(goOn)
	f.await(child, func(automation.Run) bool { return slices.Contains(f.facts(child), automation.FactAttemptEnded) })
	if n := started.Load(); n != 1 {
		t.Errorf("%d attempts started; want none after the pause", n)
	}
	f.command(id, automation.FactResumeAsked)
	if run := f.await(id, ended); run.State != automation.RunSucceeded || started.Load() != 2 {
		t.Errorf("got %s: %v, after %d attempts", run.State, run.Error, started.Load())
	}
}
