package engine_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"opsconductor.dev/host/registry/wasmfile"
)

// specCommand is a command of a WebAssembly spec test in wast2json's format.
type specCommand struct {
	Type     string
	Line     int
	Name, As string
	Filename string
	Action   struct {
		Type, Field, Module string
		Args                []specValue
	}
}

type specValue struct {
	Type     string
	LaneType string `json:"lane_type"`
	Value    any
}

// words are the value as wazero takes it.
func (v specValue) words() []uint64 {
	number := func(s string) uint64 {
		n, _ := strconv.ParseUint(s, 10, 64)
		return n
	}
	switch text := fmt.Sprint(v.Value); {
	case v.Type == "v128":
		lanes := v.Value.([]any)
		out, bits := make([]uint64, 2), 128/len(lanes)
		for i, lane := range lanes {
			out[i*bits/64] |= number(lane.(string)) << (i * bits % 64)
		}
		return out
	case text == "null":
		return []uint64{0}
	case v.Type == "externref": // zero is wazero's null
		return []uint64{number(text) + 1}
	default:
		return []uint64{number(text)}
	}
}

// specFolders are the suites of the wazero module whose features the host has.
func specFolders(tb testing.TB) []string {
	tb.Helper()
	out, err := exec.CommandContext(tb.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/tetratelabs/wazero").Output()
	if err != nil {
		tb.Fatalf("find the source of wazero: %v", err)
	}
	root := filepath.Join(strings.TrimSpace(string(out)), "internal", "integration_test", "spectest")
	return []string{filepath.Join(root, "v1", "testdata"), filepath.Join(root, "v2", "testdata")}
}

// specOptions let the suites' modules in: their tables and memories are as large as can be.
func specOptions() wasmfile.Options {
	o := wasmfile.DefaultOptions()
	o.Limits.TableElements, o.Limits.MemoryPages, o.Limits.Locals = 1<<32-1, 65536, 1<<20
	o.TableElements, o.MemoryPages = 1<<32-1, 65536
	return o
}

// specWorld is a runtime in which a test's modules live.
type specWorld struct {
	rt      wazero.Runtime
	change  func([]byte) ([]byte, error)
	modules map[string]api.Module
	last    api.Module
	ticks   int
}

var errDeep = errors.New("the stack is used up")

func newSpecWorld(t *testing.T, folder string, change func([]byte) ([]byte, error)) *specWorld {
	t.Helper()
	ctx := t.Context()
	config := wazero.NewRuntimeConfigCompiler().WithCoreFeatures(api.CoreFeaturesV2)
	w := &specWorld{rt: wazero.NewRuntimeWithConfig(ctx, config), change: change, modules: map[string]api.Module{}}
	t.Cleanup(func() { _ = w.rt.Close(context.WithoutCancel(ctx)) })
	spectest, err := os.ReadFile(filepath.Join(folder, "..", "..", "testdata", "spectest.wasm"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.rt.Instantiate(ctx, spectest); err != nil {
		t.Fatal(err)
	}
	serveFuel(t, w.rt, wasmfile.Slice, func() { w.ticks++ })
	return w
}

// serveFuel gives a runtime the two imports of instrumented modules: each tick
// gives slice units.
func serveFuel(tb testing.TB, rt wazero.Runtime, slice int64, tick func()) {
	tb.Helper()
	refill := func(_ context.Context, m api.Module, _ []uint64) {
		tick()
		m.ExportedGlobal(wasmfile.FuelExport).(api.MutableGlobal).Set(uint64(slice))
	}
	b := rt.NewHostModuleBuilder(wasmfile.HostModule)
	b.NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(refill), nil, nil).Export(wasmfile.TickImport)
	b.NewFunctionBuilder().WithFunc(func() { panic(errDeep) }).Export(wasmfile.DeepImport)
	if _, err := b.Instantiate(tb.Context()); err != nil {
		tb.Fatal(err)
	}
}

func (w *specWorld) module(ctx context.Context, wasm []byte, as string) (api.Module, error) {
	wasm, err := w.change(wasm)
	if err != nil {
		return nil, err
	}
	return w.rt.InstantiateWithConfig(ctx, wasm, wazero.NewModuleConfig().WithName(as))
}

// act carries out an action and returns what can be compared of it.
func (w *specWorld) act(ctx context.Context, c specCommand) (got []uint64, trap string) {
	m := w.last
	if c.Action.Module != "" {
		m = w.modules[c.Action.Module]
	}
	if c.Action.Type == "get" {
		return []uint64{m.ExportedGlobal(c.Action.Field).Get()}, ""
	}
	var args []uint64
	for _, a := range c.Action.Args {
		args = append(args, a.words()...)
	}
	f := m.ExportedFunction(c.Action.Field)
	got, err := f.Call(ctx, args...)
	if err != nil {
		if d, ok := m.ExportedGlobal(wasmfile.DepthExport).(api.MutableGlobal); ok {
			d.Set(0) // the host does not go on with such an instance, the suite does
		}
		if strings.Contains(err.Error(), "stack overflow") || errors.Is(err, errDeep) {
			return nil, "stack"
		}
		return nil, firstLine(err.Error())
	}
	if types := f.Definition().ResultTypes(); slices.Contains(types, api.ValueTypeExternref) || slices.Contains(types, 0x70) {
		for i := range got { // references are addresses: null or not
			got[i] = min(got[i], 1)
		}
	}
	return got, ""
}

func firstLine(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	return s
}

// TestSpecSuites runs the WebAssembly spec tests that wazero brings on each module
// as it is and instrumented: the same modules are accepted, and every call gives
// the same values or the same trap, and leaves the same memory.
func TestSpecSuites(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes ten seconds")
	}
	for _, folder := range specFolders(t) {
		files, err := filepath.Glob(filepath.Join(folder, "*.json"))
		if err != nil || len(files) < 50 {
			t.Fatalf("%d spec tests in %s (%v), want more than 50", len(files), folder, err)
		}
		for _, file := range files {
			t.Run(filepath.Base(filepath.Dir(folder))+"/"+filepath.Base(file), func(t *testing.T) {
				t.Parallel()
				specFile(t, file)
			})
		}
	}
}

func specFile(t *testing.T, file string) {
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var test struct{ Commands []specCommand }
	if err := json.Unmarshal(b, &test); err != nil {
		t.Fatal(err)
	}
	folder := filepath.Dir(file)
	s := &specRun{
		folder: folder,
		plain:  newSpecWorld(t, folder, func(b []byte) ([]byte, error) { return b, nil }),
		metered: newSpecWorld(t, folder, func(b []byte) ([]byte, error) {
			out, _, err := wasmfile.Instrument(b, specOptions())
			return out, err
		}),
	}
	for i, c := range test.Commands {
		as := ""
		if c.Type == "module" && i+1 < len(test.Commands) && test.Commands[i+1].Type == "register" {
			as = test.Commands[i+1].As
		}
		s.command(t, c, as)
	}
	s.compareMemories(t)
	t.Logf("%d modules, %d calls, %d ticks", s.loaded, s.called, s.metered.ticks)
}

type specRun struct {
	folder         string
	plain, metered *specWorld
	loaded, called int
}

func (s *specRun) command(t *testing.T, c specCommand, as string) {
	switch c.Type {
	case "register": // with its module
	case "action", "assert_return", "assert_trap", "assert_exhaustion":
		s.called++
		want, wantTrap := s.plain.act(t.Context(), c)
		got, gotTrap := s.metered.act(t.Context(), c)
		if !slices.Equal(got, want) || gotTrap != wantTrap {
			t.Errorf("line %d: %s: got %v %s, want %v %s", c.Line, c.Action.Field, got, gotTrap, want, wantTrap)
		}
	default: // module, assert_invalid, assert_malformed, assert_unlinkable, assert_uninstantiable
		if filepath.Ext(c.Filename) == ".wasm" { // the others are text, which wazero does not read
			s.load(t, c, as)
		}
	}
}

func (s *specRun) load(t *testing.T, c specCommand, as string) {
	wasm, err := fs.ReadFile(os.DirFS(s.folder), c.Filename)
	if err != nil {
		t.Fatal(err)
	}
	s.loaded++
	want, wantErr := s.plain.module(t.Context(), wasm, as)
	got, gotErr := s.metered.module(t.Context(), wasm, as)
	if (wantErr == nil) != (gotErr == nil) {
		t.Errorf("line %d: %s: got the error %v, want %v", c.Line, c.Filename, gotErr, wantErr)
	}
	if c.Type != "module" || wantErr != nil || gotErr != nil {
		return
	}
	s.compareMemories(t)
	s.plain.last, s.metered.last = want, got
	if c.Name != "" {
		s.plain.modules[c.Name], s.metered.modules[c.Name] = want, got
	}
}

// compareMemories looks at what the module that ran last exports.
func (s *specRun) compareMemories(t *testing.T) {
	if s.plain.last == nil {
		return
	}
	for name := range s.plain.last.ExportedMemoryDefinitions() {
		a, b := s.plain.last.ExportedMemory(name), s.metered.last.ExportedMemory(name)
		want, _ := a.Read(0, a.Size())
		got, _ := b.Read(0, b.Size())
		if !bytes.Equal(got, want) {
			t.Errorf("memory %q differs", name)
		}
	}
}
