package engine_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/registry/wasmfile/wasmtest"
	"opsconductor.dev/host/runner/engine"
)

// isolationCalls is the number of random calls of the isolation test, over all
// guests.
func isolationCalls(tb testing.TB) int {
	tb.Helper()
	s := os.Getenv("OPSCONDUCTOR_ISOLATION_CALLS")
	if s == "" {
		return 2000
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		tb.Fatalf("OPSCONDUCTOR_ISOLATION_CALLS: %v", err)
	}
	return n
}

// TestResetIsFresh: random calls in sandboxes that were used before do what they
// do in sandboxes that nobody used, byte for byte. The fresh ones are the
// reference engine's for every tenth call, and the same engine's without a pool
// for the others.
func TestResetIsFresh(t *testing.T) {
	t.Parallel()
	each := isolationCalls(t) / len(languages())
	for _, language := range languages() {
		t.Run(language, func(t *testing.T) {
			t.Parallel()
			wasm := guestIn(t, language)
			e := newEngine(t, engine.NameNative, nil)
			pooled := load(t, e, language, wasm)
			fresh := load(t, newEngine(t, engine.NameNative, func(s *engine.Settings) { s.Pool.PerModule = 0 }), language, wasm)
			reference := load(t, newEngine(t, engine.NameExtism, nil), language, wasm)
			var wg sync.WaitGroup
			for w := range 2 {
				wg.Go(func() {
					rnd := rand.New(rand.NewPCG(uint64(w), 17))
					for n := range each / 2 {
						input := randomBytes(rnd, rnd.IntN(120))
						export := "mix"
						switch rnd.IntN(20) {
						case 0:
							export = "boom"
						case 1:
							export = "echo"
						}
						other := fresh
						if n%10 == 0 {
							other = reference
						}
						want := attempt(t.Context(), other, engine.DefaultLimits(), export, input)
						if diff := cmp.Diff(want, attempt(t.Context(), pooled, engine.DefaultLimits(), export, input)); diff != "" {
							t.Errorf("call %d of %d, %s(%x): (-fresh +reset)\n%s", n, w, export, input, diff)
							return
						}
					}
				})
			}
			wg.Wait()
			if s := e.Stats(); s.Reused < each*3/4 {
				t.Errorf("of %d calls %d were in a sandbox that was put back (%+v)", each, s.Reused, s)
			}
		})
	}
}

func randomBytes(rnd *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rnd.Uint32())
	}
	return b
}

// keeper is a module that keeps a canary wherever a module can, under "leave",
// and looks for it in all these places under "find": the answer has a bit for
// each place where it was found. far is the farthest place in the arena.
func keeper(far int64) []byte {
	var b wasmtest.Builder
	env := func(name string, s wasmtest.Sig) int { return b.Import(engine.EnvModule, name, s) }
	alloc, storeU64, loadU64 := env("alloc", "I>I"), env("store_u64", "II>"), env("load_u64", "I>I")
	length, varSet, varGet := env("length", "I>I"), env("var_set", "II>"), env("var_get", "I>I")
	outputSet, errorSet := env("output_set", "II>"), env("error_set", "I>")
	b.Memory(4)
	global := b.Global(0x7e, wasmtest.I64(0))
	narrow := b.Global(0x7f, wasmtest.I32(0))
	float := b.Global(0x7c, append([]byte{0x44}, make([]byte, 8)...))
	const canary = 0x0ddba11_cafe
	at := func(n int64) []byte { return wasmtest.I64(n) }
	store := func(addr int64) []byte {
		return concat(wasmtest.I32(addr), wasmtest.I64(canary), []byte{0x37, 3, 0})
	}
	// A block of 8 bytes is at 77 in an empty arena: name of the variable, and canary.
	leave := concat(
		store(0), store(70_000), store(4<<16-8),
		wasmtest.I64(canary), []byte{0x24}, wasmtest.U(uint64(global)),
		wasmtest.I32(77), []byte{0x24}, wasmtest.U(uint64(narrow)),
		[]byte{0x44, 1, 2, 3, 4, 5, 6, 7, 8, 0x24}, wasmtest.U(uint64(float)),
		at(8), wasmtest.Call(alloc), wasmtest.I64(canary), wasmtest.Call(storeU64),
		at(8), wasmtest.Call(alloc), wasmtest.I64(canary), wasmtest.Call(storeU64),
		at(30_000), wasmtest.I64(canary), wasmtest.Call(storeU64),
		at(far), wasmtest.I64(canary), wasmtest.Call(storeU64),
		at(77), at(97), wasmtest.Call(varSet),
		at(60_000), wasmtest.Call(alloc), []byte{0x1a},
		at(30_000), at(8), wasmtest.Call(outputSet),
		at(77), wasmtest.Call(errorSet), at(0), wasmtest.Call(errorSet),
		wasmtest.I32(0),
	)
	bit := func(n int, found []byte) []byte { // found leaves an i32 that is not 0 where the canary is
		return concat([]byte{0x20, 0}, found, wasmtest.I32(0), []byte{0x47}, wasmtest.I32(int64(n)), []byte{0x74, 0x72, 0x21, 0})
	}
	nonzero := func(i64 []byte) []byte { return concat(i64, []byte{0x50, 0x45}) }
	load := func(addr int64) []byte { return nonzero(concat(wasmtest.I32(addr), []byte{0x29, 3, 0})) }
	kept := concat(wasmtest.I32(200), []byte{0x29, 3, 0})
	find := concat(
		at(far+16), wasmtest.I64(1), wasmtest.Call(storeU64), // all before it is in use from here on
		bit(0, load(0)), bit(1, load(70_000)), bit(2, load(4<<16-8)),
		bit(3, nonzero(concat([]byte{0x23}, wasmtest.U(uint64(global))))),
		bit(4, concat([]byte{0x23}, wasmtest.U(uint64(narrow)))),
		bit(5, nonzero(concat([]byte{0x23}, wasmtest.U(uint64(float)), []byte{0xbd}))),
		bit(6, nonzero(concat(at(77), wasmtest.Call(loadU64)))),
		bit(7, nonzero(concat(at(97), wasmtest.Call(loadU64)))),
		bit(8, nonzero(concat(at(30_000), wasmtest.Call(loadU64)))),
		bit(9, nonzero(concat(at(far), wasmtest.Call(loadU64)))),
		bit(10, nonzero(concat(at(117), wasmtest.Call(length)))), // the block of 60,000
		// The variable by its name, the canary, which is written anew for that.
		wasmtest.I32(200), at(8), wasmtest.Call(alloc), []byte{0x37, 3, 0}, kept, wasmtest.I64(canary), wasmtest.Call(storeU64),
		bit(11, nonzero(concat(kept, wasmtest.Call(varGet)))),
		[]byte{0x20, 0},
	)
	b.Action("leave", leave...)
	b.Export("find", b.FuncLocals(">i", 1, find...))
	b.Export("both", b.FuncLocals(">i", 1, concat(leave, []byte{0x1a}, find)...))
	return b.Bytes()
}

func TestCanary(t *testing.T) { onBoth(t, testCanary) }

func testCanary(t *testing.T, kind string) {
	// A small arena's buffer is kept, a large one is not.
	for _, far := range []int64{40_000, 900_000} {
		t.Run(strconv.FormatInt(far, 10), func(t *testing.T) {
			t.Parallel()
			findNoCanary(t, kind, far)
		})
	}
}

func findNoCanary(t *testing.T, kind string, far int64) {
	t.Helper()
	e := newEngine(t, kind, nil)
	m := load(t, e, "keeper", keeper(far))
	run := func(export string) engine.Result {
		t.Helper()
		r, err := call(t.Context(), m, config(), export, nil)
		if err != nil {
			t.Fatalf("%s: %v", export, err)
		}
		return r
	}
	if got := run("both").RC; got != 1<<12-1 {
		t.Errorf("within one attempt the canary is found at %012b, want it in all places", got)
	}
	for range 20 {
		if r := run("leave"); len(r.Output) != 8 {
			t.Fatalf("leave: got output %x", r.Output)
		}
		if r := run("find"); r.RC != 0 || len(r.Output) != 0 || r.Failure != "" {
			t.Fatalf("another attempt finds the canary at %012b (output %x, failure %q)", r.RC, r.Output, r.Failure)
		}
	}
	if s := e.Stats(); kind == engine.NameNative && (s.Reused < 40 || s.Made != 1) {
		t.Errorf("the sandboxes were not used again: %+v", s)
	}
}

// TestThrownAway: which sandboxes are not used again.
func TestThrownAway(t *testing.T) {
	t.Parallel()
	ok := []byte{0x41, 0}
	for name, tc := range map[string]struct {
		make   func(b *wasmtest.Builder)
		body   []byte
		cancel bool
		again  bool
	}{
		"nothing special": {body: ok, again: true},
		"a trap":          {body: []byte{0x00}},
		"growth":          {body: concat(wasmtest.I32(1), []byte{0x40, 0})},
		"growth by 0":     {body: concat(wasmtest.I32(0), []byte{0x40, 0}), again: true},
		"cancel":          {body: concat(loop, ok), cancel: true},
		"a table that is set": {
			make: func(b *wasmtest.Builder) { b.Table(1) },
			body: concat(wasmtest.I32(0), []byte{0xd0, 0x70, 0x26, 0}, ok),
		},
		"a table that grows": {
			make: func(b *wasmtest.Builder) { b.Table(1) },
			body: concat([]byte{0xd0, 0x70}, wasmtest.I32(1), []byte{0xfc, 15, 0, 0x1a}, ok),
		},
		"a global that holds a reference": {
			make: func(b *wasmtest.Builder) { b.Global(0x70, []byte{0xd0, 0x70}) },
			body: ok,
		},
		"a start function": {
			make: func(b *wasmtest.Builder) { b.Start(b.Func(">")) },
			body: ok,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEngine(t, engine.NameNative, nil)
			var b wasmtest.Builder
			b.Memory(1)
			if tc.make != nil {
				tc.make(&b)
			}
			b.Action("run", tc.body...)
			b.Action("noop", ok...)
			m := load(t, e, name, b.Bytes())
			if _, err := call(t.Context(), m, config(), "noop", nil); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if tc.cancel {
				var stop context.CancelFunc
				ctx, stop = context.WithTimeout(ctx, 100*time.Millisecond)
				defer stop()
			}
			_, _ = call(ctx, m, config(), "run", nil)
			if got := e.Stats().Idle == 1; got != tc.again {
				t.Errorf("kept: got %t, want %t (%+v)", got, tc.again, e.Stats())
			}
			if _, err := call(t.Context(), m, config(), "noop", nil); err != nil {
				t.Errorf("the next attempt: %v", err)
			}
		})
	}
}

// TestWASIStateIsNotShared: a file that one attempt closes is open for the next.
func TestWASIStateIsNotShared(t *testing.T) { onBoth(t, testWASIStateIsNotShared) }

func testWASIStateIsNotShared(t *testing.T, kind string) {
	var b wasmtest.Builder
	closeFD := b.Import(engine.WASIModule, "fd_close", "i>i")
	renumber := b.Import(engine.WASIModule, "fd_renumber", "ii>i")
	stat := b.Import(engine.WASIModule, "fd_fdstat_get", "ii>i")
	b.Memory(1)
	b.Action("close", concat(wasmtest.I32(1), wasmtest.Call(closeFD))...)
	b.Action("move", concat(wasmtest.I32(1), wasmtest.I32(2), wasmtest.Call(renumber))...)
	b.Action("look", concat(wasmtest.I32(1), wasmtest.I32(64), wasmtest.Call(stat))...)
	m := load(t, newEngine(t, kind, nil), "files", b.Bytes())
	for _, export := range []string{"look", "close", "look", "move", "look"} {
		r, err := call(t.Context(), m, config(), export, nil)
		if err != nil {
			t.Fatal(err)
		}
		if export == "look" && r.RC != 0 {
			t.Errorf("standard output is not open: errno %d", r.RC)
		}
	}
}

// TestInitialiseOnce: what an initialisation did with its own attempt is not
// given to another; what it did alone is.
func TestInitialiseOnce(t *testing.T) {
	t.Parallel()
	var alone, curious wasmtest.Builder
	alone.Memory(1)
	alone.Export("_initialize", alone.Func(">", counting()...))
	alone.Action("run", concat(counting(), load0())...)
	inputLength := curious.Import(engine.EnvModule, "input_length", ">I")
	curious.Memory(1)
	curious.Export("_initialize", curious.Func(">", concat(wasmtest.I32(0), wasmtest.Call(inputLength), []byte{0x37, 3, 0})...))
	curious.Action("run", load0()...)
	for name, tc := range map[string]struct {
		wasm []byte
		want func(n int) uint32
		idle int
	}{
		"alone":   {alone.Bytes(), func(int) uint32 { return 2 }, 1},
		"curious": {curious.Bytes(), func(n int) uint32 { return uint32(n) }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEngine(t, engine.NameNative, nil)
			m := load(t, e, name, tc.wasm)
			for n := range 5 {
				r, err := call(t.Context(), m, config(), "run", bytes.Repeat([]byte("x"), n))
				if err != nil || r.RC != tc.want(n) {
					t.Errorf("attempt %d: got %d, %v, want %d", n, r.RC, err, tc.want(n))
				}
			}
			if got := e.Stats().Idle; got != tc.idle {
				t.Errorf("idle sandboxes: got %d, want %d", got, tc.idle)
			}
		})
	}
}

// TestPoolBounds: idle sandboxes leave by their number, their memory and their age,
// and with their module.
func TestPoolBounds(t *testing.T) {
	t.Parallel()
	fill := func(t *testing.T, n int, change func(*engine.Settings)) engine.Engine {
		t.Helper()
		e := newEngine(t, engine.NameNative, change)
		for _, name := range []string{"a", "b"} {
			m := load(t, e, name, hand(0x41, 0))
			var open []engine.Instance
			for range n {
				i, err := m.New(t.Context(), config())
				if err != nil {
					t.Fatal(err)
				}
				if _, err := i.Call(t.Context(), "run", nil); err != nil {
					t.Fatal(err)
				}
				open = append(open, i)
			}
			for _, i := range open {
				i.Close(t.Context())
			}
		}
		return e
	}
	t.Run("number", func(t *testing.T) {
		t.Parallel()
		e := fill(t, 5, func(s *engine.Settings) { s.Pool.PerModule = 3 })
		if got := e.Stats().Idle; got != 6 {
			t.Errorf("idle: got %d, want 6", got)
		}
	})
	t.Run("memory", func(t *testing.T) {
		t.Parallel()
		e := fill(t, 5, func(s *engine.Settings) { s.Pool.Bytes = 1 << 20 })
		if s := e.Stats(); s.IdleBytes > 1<<20 || s.Idle == 0 || s.Idle > 8 {
			t.Errorf("idle: got %d with %d bytes, want at most 1 MiB", s.Idle, s.IdleBytes)
		}
	})
	t.Run("age", func(t *testing.T) {
		t.Parallel()
		e := fill(t, 2, func(s *engine.Settings) { s.Pool.Idle = 20 * time.Millisecond })
		eventually(t, func() bool { return e.Stats().Idle == 0 })
	})
	t.Run("module", func(t *testing.T) {
		t.Parallel()
		e := newEngine(t, engine.NameNative, func(s *engine.Settings) { s.Modules = 1 })
		for n := range 4 {
			m, err := e.Load(t.Context(), automation.Digest(fmt.Sprint(n)), bytesOf(hand(0x41, 0)))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := call(t.Context(), m, config(), "run", nil); err != nil {
				t.Fatal(err)
			}
			m.Release()
		}
		eventually(t, func() bool { return e.Stats().Idle == 1 })
	})
}

// TestReservedExports: a module can't bring exports under the host's own names.
func TestReservedExports(t *testing.T) {
	t.Parallel()
	var b wasmtest.Builder
	b.Memory(1)
	b.Action("run", 0x41, 0)
	b.Action("opsconductor.g0", 0x41, 0)
	_, err := newEngine(t, engine.NameNative, nil).Load(t.Context(), "x", bytesOf(b.Bytes()))
	wantCode(t, err, automation.CodeBadPlugin)
	if err != nil && !strings.Contains(err.Error(), "opsconductor.") {
		t.Errorf("the error %q does not name the export", err)
	}
}

// TestPooledHammer: many attempts at a time in few sandboxes, with cancels, each
// with its own answer.
func TestPooledHammer(t *testing.T) {
	t.Parallel()
	e := newEngine(t, engine.NameNative, nil)
	m := load(t, e, "guest", guest(t))
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(w), 1))
			for n := range 40 {
				ctx, cancel := context.WithCancel(t.Context())
				if rnd.IntN(5) == 0 {
					ctx, cancel = context.WithTimeout(t.Context(), time.Duration(rnd.IntN(2000))*time.Microsecond)
				}
				input := fmt.Sprintf(`{"worker":%d,"n":%d}`, w, n)
				r, err := call(ctx, m, config(), "host", []byte(input))
				cancel()
				want := `{"ok":{"name":"echo","request":` + input + `}}`
				if code := automation.CodeOf(err); err == nil && string(r.Output) != want ||
					err != nil && code != automation.CodeTimeout && code != automation.CodeCancelled {
					t.Errorf("got %q, %v, want %q", r.Output, err, want)
				}
			}
		})
	}
	wg.Wait()
	eventually(t, func() bool { return e.Stats().Instances == 0 })
}
