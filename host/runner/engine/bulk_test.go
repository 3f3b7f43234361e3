package engine_test

import (
	"crypto/sha256"
	"fmt"
	"testing"

	"opsconductor.dev/host/registry/wasmfile"
	"opsconductor.dev/host/registry/wasmfile/wasmtest"
)

// TestLongBulkOperations: what is copied and filled in pieces comes out as if done
// at once, and where it faults nothing is written.
func TestLongBulkOperations(t *testing.T) {
	t.Parallel()
	const mib, pages = 1 << 20, 80 // 5 MiB
	ops := map[string][]byte{"copy": {0xfc, 10, 0, 0}, "fill": {0xfc, 11, 0}}
	for name, tc := range map[string]struct {
		op      string
		a, b, n int64
	}{
		"copy up":                {"copy", 70_001, 3, 3*mib + 17},
		"copy down":              {"copy", 3, 70_001, 3*mib + 17},
		"copy up, a byte":        {"copy", 1, 0, 4 * mib},
		"copy down, a byte":      {"copy", 0, 1, 4 * mib},
		"copy onto itself":       {"copy", 5, 5, 4 * mib},
		"copy, apart":            {"copy", 3 * mib, 0, 3*mib/2 + 1},
		"copy of a piece":        {"copy", 2 * mib, 0, mib},
		"copy to the end":        {"copy", 2 * mib, 0, 3 * mib},
		"copy past the end":      {"copy", 2*mib + 1, 0, 3 * mib},
		"copy from past the end": {"copy", 0, 2*mib + 1, 3 * mib},
		"copy of all there is":   {"copy", 0, 1, 1<<32 - 1},
		"fill":                   {"fill", 3, 0xab, 3*mib + 17},
		"fill to the end":        {"fill", 2 * mib, 0xab, 3 * mib},
		"fill past the end":      {"fill", 2 * mib, 0xab, 3*mib + 1},
		"fill far past the end":  {"fill", 1<<32 - 1, 0xab, 1<<32 - 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var b wasmtest.Builder
			b.Memory(pages)
			// Every eighth byte differs, and no two MiB are the same.
			b.FuncLocals(">", 1, concat([]byte{0x03, 0x40, 0x20, 0, 0x20, 0}, wasmtest.I32(0x9e3779b1-1<<32), []byte{0x6c, 0x36, 2, 0, 0x20, 0},
				wasmtest.I32(8), []byte{0x6a, 0x22, 0}, wasmtest.I32(pages<<16), []byte{0x49, 0x0d, 0, 0x0b})...)
			narrow := func(v int64) []byte { return wasmtest.I32(int64(int32(v))) }
			b.Action("run", concat(wasmtest.Call(0), narrow(tc.a), narrow(tc.b), narrow(tc.n), ops[tc.op], []byte{0x41, 0})...)
			plain := b.Bytes()
			metered, _, err := wasmfile.Instrument(plain, wasmfile.DefaultOptions())
			if err != nil {
				t.Fatal(err)
			}
			outcome := func(wasm []byte) string {
				r := newMeteredRun(t, wasm, wasmfile.Slice)
				defer r.close()
				got, _ := r.call(t, "run")
				memory, _ := r.m.Memory().Read(0, r.m.Memory().Size())
				return fmt.Sprintf("%s, memory %x", got, sha256.Sum256(memory))
			}
			if got, want := outcome(metered), outcome(plain); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		})
	}
}

// TestBulkOperationsAreChargedByLength.
func TestBulkOperationsAreChargedByLength(t *testing.T) {
	t.Parallel()
	null := []byte{0xd0, 0x70}
	for name, tc := range map[string]struct {
		body  []byte
		least int64
	}{
		"memory.fill":  {concat(wasmtest.I32(0), wasmtest.I32(0), wasmtest.I32(60_000), []byte{0xfc, 11, 0}), 60_000 / 8},
		"long fill":    {concat(wasmtest.I32(0), wasmtest.I32(0), wasmtest.I32(5<<20), []byte{0xfc, 11, 0}), 5 << 20 / 8},
		"memory.copy":  {concat(wasmtest.I32(0), wasmtest.I32(9), wasmtest.I32(60_000), []byte{0xfc, 10, 0, 0}), 60_000 / 8},
		"memory.init":  {concat(wasmtest.I32(0), wasmtest.I32(0), wasmtest.I32(8000), []byte{0xfc, 8, 0, 0}), 8000 / 8},
		"memory.grow":  {concat(wasmtest.I32(3), []byte{0x40, 0, 0x1a}), 3 * 2000},
		"table.fill":   {concat(wasmtest.I32(0), null, wasmtest.I32(9000), []byte{0xfc, 17, 0}), 9000},
		"table.copy":   {concat(wasmtest.I32(0), wasmtest.I32(1), wasmtest.I32(9000), []byte{0xfc, 14, 0, 0}), 9000},
		"table.grow":   {concat(null, wasmtest.I32(9000), []byte{0xfc, 15, 0, 0x1a}), 9000},
		"called often": {concat(repeat(concat(wasmtest.I32(0), []byte{0x11, 0, 0}), 50)), 50 * 20},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var b wasmtest.Builder
			b.Memory(80)
			b.Table(10_000)
			b.Passive(make([]byte, 10_000))
			b.Elements(0, b.Func(">", repeat([]byte{0x41, 0, 0x1a}, 8)...)) // small: direct callers would pay
			b.Action("run", concat(tc.body, []byte{0x41, 0})...)
			metered, _, err := wasmfile.Instrument(b.Bytes(), wasmfile.DefaultOptions())
			if err != nil {
				t.Fatal(err)
			}
			r := newMeteredRun(t, metered, wasmfile.Slice)
			defer r.close()
			if got, used := r.call(t, "run"); got != "[0]" || used < tc.least || used > tc.least*2+200 {
				t.Errorf("got %s for %d units, want [0] for %d or somewhat more", got, used, tc.least)
			}
		})
	}
}
