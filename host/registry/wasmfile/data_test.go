package wasmfile_test

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"opsconductor.dev/host/registry/wasmfile"
	"opsconductor.dev/host/registry/wasmfile/wasmtest"
)

// piece is a data segment.
type piece struct {
	offset uint64
	bytes  []byte
}

func withData(pieces []piece) []byte {
	var b wasmtest.Builder
	b.Memory(2)
	b.Action("run", 0x41, 0)
	for _, p := range pieces {
		b.Data(p.offset, p.bytes)
	}
	return b.Bytes()
}

// TestMergeData: however segments lie, the merged ones are as if written at once.
// What a module's memory holds in the end is tested by the engine's tests.
func TestMergeData(t *testing.T) {
	t.Parallel()
	far := piece{70_000, []byte("far")}
	for name, tc := range map[string]struct {
		pieces []piece
		want   []piece // nil: as it was
	}{
		"none":         {},
		"one":          {[]piece{far}, []piece{far}},
		"next":         {[]piece{{8, []byte("ab")}, {10, []byte("cd")}, far}, []piece{{8, []byte("abcd")}, far}},
		"a small gap":  {[]piece{{8, []byte("ab")}, {13, []byte("cd")}}, []piece{{8, []byte("ab\x00\x00\x00cd")}}},
		"a large gap":  {[]piece{{8, []byte("ab")}, {80, []byte("cd")}}, []piece{{8, []byte("ab")}, {80, []byte("cd")}}},
		"overlap":      {[]piece{{8, []byte("ab")}, {9, []byte("cd")}}, nil},
		"out of order": {[]piece{{10, []byte("ab")}, far, {8, []byte("cd")}}, []piece{{8, []byte("cdab")}, far}},
		"empty":        {[]piece{{8, nil}, {8, []byte("cd")}}, []piece{{8, []byte("cd")}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wasm := withData(tc.pieces)
			got := wasmfile.MergeData(wasm)
			if tc.want == nil {
				if !bytes.Equal(got, wasm) {
					t.Errorf("the module was changed")
				}
				return
			}
			// Both are brought to the same form by merging again.
			want := withData(tc.want)
			want = wasmfile.MergeData(want)
			if !bytes.Equal(got, want) {
				t.Errorf("got %x, want %x", got, want)
			}
		})
	}
}

// FuzzMergeData: no bytes make it panic, and what it returns can be read again.
func FuzzMergeData(f *testing.F) {
	rnd := rand.New(rand.NewPCG(5, 6))
	var pieces []piece
	at := uint64(0)
	for range 50 {
		at += uint64(rnd.IntN(200))
		p := piece{at, bytes.Repeat([]byte{7}, rnd.IntN(20))}
		pieces = append(pieces, p)
		at += uint64(len(p.bytes))
	}
	f.Add(withData(pieces))
	f.Add(withData([]piece{{1 << 31, []byte("beyond")}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := wasmfile.Parse(b, wasmfile.DefaultLimits()); err != nil {
			t.Skip()
		}
		l := wasmfile.DefaultLimits()
		l.Bytes *= 4
		if _, err := wasmfile.Parse(wasmfile.MergeData(b), l); err != nil {
			t.Errorf("the rewritten module cannot be read: %v", err)
		}
	})
}
