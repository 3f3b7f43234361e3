package wasmfile_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/registry/wasmfile"
	"opsconductor.dev/host/registry/wasmfile/wasmtest"
)

func instrument(tb testing.TB, b []byte) (*wasmfile.File, wasmfile.Info) {
	tb.Helper()
	out, info, err := wasmfile.Instrument(b, wasmfile.DefaultOptions())
	if err != nil {
		tb.Fatalf("Instrument: %v", err)
	}
	l := wasmfile.DefaultLimits()
	l.FunctionBytes, l.Blocks = 1<<20, 1<<20
	f, err := wasmfile.Parse(out, l)
	if err != nil {
		tb.Fatalf("parse what Instrument wrote: %v", err)
	}
	return f, info
}

func TestInstrumentAddsItsNames(t *testing.T) {
	t.Parallel()
	var b wasmtest.Builder
	b.Import("extism:host/user", "look", "I>I")
	b.Memory(2)
	b.Table(3)
	b.Global(0x7e, wasmtest.I64(1))
	b.Global(0x7f, wasmtest.I32(1))
	b.Action("run", wasmtest.I32(0)...)
	b.Custom("name", []byte("x"))
	in := b.Bytes()
	f, info := instrument(t, in)
	var exports, imports []string
	for _, e := range f.Exports {
		exports = append(exports, e.Name)
	}
	for _, im := range f.Imports {
		imports = append(imports, im.Module+" "+im.Name)
	}
	if diff := cmp.Diff([]string{"memory", "run", "opsconductor.fuel", "opsconductor.depth", "opsconductor.g0", "opsconductor.g1"}, exports); diff != "" {
		t.Errorf("exports (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"extism:host/user look", "opsconductor:host tick", "opsconductor:host deep"}, imports); diff != "" {
		t.Errorf("imports (-want +got):\n%s", diff)
	}
	if e := f.Tables[0]; !e.HasMax || e.Min != 3 || e.Max != 100_000 {
		t.Errorf("table: got %+v, want 3 to 100000", e)
	}
	if e := f.Memories[0]; !e.HasMax || e.Min != 2 || e.Max != 4096 {
		t.Errorf("memory: got %+v, want 2 to 4096", e)
	}
	if run, _ := f.Export("run"); len(run.Type.Results) != 1 {
		t.Errorf("run has the type %+v, want one result", run.Type)
	}
	if !slices.Equal(info.Globals, []uint32{0, 1}) || !info.Resettable() || info.Functions != 1 || info.BytesBefore != len(in) {
		t.Errorf("info: got %+v", info)
	}
}

func TestInstrumentKeepsMaxima(t *testing.T) {
	t.Parallel()
	var b wasmtest.Builder
	b.MemoryMax = 7
	b.Memory(2)
	b.Action("run", wasmtest.I32(0)...)
	if f, _ := instrument(t, b.Bytes()); f.Memories[0].Max != 7 {
		t.Errorf("memory: got %+v, want the module's own maximum of 7", f.Memories[0])
	}
}

// TestWhereFuelIsCharged counts charges, and those that look at what is left.
func TestWhereFuelIsCharged(t *testing.T) {
	t.Parallel()
	work := bytes.Repeat([]byte{0x41, 0, 0x1a}, 40) // 80 instructions
	call := []byte{0x10, 0}
	loop := func(body []byte) []byte {
		return wasmtest.Code([]byte{0x03, 0x40}, body, wasmtest.I32(0), []byte{0x0d, 0, 0x0b})
	}
	iff := func(body []byte) []byte {
		return wasmtest.Code(wasmtest.I32(0), []byte{0x04, 0x40}, body, []byte{0x0b})
	}
	for name, tc := range map[string]struct {
		body            []byte
		charges, checks int
	}{
		"nothing":                           {nil, 0, 0},
		"a little: the caller pays":         {[]byte{0x41, 0, 0x1a}, 0, 0},
		"a lot":                             {work, 1, 1},
		"a call of itself":                  {call, 1, 1},
		"a call, after a way out":           {wasmtest.Code(wasmtest.I32(0), []byte{0x0d, 0}, call), 1, 1},
		"a loop that nothing goes back to":  {[]byte{0x03, 0x40, 0x0b}, 0, 0},
		"a loop":                            {loop(nil), 1, 1},
		"a lot, then a loop":                {wasmtest.Code(work, loop(nil)), 2, 1},
		"a call, then a loop":               {wasmtest.Code(call, loop(nil)), 2, 2},
		"a loop in a loop":                  {loop(loop(nil)), 2, 2},
		"a small if":                        {wasmtest.Code(work, iff([]byte{0x41, 0, 0x1a})), 1, 1},
		"a large if":                        {wasmtest.Code(work, iff(work)), 2, 1},
		"a large if alone":                  {iff(work), 1, 1},
		"two large ifs alone":               {wasmtest.Code(iff(work), iff(work)), 2, 2},
		"after a block without a way out":   {wasmtest.Code([]byte{0x02, 0x40}, work, []byte{0x0b}, work), 1, 1},
		"after a block with a way out":      {wasmtest.Code(work, []byte{0x02, 0x40}, wasmtest.I32(0), []byte{0x0d, 1, 0x0b}, work), 2, 1},
		"after a return nothing is charged": {wasmtest.Code(work, []byte{0x0f}, work), 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var b wasmtest.Builder
			b.Func(">", tc.body...)
			_, info := instrument(t, b.Bytes())
			if info.Charges != tc.charges || info.Checks != tc.checks {
				t.Errorf("got %d charges and %d checks, want %d and %d", info.Charges, info.Checks, tc.charges, tc.checks)
			}
		})
	}
}

func TestInstrumentSaysWhatCannotBePutBack(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		body  []byte
		want  string
		setup func(*wasmtest.Builder)
	}{
		"memory and calls": {body: []byte{0x41, 0, 0x41, 0, 0x41, 1, 0xfc, 11, 0, 0x10, 0}},
		"table.set":        {body: []byte{0x41, 0, 0xd0, 0x70, 0x26, 0}, want: "table"},
		"table.grow":       {body: []byte{0xd0, 0x70, 0x41, 1, 0xfc, 15, 0, 0x1a}, want: "table"},
		"data.drop":        {body: []byte{0xfc, 9, 0}, want: "segment"},
		"a funcref global": {setup: func(b *wasmtest.Builder) { b.Global(0x70, []byte{0xd0, 0x70}) }, want: "global"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var b wasmtest.Builder
			b.Memory(1)
			b.Table(1)
			b.Passive([]byte("x"))
			b.Func(">", tc.body...)
			if tc.setup != nil {
				tc.setup(&b)
			}
			_, info := instrument(t, b.Bytes())
			if !strings.Contains(info.Keeps, tc.want) || info.Resettable() != (tc.want == "") {
				t.Errorf("got %q, want %q in it", info.Keeps, tc.want)
			}
		})
	}
}

// TestInstrumentRefuses: what does not exist must not come to mean what the
// instrumentation adds, and its names are its own.
func TestInstrumentRefuses(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		make func(*wasmtest.Builder)
		want string
	}{
		"call of the first helper":  {func(b *wasmtest.Builder) { b.Func(">", 0x10, 1) }, "function 1 does not exist"},
		"ref.func of a helper":      {func(b *wasmtest.Builder) { b.Func(">", 0xd2, 1, 0x1a) }, "function 1 does not exist"},
		"read of the fuel":          {func(b *wasmtest.Builder) { b.Func(">", 0x23, 0, 0x1a) }, "global 0 does not exist"},
		"write of the fuel":         {func(b *wasmtest.Builder) { b.Func(">", 0x42, 1, 0x24, 0) }, "global 0 does not exist"},
		"export of the fuel":        {func(b *wasmtest.Builder) { b.Func(">"); b.ExportGlobal("x", 0) }, "global 0 does not exist"},
		"a type that is added":      {func(b *wasmtest.Builder) { b.Table(1); b.Func("i>", 0x41, 0, 0x11, 1, 0) }, "type 1 does not exist"},
		"a block of an added type":  {func(b *wasmtest.Builder) { b.Func("i>", 0x02, 1, 0x0b) }, "type 1 does not exist"},
		"start with a helper":       {func(b *wasmtest.Builder) { b.Func(">"); b.Start(1) }, "function 1 does not exist"},
		"a helper in a table":       {func(b *wasmtest.Builder) { b.Table(2); b.Func(">"); b.Elements(0, 1) }, "function 1 does not exist"},
		"fill of another memory":    {func(b *wasmtest.Builder) { b.Memory(1); b.Func(">", 0x41, 0, 0x41, 0, 0x41, 0, 0xfc, 11, 1) }, "memory"},
		"growth of another memory":  {func(b *wasmtest.Builder) { b.Memory(1); b.Func(">", 0x41, 0, 0x40, 1, 0x1a) }, "memory"},
		"a branch out":              {func(b *wasmtest.Builder) { b.Func(">", 0x0c, 1) }, "labels are open"},
		"the host's import":         {func(b *wasmtest.Builder) { b.Import("opsconductor:host", "tick", ">"); b.Func(">") }, "host's own"},
		"an export of the host's":   {func(b *wasmtest.Builder) { b.Export("opsconductor.fuel", b.Func(">")) }, "host's own"},
		"a memory of 65,537 pages":  {func(b *wasmtest.Builder) { b.MemoryMax = 65537; b.Memory(1); b.Func(">") }, "65536"},
		"more checks than can be":   {dense, "three times"},
		"what Parse refuses anyway": {func(b *wasmtest.Builder) { b.FuncLocals(">", 5000) }, "locals"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var b wasmtest.Builder
			tc.make(&b)
			_, _, err := wasmfile.Instrument(b.Bytes(), wasmfile.DefaultOptions())
			if automation.CodeOf(err) != automation.CodeBadPlugin || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want bad_plugin with %q", err, tc.want)
			}
		})
	}
}

// dense makes functions of nothing but the smallest loops.
func dense(b *wasmtest.Builder) {
	for range 20 {
		b.Func(">", bytes.Repeat([]byte{0x03, 0x40, 0x0c, 0, 0x0b}, 2000)...)
	}
}

// TestInstrumentIsLinear holds the time for code that is as bad as the limits
// allow, twice as much of it each time, against a multiple of the bytes.
func TestInstrumentIsLinear(t *testing.T) {
	t.Parallel()
	o := wasmfile.DefaultOptions()
	o.Limits.CompileCost, o.Limits.Blocks = 1<<60, 1<<20
	for name, body := range map[string][]byte{
		"nested blocks":       wasmtest.Code(bytes.Repeat([]byte{0x02, 0x40}, 2000), bytes.Repeat([]byte{0x41, 0, 0x0d, 5, 0x01, 0x01, 0x01, 0x01}, 10000), bytes.Repeat([]byte{0x0b}, 2000)),
		"nested loops":        wasmtest.Code(bytes.Repeat([]byte{0x03, 0x40}, 2000), bytes.Repeat([]byte{0x41, 0, 0x0d, 5, 0x01, 0x01, 0x01, 0x01}, 10000), bytes.Repeat([]byte{0x0b}, 2000)),
		"branches":            bytes.Repeat([]byte{0x41, 0, 0x0d, 0, 0x01, 0x01, 0x01, 0x01}, 15000),
		"ifs":                 bytes.Repeat([]byte{0x41, 0, 0x04, 0x40, 0x01, 0x01, 0x01, 0x01, 0x01, 0x05, 0x0b}, 11000),
		"a table of branches": wasmtest.Code([]byte{0x41, 0, 0x0e}, wasmtest.U(100_000), make([]byte, 100_001)),
		"calls":               bytes.Repeat([]byte{0x10, 0}, 60000),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var b wasmtest.Builder
			for range 20 {
				b.Func(">", body...)
			}
			in := b.Bytes()
			began := time.Now()
			out, info, err := wasmfile.Instrument(in, o)
			if err != nil {
				t.Fatal(err)
			}
			d := time.Since(began)
			t.Logf("%d bytes to %d in %s; %+v", len(in), len(out), d, info)
			if d > 5*time.Second { // some 50 ms on an idle machine
				t.Errorf("took %s", d)
			}
		})
	}
}

// FuzzInstrument: whatever the bytes, no panic; and what comes out is a module of
// the same shape, not too large, that is not taken a second time.
func FuzzInstrument(f *testing.F) {
	f.Add(sample())
	for seed := range uint64(20) {
		f.Add(wasmtest.Random(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		o := wasmfile.DefaultOptions()
		out, info, err := wasmfile.Instrument(b, o)
		if err != nil {
			if automation.CodeOf(err) != automation.CodeBadPlugin {
				t.Errorf("code: got %q, want bad_plugin", automation.CodeOf(err))
			}
			return
		}
		if len(out) > 3*len(b)+64<<10 || info.BytesAfter != len(out) {
			t.Errorf("%d bytes became %d (info: %d)", len(b), len(out), info.BytesAfter)
		}
		before := parse(t, b)
		l := wasmfile.DefaultLimits()
		l.Blocks, l.FunctionBytes, l.CompileCost, l.Locals = 1<<30, 1<<30, 1<<60, 1<<20
		l.Imports, l.Exports, l.Globals, l.Types, l.Functions = 1<<20, 1<<20, 1<<20, 1<<20, 1<<20
		after, err := wasmfile.Parse(out, l)
		if err != nil {
			t.Fatalf("parse what Instrument wrote: %v", err)
		}
		if len(after.Imports) != len(before.Imports)+2 || len(before.Exports) > 0 && !cmp.Equal(after.Exports[:len(before.Exports)], before.Exports) {
			t.Error("imports or exports differ")
		}
		o.Limits = l
		if _, _, err := wasmfile.Instrument(out, o); err == nil {
			t.Error("an instrumented module was taken again")
		}
	})
}
