package runner_test

import (
	"testing"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/runner"
)

// BenchmarkExecute measures an attempt as a worker sees it: with and without a
// call of a host function.
func BenchmarkExecute(b *testing.B) {
	for _, action := range []string{"say", "look"} {
		b.Run(action, func(b *testing.B) {
			w := newWorld(b, automation.EffectPure)
			r, err := runner.New(w.config)
			if err != nil {
				b.Fatal(err)
			}
			a := w.attempt(action, `{"text":"{}","request":{}}`, automation.EffectPure)
			b.ReportAllocs()
			for b.Loop() {
				if o := r.Execute(b.Context(), a, nil); o.State != automation.ItemSucceeded {
					b.Fatalf("got %s: %v", o.State, o.Error)
				}
			}
		})
	}
}
