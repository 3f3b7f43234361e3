package wasmfile_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"testing"

	"opsconductor.dev/host/registry/wasmfile"
	"opsconductor.dev/host/registry/wasmfile/wasmtest"
)

// TestInstrumentVersion: whoever changes what Instrument or MergeData make has to
// change InstrumentVersion, and this sum with it, or hosts go on to run what the
// last version made.
func TestInstrumentVersion(t *testing.T) {
	t.Parallel()
	const version, want = 1, "c9b87b2ca1b6c3c7"
	var b wasmtest.Builder
	host := b.Import("extism:host/user", "look", "I>I")
	b.Memory(2)
	b.Table(3)
	b.Global(0x7e, wasmtest.I64(1))
	b.Data(0, []byte("abc"))
	b.Data(5, []byte("def"))
	b.Data(40_000, bytes.Repeat([]byte{7}, 300))
	leaf := b.Func(">i", wasmtest.I32(5)...)
	b.Elements(0, leaf)
	b.Export("run", b.FuncLocals(">i", 2, slices.Concat(
		wasmtest.I64(9), wasmtest.Call(host), []byte{0x1a},
		[]byte{0x03, 0x40, 0x20, 0}, wasmtest.I32(1), []byte{0x6a, 0x22, 0}, wasmtest.I32(10), []byte{0x49, 0x0d, 0, 0x0b}, // loop
		wasmtest.I32(0), wasmtest.I32(1), wasmtest.I32(100), []byte{0xfc, 11, 0}, // memory.fill
		wasmtest.I32(0), wasmtest.I32(1), wasmtest.I32(100), []byte{0xfc, 10, 0, 0}, // memory.copy
		wasmtest.I32(1), []byte{0x40, 0, 0x1a}, // memory.grow
		wasmtest.Call(leaf), []byte{0x04, 0x7f}, wasmtest.Call(leaf), []byte{0x05}, wasmtest.I32(0), []byte{0x0b},
	)...))
	o := wasmfile.DefaultOptions()
	out, _, err := wasmfile.Instrument(wasmfile.MergeData(b.Bytes()), o)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(out)
	if got := hex.EncodeToString(sum[:8]); got != want || wasmfile.InstrumentVersion != version {
		t.Errorf("version %d makes a module with the sum %s, want version %d and %s", wasmfile.InstrumentVersion, got, version, want)
	}
}
