package engine_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/registry/wasmfile/wasmtest"
	"opsconductor.dev/host/runner/engine"
)

// TestEnginesAgreeOnEnv makes modules of random calls of Extism's functions, with
// offsets of blocks, of freed ones, and of nothing, and compares each result.
func TestEnginesAgreeOnEnv(t *testing.T) {
	t.Parallel()
	reference, native := newEngine(t, engine.NameExtism, nil), newEngine(t, engine.NameNative, nil)
	rnd := rand.New(rand.NewPCG(7, 11))
	ended := map[automation.Code]int{}
	for n := range 400 {
		wasm := envProgram(rnd)
		name := automation.Digest(fmt.Sprint("env", n))
		m, err := reference.Load(t.Context(), name, bytesOf(wasm))
		if err != nil {
			t.Fatal(err)
		}
		k, err := native.Load(t.Context(), name, bytesOf(wasm))
		if err != nil {
			t.Fatal(err)
		}
		ended[agree(t, m, k, engine.DefaultLimits(), "run", []byte("0123456789abcdef")).Code]++
		m.Release()
		k.Release()
		if t.Failed() {
			t.Fatalf("program %d: %x", n, wasm)
		}
	}
	t.Logf("programs by how they ended: %v", ended)
	if ended[""] < 100 || ended[automation.CodePluginCrashed] < 10 {
		t.Errorf("the programs end too much alike: %v", ended)
	}
}

// envWriter writes a body that keeps the result of each call in memory.
type envWriter struct {
	rnd    *rand.Rand
	b      wasmtest.Builder
	funcs  map[string]int
	body   []byte
	slots  int     // results kept so far, eight bytes each
	blocks []known // blocks in use
}

// known is a block: the slot of its offset, and its length.
type known struct{ slot, n int }

func envProgram(rnd *rand.Rand) []byte {
	w := &envWriter{rnd: rnd, funcs: map[string]int{}}
	for _, f := range []struct {
		name string
		sig  wasmtest.Sig
	}{
		{"alloc", "I>I"},
		{"free", "I>"},
		{"length", "I>I"},
		{"length_unsafe", "I>I"},
		{"load_u8", "I>i"},
		{"load_u64", "I>I"},
		{"store_u8", "Ii>"},
		{"store_u64", "II>"},
		{"input_length", ">I"},
		{"input_offset", ">I"},
		{"input_load_u8", "I>i"},
		{"input_load_u64", "I>I"},
		{"output_set", "II>"},
		{"error_set", "I>"},
		{"config_get", "I>I"},
		{"var_get", "I>I"},
		{"var_set", "II>"},
		{"log_info", "I>"},
		{"log_debug", "I>"},
		{"get_log_level", ">i"},
	} {
		w.funcs[f.name] = w.b.Import(engine.EnvModule, f.name, f.sig)
	}
	w.funcs["echo"] = w.b.Import(engine.UserModule, "echo", "I>I")
	w.b.Memory(1)
	for range 10 + rnd.IntN(60) {
		w.step()
	}
	if rnd.IntN(8) > 0 {
		w.show()
	}
	w.b.Action("run", concat(w.body, wasmtest.I32(0))...)
	return w.b.Bytes()
}

// keep writes a call and keeps its i64.
func (w *envWriter) keep(name string, args ...[]byte) int {
	w.body = concat(w.body, wasmtest.I32(int64(w.slots*8)), slices.Concat(args...), wasmtest.Call(w.funcs[name]), []byte{0x37, 3, 0})
	w.slots++
	return w.slots - 1
}

// keep32 is keep for an i32.
func (w *envWriter) keep32(name string, args ...[]byte) {
	w.body = concat(w.body, wasmtest.I32(int64(w.slots*8)), slices.Concat(args...), wasmtest.Call(w.funcs[name]), []byte{0x36, 2, 0})
	w.slots++
}

func (w *envWriter) do(name string, args ...[]byte) {
	w.body = concat(w.body, slices.Concat(args...), wasmtest.Call(w.funcs[name]))
}

// at is an offset: of a block, so many bytes on.
func (w *envWriter) at(b known, on int64) []byte {
	return concat(wasmtest.I32(int64(b.slot*8)), []byte{0x29, 3, 0}, wasmtest.I64(on), []byte{0x7c})
}

// astray is an offset where no block can be, and no header. Beyond the end some
// functions trap.
func (w *envWriter) astray() []byte {
	far := []int64{0, 0, 1 << 40, 1 << 32, -1, -8, 1 << 62, 4<<30 - 1, 1 << 30}
	return wasmtest.I64(far[w.rnd.IntN(len(far))])
}

// some is a block in use.
func (w *envWriter) some() known { return w.blocks[w.rnd.IntN(len(w.blocks))] }

// lost takes a block out of those in use.
func (w *envWriter) lost() known {
	i := w.rnd.IntN(len(w.blocks))
	b := w.blocks[i]
	w.blocks = slices.Delete(w.blocks, i, i+1)
	return b
}

// step writes one random call.
func (w *envWriter) step() {
	sizes := []int{1, 2, 7, 8, 9, 64, 100, 127, 128, 129, 200, 1000, 5000, 20_000, 60_000}
	if len(w.blocks) < 2 || w.rnd.IntN(4) == 0 {
		n := sizes[w.rnd.IntN(len(sizes))]
		w.blocks = append(w.blocks, known{w.keep("alloc", wasmtest.I64(int64(n))), n})
		return
	}
	b := w.some()
	in := int64(w.rnd.IntN(b.n))
	switch w.rnd.IntN(22) {
	case 0, 1, 2:
		lost := w.lost()
		w.do("free", w.at(lost, 0))
		w.keep("length", w.at(lost, 0))
	case 3:
		w.keep("length", w.at(b, 0))
		w.keep("length", w.at(b, 1))
		w.keep("length", w.astray())
	case 4:
		w.keep("length_unsafe", w.at(b, 0))
	case 5, 6:
		w.do("store_u8", w.at(b, in), wasmtest.I32(int64(w.rnd.IntN(256))))
	case 7:
		w.keep32("load_u8", w.at(b, in))
		w.keep32("load_u8", wasmtest.I64(int64(w.rnd.IntN(64))))
	case 8:
		if b.n >= 8 {
			w.do("store_u64", w.at(b, int64(w.rnd.IntN(b.n-7))), wasmtest.I64(w.rnd.Int64()))
		}
	case 9:
		if b.n >= 8 {
			w.keep("load_u64", w.at(b, int64(w.rnd.IntN(b.n-7))))
		}
	case 10:
		w.keep("input_length")
		w.keep("input_offset")
		w.keep32("input_load_u8", wasmtest.I64(int64(w.rnd.IntN(20))))
	case 11:
		w.keep("input_load_u64", wasmtest.I64(int64(w.rnd.IntN(9))))
	case 12:
		// Freed, it could be split, and the kernel's header would show in the output.
		b := w.lost()
		in := int64(w.rnd.IntN(b.n))
		w.do("output_set", w.at(b, in), wasmtest.I64(int64(b.n)-in))
	case 13:
		w.do("output_set", w.astray(), wasmtest.I64(int64(w.rnd.IntN(50))))
	case 14:
		w.do("error_set", [][]byte{wasmtest.I64(0), w.at(b, 0), w.astray()}[w.rnd.IntN(3)])
		w.do("error_set", wasmtest.I64(0))
	case 15:
		w.keep("config_get", w.at(b, 0))
	case 16:
		w.do("var_set", w.at(w.lost(), 0), w.at(w.lost(), 0))
	case 17:
		w.keep("var_get", w.at(w.lost(), 0))
	case 18:
		w.do([]string{"log_info", "log_debug"}[w.rnd.IntN(2)], w.at(w.lost(), 0))
		w.keep32("get_log_level")
	case 19:
		w.keep("echo", w.at(b, 0))
	case 20:
		w.do("free", w.astray())
		w.do("store_u8", wasmtest.I64(int64(w.rnd.IntN(64))), wasmtest.I32(7))
		w.keep("alloc", wasmtest.I64(0))
	default:
		if w.rnd.IntN(6) == 0 { // may trap
			w.stray()
		}
	}
}

// stray calls something with an offset that leads nowhere.
func (w *envWriter) stray() {
	switch w.rnd.IntN(7) {
	case 0:
		w.keep32("load_u8", w.astray())
	case 1:
		w.do("store_u8", w.astray(), wasmtest.I32(1))
	case 2:
		w.keep("echo", w.astray())
	case 3:
		w.keep("var_get", w.astray())
	case 4:
		w.do("log_info", w.astray())
	case 5:
		w.keep("load_u64", wasmtest.I64(1<<30))
	case 6:
		w.do("store_u64", wasmtest.I64(1<<30), wasmtest.I64(1))
	}
}

// show makes the output: all that was kept.
func (w *envWriter) show() {
	n := w.slots
	out := known{w.keep("alloc", wasmtest.I64(int64(n*8))), n * 8}
	for i := range n {
		w.do("store_u64", w.at(out, int64(i*8)), concat(wasmtest.I32(int64(i*8)), []byte{0x29, 3, 0}))
	}
	w.do("output_set", w.at(out, 0), wasmtest.I64(int64(n*8)))
}
