package engine_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"opsconductor.dev/host/registry/wasmfile"
	"opsconductor.dev/host/registry/wasmfile/wasmtest"
)

// TestReaderAgreesWithTheCompiler mutates modules: our reader must take every
// module that the compiler takes (but for our limits), and taming and instrumenting
// must neither spoil a good module nor mend a bad one.
func TestReaderAgreesWithTheCompiler(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	rt := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter().WithCoreFeatures(api.CoreFeaturesV2))
	defer func() { _ = rt.Close(ctx) }()
	compiles := func(b []byte) bool {
		m, err := rt.CompileModule(ctx, b)
		if err == nil {
			_ = m.Close(ctx)
		}
		return err == nil
	}
	rnd := rand.New(rand.NewPCG(3, 4))
	var b wasmtest.Builder
	b.Import("extism:host/user", "look", "I>I")
	b.Memory(1)
	b.Table(2)
	f := b.FuncLocals("i>i", 3, concat([]byte{0x20, 0, 0x04, 0x40}, wasmtest.I32(1), []byte{0x1a, 0x0b, 0x20, 0})...)
	b.Action("run", concat(wasmtest.I32(5), wasmtest.Call(f), []byte{0x1a}, wasmtest.I32(0), wasmtest.I32(0), wasmtest.I32(9),
		[]byte{0xfc, 11, 0, 0x41, 0, 0x28, 2, 0, 0x1a, 0x43, 0, 0, 0, 0, 0x1a, 0x44, 0, 0, 0, 0, 0, 0, 0, 0, 0x1a},
		wasmtest.I64(-7), []byte{0x1a, 0xfd, 12, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0x1a, 0x41, 0})...)
	b.Data(8, []byte("data"))
	whole := b.Bytes()
	if !compiles(whole) {
		t.Fatal("the sample does not compile")
	}
	good := 0
	for range 50_000 {
		m := append([]byte(nil), whole...)
		for range 1 + rnd.IntN(3) {
			m[8+rnd.IntN(len(m)-8)] = byte(rnd.Uint32())
		}
		ok := compiles(m)
		file, err := wasmfile.Parse(m, wasmfile.DefaultLimits())
		switch {
		case err != nil && ok && !strings.Contains(err.Error(), "more than the limit"):
			t.Fatalf("the compiler takes a module that the reader refuses: %v\n%x", err, m)
		case err == nil && compiles(file.Tame(m, 100_000)) != ok:
			t.Fatalf("compiles: %t, and %t when tamed\n%x", ok, !ok, m)
		case err == nil && ok:
			good++
		}
		metered, _, err := wasmfile.Instrument(m, wasmfile.DefaultOptions())
		switch {
		case err == nil && compiles(metered) != ok:
			t.Fatalf("compiles: %t, and %t when instrumented\n%x", ok, !ok, m)
		case err != nil && ok && !strings.Contains(err.Error(), "more than the limit"):
			t.Fatalf("the compiler takes a module that is not instrumented: %v\n%x", err, m)
		}
	}
	t.Logf("%d of 50000 mutants are modules", good)
}
