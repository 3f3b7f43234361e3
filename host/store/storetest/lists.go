package storetest

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
)

// listed is how many runs BenchLists lists, by the environment's LISTED_RUNS:
// 20,000 unless it says otherwise.
func listed() int {
	if n, err := strconv.Atoi(os.Getenv("LISTED_RUNS")); err == nil {
		return n
	}
	return 20_000
}

// Fill is how a backend gets many runs, past the store.
type Fill struct {
	Runs int
	Plan automation.Digest
	// First and Step: run i has the identifier whose first 12 hexadecimal digits are
	// First + i * Step, in milliseconds; its time is the same.
	First, Step int64
	// Top: the runs below this one have no parent, the others have the last of these.
	Top int
}

// BenchLists measures pages of lists over many runs of the tenant "default" that
// fill makes in an empty store: all have ended, one in fifty failed, the others succeeded;
// the newest tenth are runs of a sub-workflow. It reports the slowest page of each kind.
func BenchLists(b *testing.B, st store.Store, fill func(f Fill) error) {
	b.Helper()
	plan, _ := prepare(b, st)
	// From the days that have partitions of their own: those to come.
	n, first := listed(), time.Now().AddDate(0, 0, 3)
	f := Fill{Runs: n, Plan: plan, First: first.UnixMilli(), Step: (30 * 24 * time.Hour).Milliseconds() / int64(n), Top: n - n/10}
	if err := fill(f); err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		query store.RunQuery
		after string
	}{
		{"first", store.RunQuery{}, ""},
		{"nested", store.RunQuery{Nested: true}, ""},
		{"failed", store.RunQuery{State: automation.RunFailed}, ""},
		{"succeeded", store.RunQuery{State: automation.RunSucceeded}, ""},
		{"paused", store.RunQuery{State: automation.RunPaused}, ""},
		{"children", store.RunQuery{Parent: parentOf(b, st)}, ""},
		{"deep", store.RunQuery{}, string(RunOn(first.AddDate(0, 0, 10), 0))},
		{"deep failed", store.RunQuery{State: automation.RunFailed}, string(RunOn(first.AddDate(0, 0, 1), 0))},
	} {
		b.Run(fmt.Sprintf("runs=%d/%s", listed(), c.name), func(b *testing.B) {
			var took []time.Duration
			for b.Loop() {
				began := time.Now()
				list, err := st.ListRuns(b.Context(), tenant, c.query, automation.Page{After: c.after, Limit: 100})
				took = append(took, time.Since(began))
				if err != nil || len(list) == 0 != (c.name == "paused") {
					b.Fatalf("%d runs, %v", len(list), err)
				}
			}
			b.ReportMetric(float64(slices.Max(took).Microseconds())/1000, "ms-slowest")
		})
	}
}

// parentOf returns the run that the newest run is of.
func parentOf(b *testing.B, st store.Store) automation.RunID {
	b.Helper()
	list, err := st.ListRuns(b.Context(), tenant, store.RunQuery{Nested: true}, automation.Page{Limit: 1})
	if err != nil || len(list) != 1 || list[0].Parent == nil {
		b.Fatalf("the newest run: %+v, %v", list, err)
	}
	return list[0].Parent.Run
}
