package wasmfile_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/registry/wasmfile"
	"opsconductor.dev/host/registry/wasmfile/wasmtest"
)

// sample is a module with everything that the reader looks at.
func sample() []byte {
	var b wasmtest.Builder
	b.Import("extism:host/user", "ssh_exec", "I>I")
	b.Memory(2)
	b.Table(3)
	callee := b.FuncLocals(">", 2, 0x01)
	b.Action("run", wasmtest.Code(wasmtest.Call(callee), []byte{0x02, 0x40, 0x03, 0x40, 0x0b, 0x0b}, wasmtest.I32(0))...)
	b.Data(16, []byte("hello"))
	b.Custom("name", []byte("x"))
	b.Custom("mine", []byte("first"))
	return b.Bytes()
}

func parse(tb testing.TB, b []byte) *wasmfile.File {
	tb.Helper()
	f, err := wasmfile.Parse(b, wasmfile.DefaultLimits())
	if err != nil {
		tb.Fatalf("Parse: %v", err)
	}
	return f
}

func TestParse(t *testing.T) {
	t.Parallel()
	b := sample()
	f := parse(t, b)
	i64 := []wasmfile.ValueType{wasmfile.I64}
	if diff := cmp.Diff([]wasmfile.Import{{Module: "extism:host/user", Name: "ssh_exec", Type: wasmfile.FuncType{Params: i64, Results: i64}}}, f.Imports); diff != "" {
		t.Errorf("imports (-want +got):\n%s", diff)
	}
	run, ok := f.Export("run")
	if !ok || !run.Type.Equal(wasmfile.FuncType{Results: []wasmfile.ValueType{wasmfile.I32}}) {
		t.Errorf("export run: got %+v, %t", run, ok)
	}
	got := []int{f.Functions, f.MostBlocks, f.DeepestNesting, f.MostLocals, len(f.Tables), len(f.Memories), int(f.Memories[0].Min)}
	if want := []int{2, 2, 2, 2, 1, 1, 2}; !slices.Equal(got, want) {
		t.Errorf("functions, blocks, nesting, locals, tables, memories, pages: got %v, want %v", got, want)
	}
	if c := f.Custom(b, "mine"); len(c) != 1 || string(c[0]) != "first" {
		t.Errorf("custom section: got %q", c)
	}
}

func TestSetCustom(t *testing.T) {
	t.Parallel()
	b := sample()
	out := parse(t, b).SetCustom(b, "mine", []byte("second"))
	out = parse(t, out).SetCustom(out, "mine", []byte("third"))
	if c := parse(t, out).Custom(out, "mine"); len(c) != 1 || string(c[0]) != "third" {
		t.Errorf("custom section after two replacements: got %q, want one with third", c)
	}
	if c := parse(t, out).Custom(out, "name"); len(c) != 1 {
		t.Errorf("the other custom section is gone: %q", c)
	}
}

func TestTame(t *testing.T) {
	t.Parallel()
	b := sample()
	f := parse(t, b)
	out := f.Tame(b, 1000)
	tamed := parse(t, out)
	if e := tamed.Tables[0]; !e.HasMax || e.Max != 1000 || e.Min != 3 {
		t.Errorf("table: got %+v, want 3 to 1000", e)
	}
	if got, want := tamed.CodeBytes-f.CodeBytes, 3; got != want {
		t.Errorf("the code grew by %d bytes, want %d: one checkpoint, in the function that calls", got, want)
	}
	if got := parse(t, tamed.Tame(out, 1000)).CodeBytes; got != tamed.CodeBytes {
		t.Errorf("taming twice: %d bytes of code, want %d: the checkpoint is there already", got, tamed.CodeBytes)
	}
}

// TestCheckpoints: a function that calls gets a checkpoint unless a loop is
// reached before anything branches.
func TestCheckpoints(t *testing.T) {
	t.Parallel()
	call, loop := []byte{0x10, 0}, []byte{0x03, 0x40, 0x0b}
	for name, tc := range map[string]struct {
		body []byte
		want int
	}{
		"no call":                {nil, 0},
		"call":                   {call, 1},
		"loop, then call":        {wasmtest.Code(loop, call), 0},
		"call, then loop":        {wasmtest.Code(call, loop), 1},
		"call in a loop":         {wasmtest.Code([]byte{0x03, 0x40}, call, []byte{0x0b}), 0},
		"loop under an if":       {wasmtest.Code(wasmtest.I32(0), []byte{0x04, 0x40}, loop, []byte{0x0b}, call), 1},
		"loop after a branch":    {wasmtest.Code([]byte{0x02, 0x40}, wasmtest.I32(1), []byte{0x0d, 0}, loop, []byte{0x0b}, call), 1},
		"loop in a plain block":  {wasmtest.Code([]byte{0x02, 0x40}, loop, []byte{0x0b}, call), 0},
		"fill":                   {wasmtest.Code(wasmtest.I32(0), wasmtest.I32(0), wasmtest.I32(1), []byte{0xfc, 11, 0}), 1},
		"two fills under a loop": {wasmtest.Code(loop, fill(), fill()), 2},
		"fill and call":          {wasmtest.Code(fill(), call), 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var b wasmtest.Builder
			b.Memory(1)
			b.Func(">", tc.body...)
			in := b.Bytes()
			f := parse(t, in)
			if got := (parse(t, f.Tame(in, 10)).CodeBytes - f.CodeBytes) / 3; got != tc.want {
				t.Errorf("got %d checkpoints, want %d", got, tc.want)
			}
		})
	}
}

func fill() []byte {
	return wasmtest.Code(wasmtest.I32(0), wasmtest.I32(0), wasmtest.I32(1), []byte{0xfc, 11, 0})
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	good := sample()
	small := wasmfile.DefaultLimits()
	small.Bytes = len(good) - 1
	for name, tc := range map[string]struct {
		b      []byte
		limits wasmfile.Limits
		want   string
	}{
		"empty":             {nil, wasmfile.DefaultLimits(), "empty"},
		"too large":         {good, small, "more than the limit"},
		"text":              {[]byte("hello, world"), wasmfile.DefaultLimits(), "not a WebAssembly module"},
		"header cut":        {good[:6], wasmfile.DefaultLimits(), "truncated"},
		"component":         {[]byte("\x00asm\x0d\x00\x01\x00"), wasmfile.DefaultLimits(), "component, not a core module"},
		"version 2":         {[]byte("\x00asm\x02\x00\x00\x00"), wasmfile.DefaultLimits(), "unknown WebAssembly version"},
		"section cut":       {good[:len(good)-1], wasmfile.DefaultLimits(), "ends before"},
		"unknown section":   {append(bytes.Clone(good), 99, 0), wasmfile.DefaultLimits(), "section 99"},
		"section repeated":  {append(bytes.Clone(good), 1, 1, 0), wasmfile.DefaultLimits(), "repeated"},
		"function too many": {good, with(func(l *wasmfile.Limits) { l.Functions = 1 }), "functions"},
		"body too large":    {good, with(func(l *wasmfile.Limits) { l.FunctionBytes = 4 }), "bytes in one function"},
		"locals":            {good, with(func(l *wasmfile.Limits) { l.Locals = 1 }), "locals"},
		"blocks":            {good, with(func(l *wasmfile.Limits) { l.Blocks = 1 }), "blocks in one function"},
		"nesting":           {good, with(func(l *wasmfile.Limits) { l.Nesting = 1 }), "inside each other"},
		"compile cost":      {good, with(func(l *wasmfile.Limits) { l.CompileCost = 3 }), "compile cost"},
		"table":             {good, with(func(l *wasmfile.Limits) { l.TableElements = 2 }), "elements in a table"},
		"memory":            {good, with(func(l *wasmfile.Limits) { l.MemoryPages = 1 }), "pages of memory"},
		"imports":           {good, with(func(l *wasmfile.Limits) { l.Imports = 0 }), "imports"},
		"exports":           {good, with(func(l *wasmfile.Limits) { l.Exports = 1 }), "exports"},
		"types":             {good, with(func(l *wasmfile.Limits) { l.Types = 1 }), "types"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := wasmfile.Parse(tc.b, tc.limits)
			if automation.CodeOf(err) != automation.CodeBadPlugin || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want bad_plugin with %q", err, tc.want)
			}
		})
	}
}

func with(change func(*wasmfile.Limits)) wasmfile.Limits {
	l := wasmfile.DefaultLimits()
	change(&l)
	return l
}

// FuzzParse: whatever the bytes, no panic; and what is accepted stays what it is
// when it is rewritten.
func FuzzParse(f *testing.F) {
	f.Add(sample())
	f.Add([]byte("\x00asm\x01\x00\x00\x00"))
	f.Add([]byte("\x00asm\x0d\x00\x01\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		file, err := wasmfile.Parse(b, wasmfile.DefaultLimits())
		if err != nil {
			if automation.CodeOf(err) != automation.CodeBadPlugin {
				t.Errorf("code: got %q, want bad_plugin", automation.CodeOf(err))
			}
			return
		}
		for what, out := range map[string][]byte{"tamed": file.Tame(b, 1000), "with a section": file.SetCustom(b, "mine", []byte("x"))} {
			l := wasmfile.DefaultLimits()
			l.Blocks, l.FunctionBytes, l.CompileCost = 1<<30, 1<<30, 1<<60
			again, err := wasmfile.Parse(out, l)
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			if again.Functions != file.Functions || !cmp.Equal(again.Imports, file.Imports) || !cmp.Equal(again.Exports, file.Exports) {
				t.Errorf("%s: imports, exports or functions differ", what)
			}
		}
	})
}
