package scheduler_test

import (
	"testing"
	"time"

	"opsconductor.dev/host/automation"
)

// BenchmarkSingleStepRuns is whole runs of one step each, accepted in parallel,
// without a sandbox.
func BenchmarkSingleStepRuns(b *testing.B) {
	f := setup(b)
	f.start(f.st, executor(succeed))
	plan := steps(automation.EffectPure, 1)
	f.await(f.submit(plan), ended)
	hash := plan.Hash()
	b.SetParallelism(64)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			f.accept(plan, hash)
		}
	})
	f.await(f.submit(plan), ended)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "steps/s")
}

// BenchmarkChain is one run of 20 steps in a row: what a step adds.
func BenchmarkChain(b *testing.B) {
	f := setup(b)
	f.start(f.st, executor(succeed))
	plan := steps(automation.EffectPure, 20)
	f.await(f.submit(plan), ended)
	for b.Loop() {
		f.await(f.submit(plan), ended)
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(20*b.N), "µs/step")
}

// BenchmarkChainOnAnotherHost is the same on PostgreSQL, by a host that does not
// lead: each step goes to it and comes back through the store.
func BenchmarkChainOnAnotherHost(b *testing.B) {
	f := setupPostgres(b)
	leader := f.join("leader", hostSettings{execute: succeed, ttl: time.Minute})
	f.leads(leader)
	f.joined(f.join("worker", hostSettings{slots: 16, execute: succeed, ttl: time.Minute}))
	plan := steps(automation.EffectPure, 20)
	f.await(f.submit(plan), ended)
	for b.Loop() {
		f.await(f.submit(plan), ended)
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(20*b.N), "µs/step")
}
