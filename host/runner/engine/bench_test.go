package engine_test

import (
	"testing"

	"opsconductor.dev/host/runner/engine"
)

// BenchmarkAttempt measures what an attempt costs in the sandbox: a fresh
// instance, one call, and its end.
func BenchmarkAttempt(b *testing.B) { benchBoth(b, benchAttempt) }

func benchAttempt(b *testing.B, kind string) {
	for _, bc := range []struct {
		name, export string
		wasm         func(testing.TB) []byte
	}{
		{"go/noop", "noop", guest},
		{"go/host", "host", guest},
		{"small/noop", "run", func(testing.TB) []byte { return hand(0x41, 0) }},
	} {
		b.Run(bc.name, func(b *testing.B) {
			e := newEngine(b, kind, nil)
			m := load(b, e, bc.name, bc.wasm(b))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := call(b.Context(), m, config(), bc.export, []byte("{}")); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(bc.name+"/parallel", func(b *testing.B) {
			e := newEngine(b, kind, nil)
			m := load(b, e, bc.name, bc.wasm(b))
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := call(b.Context(), m, config(), bc.export, []byte("{}")); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}

// BenchmarkHostCall measures a host call within one instance.
func BenchmarkHostCall(b *testing.B) { benchBoth(b, benchHostCall) }

func benchHostCall(b *testing.B, kind string) {
	e := newEngine(b, kind, nil)
	m := load(b, e, "go", guest(b))
	c := config()
	c.Limits.HostCalls = 1 << 30
	i, err := m.New(b.Context(), c)
	if err != nil {
		b.Fatal(err)
	}
	defer i.Close(b.Context())
	for b.Loop() {
		if _, err := i.Call(b.Context(), "host", []byte("{}")); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkLoad measures loading a module that is not in memory: from the cache
// on disk, and compiled anew.
func BenchmarkLoad(b *testing.B) { benchBoth(b, benchLoad) }

func benchLoad(b *testing.B, kind string) {
	for name, change := range map[string]func(*engine.Settings){
		"disk": nil, "compile": func(s *engine.Settings) { s.CacheDir = "" },
	} {
		b.Run(name, func(b *testing.B) {
			wasm := guest(b)
			for b.Loop() {
				e := newEngine(b, kind, change)
				m, err := e.Load(b.Context(), "go", bytesOf(wasm))
				if err != nil {
					b.Fatal(err)
				}
				m.Release()
			}
		})
	}
}

func benchBoth(b *testing.B, bench func(b *testing.B, kind string)) {
	b.Helper()
	for _, kind := range engine.Names() {
		b.Run(kind, func(b *testing.B) { bench(b, kind) })
	}
}
