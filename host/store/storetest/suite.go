// Package storetest is what every backend of the store must pass: one suite,
// run by each backend's tests over its real database. It holds the promises of
// package store to account, above all those that a reader of the log relies on.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
)

// Backend is how the suite gets at a backend.
type Backend struct {
	// Open returns a new, empty store, which is closed when the test ends.
	Open func(t testing.TB) store.Store
	// Exec runs a statement on the database of a store, past the store: what
	// somebody with the database's password could do.
	Exec func(t testing.TB, st store.Store, statement string) error
	// TwoHours is that time as the backend's SQL writes it.
	TwoHours string
}

// Run runs the suite.
func Run(t *testing.T, b Backend) {
	t.Helper()
	for _, c := range []struct {
		name string
		test func(*testing.T, Backend)
	}{
		{"append and read", appendAndRead},
		{"append is all or nothing", appendWhole},
		{"fence", fence},
		{"replay", replay},
		{"replay is a snapshot", replayIsASnapshot},
		{"logs", logs},
		{"live logs", liveLogs},
		{"live logs of lost attempts", liveLogsOfLost},
		{"logs since", logsSince},
		{"an attempt that ends while it is read", wholeWhileRead},
		{"wake", wake},
		{"gapless numbers", gapless},
		{"no late commit is missed", noLateCommit},
		{"accept", accept},
		{"accept with a key", acceptWithKey},
		{"a bad caller of a shared commit", badCaller},
		{"list runs", listRuns},
		{"plans", plans},
		{"commands", commands},
		{"what commands say", told},
		{"approvals", approvals},
		{"transitions", transitions},
		{"leadership", leadership},
		{"a later format of facts", laterFormat},
		{"hosts", hosts},
		{"deliveries", deliveries},
		{"queue loads", queueLoads},
		{"reports", reports},
		{"reports before the reaper", reportsBeforeTheReaper},
		{"assets", assets},
		{"credentials", credentials},
		{"plugins", plugins},
		{"tokens", tokens},
		{"schedules", schedules},
		{"windows", windows},
		{"questions", questions},
		{"fires", fires},
		{"times of schedules", timesOf},
		{"one of many claims wins", oneClaimWins},
		{"workflows", workflows},
		{"children", children},
		{"triggers", triggers},
		{"webhooks", webhooks},
		{"one of many webhooks wins", oneWebhookWins},
		{"limits", limits},
		{"buckets", buckets},
		{"keys", keys},
		{"one of many updates wins", oneUpdateWins},
		{"acts at the same time", actsTogether},
		{"audit chain", auditChain},
		{"acts are complete", actsAreComplete},
		{"tenants are apart", tenantsAreApart},
		{"retention", retention},
		{"retention of live logs", liveLogsRetention},
		{"retention of keys", retentionOfKeys},
		{"retention in slices", retentionOfSlices},
		{"retention of hosts", retentionOfHosts},
		{"limits of reads", limitsOfReads},
		{"closed", closed},
		{"given up", givenUp},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.test(t, b)
		})
	}
}

// The tenants of the suite.
const (
	tenant = automation.DefaultTenant
	other  = automation.TenantID("other")
)

// start is the time of the suite's first act: with nanoseconds, which no store keeps.
func start() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC) }

// fixture is a store with a plan in it.
type fixture struct {
	t    *testing.T
	st   store.Store
	plan automation.Digest
	b    Backend
}

func setup(t *testing.T, b Backend) *fixture {
	t.Helper()
	f := &fixture{t: t, st: b.Open(t), plan: digest("plan"), b: b}
	for _, tn := range []automation.TenantID{tenant, other} {
		f.must(f.st.PutPlan(t.Context(), tn, f.plan, []byte(`{"steps":[]}`), start()))
	}
	return f
}

// digest returns a well-formed digest that stands for a word.
func digest(word string) automation.Digest {
	return automation.Digest((fmt.Sprintf("%x", word) + strings.Repeat("0", 64))[:64])
}

func (f *fixture) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) run() automation.Run { return newRun(tenant, f.plan) }

func newRun(tn automation.TenantID, plan automation.Digest) automation.Run {
	return automation.Run{
		ID: automation.NewID[automation.RunID](), Tenant: tn, Workflow: "disk-cleanup", PlanHash: plan, By: "ann", Created: start(),
	}
}

func act(action string) automation.Act {
	return automation.Act{Tenant: tenant, By: "ann", Action: action, At: start()}
}

func actOf(tn automation.TenantID, action string) automation.Act {
	a := act(action)
	a.Tenant = tn
	return a
}

func keyed(a automation.Act, key, request string) automation.Act {
	a.Key, a.Request = key, digest(request)
	return a
}

// accept stores a new run and returns it.
func (f *fixture) accept() automation.Run {
	f.t.Helper()
	run, created, err := f.st.Accept(f.t.Context(), f.run(), act("run.submit"))
	f.must(err)
	if !created {
		f.t.Fatal("a new run was not created")
	}
	return run
}

// lead makes a host the leader of shard 0 and returns its epoch.
func (f *fixture) lead(host automation.HostID) int64 {
	f.t.Helper()
	epoch, err := f.st.Lead(f.t.Context(), 0, host, 0, time.Hour)
	f.must(err)
	return epoch
}

// granted is an entry of a leader.
func granted(run automation.RunID, item int) automation.Entry {
	return automation.Entry{Run: run, Facts: []automation.Fact{{
		Kind: automation.FactAttemptGranted, At: start().Add(time.Second), Item: item, Attempt: 1, Host: "h", HostEpoch: 1,
		Input: []byte(`{"path":"/var"}`),
	}}}
}

// entries returns all entries of a run.
func (f *fixture) entries(run automation.RunID) []automation.Entry {
	f.t.Helper()
	out, err := f.st.RunEntries(f.t.Context(), tenant, run, 0, 1000)
	f.must(err)
	return out
}

func (f *fixture) record(run automation.RunID) automation.Run {
	f.t.Helper()
	out, err := f.st.Run(f.t.Context(), tenant, run)
	f.must(err)
	return out
}

func equal(t testing.TB, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s:\n got %+v\nwant %+v", what, got, want)
	}
}

func wantCode(t testing.TB, what string, err error, want automation.Code) {
	t.Helper()
	var e *automation.Error
	if !errors.As(err, &e) || e.Code != want {
		t.Errorf("%s: got error %v (code %q); want code %q", what, err, automation.CodeOf(err), want)
	}
}

func wantErr(t testing.TB, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: got error %v; want %v", what, err, want)
	}
}

// eventually asks until ok says yes.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	again := time.NewTicker(2 * time.Millisecond)
	defer again.Stop()
	for !ok() {
		select {
		case <-again.C:
		case <-ctx.Done():
			t.Fatalf("it did not come: %s", what)
		}
	}
}
