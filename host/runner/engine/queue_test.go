package engine_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"opsconductor.dev/host/registry/wasmfile/wasmtest"
	"opsconductor.dev/host/runner/engine"
)

// gambler draws a number when it is initialised, which takes a while; "run"
// returns it.
func gambler() []byte {
	var b wasmtest.Builder
	random := b.Import(engine.WASIModule, "random_get", "ii>i")
	b.Memory(1)
	b.Export("_initialize", b.FuncLocals(">", 1, concat(
		[]byte{0x03, 0x40, 0x20, 0}, wasmtest.I32(1), []byte{0x6a, 0x22, 0}, wasmtest.I32(5_000_000), []byte{0x49, 0x0d, 0, 0x0b},
		wasmtest.I32(0), wasmtest.I32(4), wasmtest.Call(random), []byte{0x1a},
	)...))
	b.Action("run", load0()...)
	return b.Bytes()
}

// TestFirstBurst: of many attempts that begin at once with a module that nobody
// used, one initialises a sandbox, and the others begin where it ended.
func TestFirstBurst(t *testing.T) {
	t.Parallel()
	m := load(t, newEngine(t, engine.NameNative, nil), "gambler", gambler())
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		drawn = map[uint32]int{}
		start = make(chan struct{})
	)
	for range 20 {
		wg.Go(func() {
			<-start
			r, err := call(t.Context(), m, config(), "run", nil)
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			drawn[r.RC]++
		})
	}
	close(start)
	wg.Wait()
	if len(drawn) != 1 {
		t.Errorf("%d sandboxes were initialised, want 1: %v", len(drawn), drawn)
	}
}

// TestFirstGoesAway: who is first and leaves without a call, or is stopped in it,
// makes room for the next one.
func TestFirstGoesAway(t *testing.T) {
	t.Parallel()
	m := load(t, newEngine(t, engine.NameNative, nil), "gambler", gambler())
	began := time.Now()
	for range 20 {
		i, err := m.New(t.Context(), config())
		if err != nil {
			t.Fatal(err)
		}
		i.Close(t.Context())
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("20 that left at once held each other up for %s", took)
	}
	ctx, cancel := context.WithTimeoutCause(t.Context(), time.Millisecond, errors.New("enough"))
	defer cancel()
	_, _ = call(ctx, m, config(), "run", nil)
	first, err := m.New(t.Context(), config())
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close(t.Context())
	// Nobody waits for ever for one who does nothing.
	ctx, cancel = context.WithTimeoutCause(t.Context(), 30*time.Second, errors.New("enough"))
	defer cancel()
	if _, err := call(ctx, m, config(), "run", nil); err != nil {
		t.Error(err)
	}
}
