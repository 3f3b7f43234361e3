package attack_test

import (
	"bytes"
	"context"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/registry/wasmfile/wasmtest"
)

// resident is the memory that the process has: what the system counts on Linux,
// what the Go runtime has elsewhere.
func resident() int64 {
	if runtime.GOOS == "linux" {
		b, err := os.ReadFile("/proc/self/statm")
		if fields := bytes.Fields(b); err == nil && len(fields) > 1 {
			if pages, err := strconv.ParseInt(string(fields[1]), 10, 64); err == nil {
				return pages * int64(os.Getpagesize())
			}
		}
	}
	s := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(s)
	return int64(s[0].Value.Uint64() - s[1].Value.Uint64())
}

// growth returns by how much the process was larger at most while work ran than
// before.
func growth(work func()) int64 {
	debug.FreeOSMemory()
	before := resident()
	most := before
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				most = max(most, resident())
			}
		}
	})
	work()
	close(done)
	wg.Wait()
	return max(most, resident()) - before
}

// neighbour is a plugin that does what it should, once every two milliseconds.
type neighbour struct {
	host   *host
	digest automation.Digest

	mu    sync.Mutex
	walls []time.Duration
	wrong []string
}

func newNeighbour(tb testing.TB, h *host) *neighbour {
	tb.Helper()
	a := attack{module: askLook}
	n := &neighbour{host: h, digest: h.shelf.put(a.bytes())}
	n.call(tb.Context(), tb) // compiled and initialised
	n.take()
	return n
}

// askLook makes a module that asks a host function and returns.
func askLook(b *builder) {
	alloc := b.Import("extism:host/env", "alloc", "I>I")
	store := b.Import("extism:host/env", "store_u8", "Ii>")
	look := b.Import("extism:host/user", "look", "I>I")
	b.Memory(1)
	b.Action("run", requestTo(b, alloc, store, look, drop, zero)...)
}

// requestTo asks a host function with {} and goes on; it uses one i64 in memory.
func requestTo(_ *builder, alloc, store, function int, then ...[]byte) []byte {
	at := []byte{0x29, 3, 0} // i64.load
	return code(zero, wasmtest.I64(2), wasmtest.Call(alloc), []byte{0x37, 3, 0},
		zero, at, wasmtest.I32('{'), wasmtest.Call(store),
		zero, at, wasmtest.I64(1), []byte{0x7c}, wasmtest.I32('}'), wasmtest.Call(store),
		zero, at, wasmtest.Call(function), code(then...))
}

func (n *neighbour) call(ctx context.Context, tb testing.TB) {
	began := time.Now()
	o := n.host.runner(tb).Execute(ctx, attempt(n.digest, nil, time.Minute), nil)
	wall := time.Since(began)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.walls = append(n.walls, wall)
	if o.Error != nil && ctx.Err() == nil {
		n.wrong = append(n.wrong, o.Error.Error())
	}
}

// live calls it until ctx ends.
func (n *neighbour) live(ctx context.Context, tb testing.TB) {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			n.call(ctx, tb)
		}
	}
}

// take returns how long the calls took since the last take, sorted, and what went
// wrong.
func (n *neighbour) take() ([]time.Duration, []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	walls, wrong := n.walls, n.wrong
	n.walls, n.wrong = nil, nil
	slices.Sort(walls)
	return walls, wrong
}

func percentile(sorted []time.Duration, p int) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[len(sorted)*p/100]
}
