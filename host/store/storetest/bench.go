package storetest

import (
	"sync"
	"testing"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
)

// Bench measures what the scheduler and the acceptors do, on a new store for each
// benchmark.
func Bench(b *testing.B, open func(b testing.TB) store.Store) {
	b.Helper()
	b.Run("append/runs=500", func(b *testing.B) { benchAppend(b, open(b), 500) })
	b.Run("append/runs=50", func(b *testing.B) { benchAppend(b, open(b), 50) })
	b.Run("append/runs=1", func(b *testing.B) { benchAppend(b, open(b), 1) })
	b.Run("append/fanout=500", func(b *testing.B) { benchFanOut(b, open(b), 500) })
	b.Run("accept/parallel", func(b *testing.B) { benchAccept(b, open(b), 64) })
	b.Run("accept/alone", func(b *testing.B) { benchAccept(b, open(b), 0) })
	b.Run("replay/entries=20000", func(b *testing.B) { benchReplay(b, open(b), 20000) })
}

func prepare(b *testing.B, st store.Store) (automation.Digest, int64) {
	b.Helper()
	plan := digest("plan")
	// As many partitions as a deployment has that keeps a month.
	for day := range 32 {
		if _, err := st.Sweep(b.Context(), store.Sweep{Now: time.Now().AddDate(0, 0, day)}); err != nil {
			b.Fatal(err)
		}
	}
	if err := st.PutPlan(b.Context(), tenant, plan, []byte("{}"), start()); err != nil {
		b.Fatal(err)
	}
	epoch, err := st.Lead(b.Context(), 0, "h", 0, time.Hour)
	if err != nil {
		b.Fatal(err)
	}
	return plan, epoch
}

func ended(item int) automation.Fact {
	return automation.Fact{
		Kind: automation.FactAttemptEnded, At: start(), Item: item, Attempt: 1, Host: "01900000-0000-7000-8000-000000000001", HostEpoch: 1,
		Outcome: &automation.Outcome{State: automation.ItemSucceeded, Output: []byte(`{"exit_code":0,"stdout":"ok"}`), StartedAt: start(), EndedAt: start()},
	}
}

// acceptMany stores n runs, many at a time.
func acceptMany(b *testing.B, st store.Store, plan automation.Digest, n int) []automation.RunID {
	b.Helper()
	const callers = 64
	ids := make([]automation.RunID, n)
	var wg sync.WaitGroup
	for first := range callers {
		wg.Go(func() {
			for i := first; i < n; i += callers {
				run, _, err := st.Accept(b.Context(), newRun(tenant, plan), act("run.submit"))
				if err != nil {
					b.Error(err)
					return
				}
				ids[i] = run.ID
			}
		})
	}
	wg.Wait()
	if b.Failed() {
		b.FailNow()
	}
	return ids
}

// benchAppend commits the end of one step of each of `runs` runs, and the grant
// of the next: what single-step runs do. It reports steps per second.
func benchAppend(b *testing.B, st store.Store, runs int) {
	plan, epoch := prepare(b, st)
	ids := acceptMany(b, st, plan, runs)
	steps := 0
	b.ResetTimer()
	for b.Loop() {
		batch := store.Batch{Host: "h", Epoch: epoch}
		for i, id := range ids {
			e := granted(id, i)
			e.Facts = append(e.Facts, ended(i))
			batch.Entries = append(batch.Entries, e)
			batch.Runs = append(batch.Runs, automation.RunUpdate{Run: id, State: automation.RunRunning, Started: start()})
		}
		if err := st.Append(b.Context(), batch); err != nil {
			b.Fatal(err)
		}
		steps += runs
	}
	b.ReportMetric(float64(steps)/b.Elapsed().Seconds(), "steps/s")
}

// benchFanOut commits the end of `items` items of one run in one entry.
func benchFanOut(b *testing.B, st store.Store, items int) {
	plan, epoch := prepare(b, st)
	run := acceptMany(b, st, plan, 1)[0]
	steps := 0
	b.ResetTimer()
	for b.Loop() {
		var e automation.Entry
		e.Run = run
		for i := range items {
			e.Facts = append(append(e.Facts, granted(run, i).Facts...), ended(i))
		}
		if err := st.Append(b.Context(), store.Batch{Host: "h", Epoch: epoch, Entries: []automation.Entry{e}}); err != nil {
			b.Fatal(err)
		}
		steps += items
	}
	b.ReportMetric(float64(steps)/b.Elapsed().Seconds(), "steps/s")
}

func benchAccept(b *testing.B, st store.Store, parallel int) {
	plan, _ := prepare(b, st)
	b.ResetTimer()
	if parallel == 0 {
		for b.Loop() {
			if _, _, err := st.Accept(b.Context(), newRun(tenant, plan), act("run.submit")); err != nil {
				b.Fatal(err)
			}
		}
		return
	}
	b.SetParallelism(parallel)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, _, err := st.Accept(b.Context(), newRun(tenant, plan), act("run.submit")); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "runs/s")
}

func benchReplay(b *testing.B, st store.Store, entries int) {
	plan, epoch := prepare(b, st)
	ids := acceptMany(b, st, plan, 1000)
	for n := len(ids); n < entries; n += len(ids) {
		batch := store.Batch{Host: "h", Epoch: epoch}
		for i, id := range ids {
			e := granted(id, i)
			e.Facts = append(e.Facts, ended(i))
			batch.Entries = append(batch.Entries, e)
		}
		if err := st.Append(b.Context(), batch); err != nil {
			b.Fatal(err)
		}
	}
	b.ResetTimer()
	for b.Loop() {
		got := 0
		if _, err := st.Replay(b.Context(), 0, func(automation.Entry) error { got++; return nil }); err != nil || got != entries {
			b.Fatalf("%d entries, %v", got, err)
		}
	}
	b.ReportMetric(float64(entries)*float64(b.N)/b.Elapsed().Seconds(), "entries/s")
}
