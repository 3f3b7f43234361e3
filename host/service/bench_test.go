package service_test

import (
	"testing"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/service"
)

// BenchmarkItems reads a page in the middle of a run of 1,000 items.
func BenchmarkItems(b *testing.B) {
	f := setup(b)
	const items = 1000 // a loop's limit
	run := f.submit(b, f.fanPlan(b, items))
	l := f.lead(b)
	var facts []automation.Fact
	for i := range items {
		facts = append(facts, granted(0, i, 1), succeeded(0, i, 1, `{"x":1}`))
	}
	l.commit(b, run.ID, l.running(), facts...)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := f.Items(b.Context(), submitter(), run.ID, service.ItemQuery{Limit: 100}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSubmit submits runs of one plan, one after the other.
func BenchmarkSubmit(b *testing.B) {
	f := setup(b)
	hash := f.fanPlan(b, 1)
	b.ReportAllocs()
	for b.Loop() {
		f.submit(b, hash)
	}
}

// BenchmarkSubmitTogether submits runs of one plan from many callers at once:
// they share commits.
func BenchmarkSubmitTogether(b *testing.B) {
	f := setup(b)
	hash := f.fanPlan(b, 1)
	b.SetParallelism(64)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			f.submit(b, hash)
		}
	})
}

// BenchmarkAuthenticate looks up a token.
func BenchmarkAuthenticate(b *testing.B) {
	f := setup(b)
	_, value, err := f.CreateToken(b.Context(), admin(), service.TokenRequest{Name: "x", Role: automation.RoleAdmin})
	if err != nil {
		b.Fatal(err)
	}
	text := string(value.Reveal())
	for b.Loop() {
		if _, err := f.Authenticate(b.Context(), text); err != nil {
			b.Fatal(err)
		}
	}
}
