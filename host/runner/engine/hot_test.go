package engine_test

import (
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"opsconductor.dev/host/registry/wasmfile/wasmtest"
	"opsconductor.dev/host/runner/engine"
)

// writer is a module with a memory of 256 pages of 4 KiB, all zeros. "write"
// writes to the pages that the bytes of its input name; "find" returns how many
// words of the whole memory, one in every 64 bytes, are not zero.
func writer() []byte {
	var b wasmtest.Builder
	length := b.Import(engine.EnvModule, "input_length", ">I")
	load := b.Import(engine.EnvModule, "input_load_u8", "I>i")
	b.Memory(16)
	b.Export("write", b.FuncLocals(">i", 1, concat(
		[]byte{0x03, 0x40, 0x20, 0, 0xad}, wasmtest.Call(length), []byte{0x54, 0x04, 0x40}, // while i < input_length
		[]byte{0x20, 0, 0xad}, wasmtest.Call(load), wasmtest.I32(12), []byte{0x74}, wasmtest.I32(1), []byte{0x3a, 0, 0},
		[]byte{0x20, 0}, wasmtest.I32(1), []byte{0x6a, 0x21, 0, 0x0c, 1, 0x0b, 0x0b},
		wasmtest.I32(0),
	)...))
	b.Export("find", b.FuncLocals(">i", 2, concat(
		[]byte{0x03, 0x40, 0x20, 1, 0x20, 0, 0x29, 3, 0, 0x50, 0x45, 0x6a, 0x21, 1}, // n += memory[at] != 0
		[]byte{0x20, 0}, wasmtest.I32(64), []byte{0x6a, 0x22, 0}, wasmtest.I32(1<<20), []byte{0x49, 0x0d, 0, 0x0b},
		[]byte{0x20, 1},
	)...))
	return b.Bytes()
}

// writes makes attempts: write to pages, and then find nothing.
func writes(t *testing.T, m engine.Module, pages []byte) {
	t.Helper()
	if _, err := call(t.Context(), m, config(), "write", pages); err != nil {
		t.Fatal(err)
	}
	r, err := call(t.Context(), m, config(), "find", nil)
	if err != nil || r.RC != 0 {
		t.Fatalf("after a write to pages %v another attempt finds %d words, %v", pages, r.RC, err)
	}
}

// kept is how much memory of its own the one idle sandbox keeps, in pages of 4 KiB.
func kept(e engine.Engine) int64 { return (e.Stats().IdleBytes - 128<<10) / 4096 }

func pages(from, to, step int) []byte {
	var out []byte
	for n := from; n < to; n += step {
		out = append(out, byte(n))
	}
	return out
}

// TestHotPages: pages that calls write to again and again stay the sandbox's own,
// within a bound, and what is written to any page, hot or not, is put back.
func TestHotPages(t *testing.T) {
	t.Parallel()
	e := newEngine(t, engine.NameNative, nil)
	m := load(t, e, "writer", writer())
	repeat := func(n int, pages []byte) int64 {
		t.Helper()
		for range n {
			writes(t, m, pages)
		}
		return kept(e)
	}
	if repeat(20, []byte{1, 5, 6}) == 0 {
		t.Skip("this system does not say which pages were written")
	}
	for _, tc := range []struct {
		name   string
		times  int
		pages  []byte
		kept   int64
		atMost bool
	}{
		{"first written when the others are hot", 1, []byte{0, 2, 4, 5, 7, 255}, 3, true},
		{"every second page", 700, pages(0, 256, 2), 128, false},
		{"more than may be hot", 700, pages(0, 256, 1), 160, false},
		{"not written any more", 700, []byte{9}, 1, false},
		{"another one", 700, []byte{200}, 1, false},
	} {
		got := repeat(tc.times, tc.pages)
		if got > tc.kept || got < tc.kept && !tc.atMost {
			t.Errorf("%s: the sandbox keeps %d pages, want %d", tc.name, got, tc.kept)
		}
	}
	if s := e.Stats(); s.Made != 1 {
		t.Errorf("the sandbox was not used again: %+v", s)
	}
}

// TestHotPagesHammer: sandboxes of one module share what is known of its pages.
func TestHotPagesHammer(t *testing.T) {
	t.Parallel()
	m := load(t, newEngine(t, engine.NameNative, nil), "writer", writer())
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(w), 3))
			for n := range 400 {
				set := pages(0, rnd.IntN(256), 1+rnd.IntN(3))
				if n%3 > 0 {
					set = slices.Concat(pages(20*w, 20*w+20, 1), set[:min(len(set), 4)])
				}
				if _, err := call(t.Context(), m, config(), "write", set); err != nil {
					t.Error(err)
					return
				}
				if r, err := call(t.Context(), m, config(), "find", nil); err != nil || r.RC != 0 {
					t.Errorf("another attempt finds %d words, %v", r.RC, err)
					return
				}
			}
		})
	}
	wg.Wait()
}
