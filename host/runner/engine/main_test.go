package engine_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/registry/wasmfile/wasmtest"
	"opsconductor.dev/host/runner/engine"
)

// built is testdata/guest, built once.
var built = sync.OnceValues(func() ([]byte, error) { return wasmtest.CompileGo(context.Background(), "testdata/guest") })

func guest(tb testing.TB) []byte {
	tb.Helper()
	b, err := built()
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// onBoth runs a test on each engine.
func onBoth(t *testing.T, test func(t *testing.T, kind string)) {
	t.Helper()
	t.Parallel()
	for _, kind := range engine.Names() {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			test(t, kind)
		})
	}
}

func newEngine(tb testing.TB, kind string, change func(*engine.Settings)) engine.Engine {
	tb.Helper()
	s := engine.DefaultSettings()
	s.CacheDir = cacheDir(tb)
	if change != nil {
		change(&s)
	}
	e, err := engine.New(kind, s)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
		defer cancel()
		if err := e.Close(ctx); err != nil {
			tb.Errorf("Close: %v", err)
		}
	})
	return e
}

// cacheDir is a folder that the tests share, so that the Go guest is compiled once.
func cacheDir(tb testing.TB) string {
	tb.Helper()
	dir, err := os.UserCacheDir()
	if err != nil {
		return tb.TempDir()
	}
	return dir + "/opsconductor-test/wasm"
}

func bytesOf(b []byte) engine.Source {
	return func(context.Context) ([]byte, error) { return b, nil }
}

func load(tb testing.TB, e engine.Engine, name string, wasm []byte) engine.Module {
	tb.Helper()
	m, err := e.Load(tb.Context(), automation.Digest(name), bytesOf(wasm))
	if err != nil {
		tb.Fatalf("Load: %v", err)
	}
	tb.Cleanup(m.Release)
	return m
}

func echoHost(_ context.Context, name string, request []byte) []byte {
	return fmt.Appendf(nil, `{"ok":{"name":%q,"request":%s}}`, name, request)
}

func config() engine.Config {
	return engine.Config{Limits: engine.DefaultLimits(), Host: echoHost}
}

// call runs one export in a fresh instance.
func call(ctx context.Context, m engine.Module, c engine.Config, export string, input []byte) (engine.Result, error) {
	i, err := m.New(ctx, c)
	if err != nil {
		return engine.Result{}, err
	}
	defer i.Close(ctx)
	return i.Call(ctx, export, input)
}

// hand makes a hand-made module with one action "run".
func hand(body ...byte) []byte {
	var b wasmtest.Builder
	b.Memory(1)
	b.Action("run", body...)
	return b.Bytes()
}

func wantCode(tb testing.TB, err error, want automation.Code) {
	tb.Helper()
	if got := automation.CodeOf(err); got != want {
		tb.Errorf("code: got %q (%v), want %q", got, err, want)
	}
}

func concat(parts ...[]byte) []byte { return slices.Concat(parts...) }
