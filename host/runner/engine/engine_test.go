package engine_test

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/runner/engine"
)

func TestGoGuest(t *testing.T) { onBoth(t, testGoGuest) }

func testGoGuest(t *testing.T, kind string) {
	e := newEngine(t, kind, nil)
	m := load(t, e, "guest", guest(t))
	for _, tc := range []struct {
		export, input, output, failure string
		rc                             uint32
		code                           automation.Code
		message                        string
	}{
		{export: "noop", input: "{}", output: "{}"},
		{export: "echo", input: `{"a":"ü"}`, output: `{"a":"ü"}`},
		{export: "host", input: `{"n":1}`, output: `{"ok":{"name":"echo","request":{"n":1}}}`},
		{export: "fail", rc: 1, failure: `{"code":"disk_full","message":"no room","retryable":true}`},
		{export: "failsilent", rc: 7},
		{export: "boom", code: automation.CodePluginCrashed, message: "panic: boom true"},
		{export: "exit", code: automation.CodePluginCrashed, message: "ended itself"},
		{export: "hog", code: automation.CodeMemoryLimit, message: "33554432"},
		{export: "missing", code: automation.CodeBadPlugin, message: `"missing"`},
	} {
		t.Run(tc.export, func(t *testing.T) {
			t.Parallel()
			r, err := call(t.Context(), m, config(), tc.export, []byte(tc.input))
			if tc.code != "" {
				wantCode(t, err, tc.code)
				if err != nil && !strings.Contains(err.Error(), tc.message) {
					t.Errorf("message: got %q, want it to contain %q", err, tc.message)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if string(r.Output) != tc.output || r.RC != tc.rc || r.Failure != tc.failure {
				t.Errorf("got rc %d output %q failure %q, want %d %q %q", r.RC, r.Output, r.Failure, tc.rc, tc.output, tc.failure)
			}
		})
	}
}

func TestSandbox(t *testing.T) { onBoth(t, testSandbox) }

func testSandbox(t *testing.T, kind string) {
	m := load(t, newEngine(t, kind, nil), "guest", guest(t))
	r, err := call(t.Context(), m, config(), "clock", nil)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Now       int64
		Env, Args int
		Files     bool
	}
	if err := json.Unmarshal(r.Output, &got); err != nil {
		t.Fatal(err)
	}
	if d := time.Since(time.Unix(0, got.Now)).Abs(); d > time.Minute {
		t.Errorf("the guest's clock is off by %s", d)
	}
	if got.Env != 0 || got.Args != 0 || !got.Files {
		t.Errorf("the guest sees %d environment variables, %d arguments, reading / refused: %t; want 0, 0, true", got.Env, got.Args, got.Files)
	}
}

func TestLimits(t *testing.T) { onBoth(t, testLimits) }

func testLimits(t *testing.T, kind string) {
	m := load(t, newEngine(t, kind, nil), "guest", guest(t))
	for _, tc := range []struct {
		name, export string
		input        int
		limit        func(*engine.Limits)
		code         automation.Code
		setting      string
	}{
		{"input", "echo", 1001, func(l *engine.Limits) { l.InputBytes = 1000 }, automation.CodeInputLimit, "limits.input_bytes"},
		{"output", "echo", 1001, func(l *engine.Limits) { l.OutputBytes = 1000 }, automation.CodeOutputLimit, "limits.output_bytes"},
		{"host calls", "host", 2, func(l *engine.Limits) { l.HostCalls = 0 }, automation.CodeHostCallLimit, "limits.host_calls"},
		{"host call bytes", "host", 1001, func(l *engine.Limits) { l.HostCallBytes = 1000 }, automation.CodeQuota, "limits.host_call_bytes"},
		{"answer bytes", "host", 990, func(l *engine.Limits) { l.HostCallBytes = 1000 }, automation.CodeOutputLimit, "limits.host_call_bytes"},
		{"remote bytes, answer", "host", 600, func(l *engine.Limits) { l.RemoteBytes = 1000 }, automation.CodeRemoteLimit, "limits.remote_bytes"},
		{"remote bytes, request", "host", 1001, func(l *engine.Limits) { l.RemoteBytes = 1000 }, automation.CodeRemoteLimit, "limits.remote_bytes"},
		{"memory", "noop", 2, func(l *engine.Limits) { l.MemoryBytes = 1 << 20 }, automation.CodeMemoryLimit, "limits.memory_bytes"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c := config()
			tc.limit(&c.Limits)
			input := []byte(`"` + strings.Repeat("x", tc.input-2) + `"`)
			_, err := call(t.Context(), m, c, tc.export, input)
			wantCode(t, err, tc.code)
			if got := automation.AsError(err).Limit; err != nil && "limits."+got != tc.setting {
				t.Errorf("the error's limit: got %q, want %s", got, tc.setting)
			}
			if err != nil && !strings.Contains(err.Error(), tc.setting) {
				t.Errorf("the error %q does not name %s", err, tc.setting)
			}
			if _, err := call(t.Context(), m, config(), tc.export, input); err != nil {
				t.Errorf("without the limit: %v", err)
			}
		})
	}
}

func TestDeadlineAndCancel(t *testing.T) { onBoth(t, testDeadlineAndCancel) }

func testDeadlineAndCancel(t *testing.T, kind string) {
	m := load(t, newEngine(t, kind, nil), "guest", guest(t))
	for _, export := range []string{"spin", "sleep"} {
		t.Run(export, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeoutCause(t.Context(), 300*time.Millisecond, context.DeadlineExceeded)
			defer cancel()
			began := time.Now()
			_, err := call(ctx, m, config(), export, nil)
			wantCode(t, err, automation.CodeTimeout)
			if d := time.Since(began); d > patience {
				t.Errorf("ended after %s, want soon after 300ms", d)
			}
		})
	}
	t.Run("cancel in a host function", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		c := config()
		c.Host = func(ctx context.Context, _ string, _ []byte) []byte {
			cancel()
			<-ctx.Done()
			return []byte("{}")
		}
		_, err := call(ctx, m, c, "host", []byte("{}"))
		wantCode(t, err, automation.CodeCancelled)
	})
	t.Run("host function that does not return", func(t *testing.T) {
		t.Parallel()
		free := make(chan struct{})
		e := newEngine(t, kind, func(s *engine.Settings) { s.HostGrace = 50 * time.Millisecond })
		m := load(t, e, "guest", guest(t))
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		c := config()
		c.Host = func(context.Context, string, []byte) []byte { cancel(); <-free; return []byte("{}") }
		_, err := call(ctx, m, c, "host", []byte("{}"))
		wantCode(t, err, automation.CodeCancelled)
		if got := e.Stats(); got.Abandoned != 1 {
			t.Errorf("abandoned: got %d, want 1", got.Abandoned)
		}
		_, err = m.New(t.Context(), config())
		wantCode(t, err, automation.CodeUnavailable)
		close(free)
		eventually(t, func() bool { s := e.Stats(); return s.Abandoned == 0 && s.Instances == 0 })
		if _, err := call(t.Context(), m, config(), "noop", nil); err != nil {
			t.Errorf("after the abandoned call returned: %v", err)
		}
	})
}

func TestModulesAreShared(t *testing.T) { onBoth(t, testModulesAreShared) }

// TestUnusedModules: a module of which nobody wanted an instance does not stay in
// memory when its code is on disk.
func TestUnusedModules(t *testing.T) {
	t.Parallel()
	for _, disk := range []bool{true, false} {
		e := newEngine(t, engine.NameNative, func(s *engine.Settings) {
			if !disk {
				s.CacheDir = ""
			}
		})
		want := 1
		if disk {
			want = 0
		}
		m, err := e.Load(t.Context(), "d", bytesOf(hand(0x41, 0)))
		if err != nil {
			t.Fatal(err)
		}
		m.Release()
		eventually(t, func() bool { return e.Stats().Modules == want })
	}
}

func testModulesAreShared(t *testing.T, kind string) {
	e := newEngine(t, kind, func(s *engine.Settings) { s.Modules = 1 })
	wasm := guest(t)
	var reads atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			m, err := e.Load(t.Context(), "guest", func(context.Context) ([]byte, error) { reads.Add(1); return wasm, nil })
			if err != nil {
				t.Error(err)
				return
			}
			defer m.Release()
			for range 3 {
				if _, err := call(t.Context(), m, config(), "host", []byte("{}")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if reads.Load() != 1 {
		t.Errorf("artifact read %d times, want once", reads.Load())
	}
	held, err := e.Load(t.Context(), "a", bytesOf(hand(0x41, 0)))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []automation.Digest{"b", "c", "d"} { // push others through the cache
		m, err := e.Load(t.Context(), name, bytesOf(hand(0x41, 0)))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := call(t.Context(), m, config(), "run", nil); err != nil {
			t.Error(err)
		}
		m.Release()
	}
	if _, err := call(t.Context(), held, config(), "run", nil); err != nil {
		t.Errorf("a module in use was closed: %v", err)
	}
	held.Release()
	held.Release()
	// A compilation gives its own reference up a moment after the module is ready.
	eventually(t, func() bool { s := e.Stats(); return s.Modules == 1 && s.Instances == 0 })
}

func TestBadModuleIsForgotten(t *testing.T) { onBoth(t, testBadModuleIsForgotten) }

func testBadModuleIsForgotten(t *testing.T, kind string) {
	e := newEngine(t, kind, nil)
	_, err := e.Load(t.Context(), "x", bytesOf(hand(0x1a))) // drop of nothing
	wantCode(t, err, automation.CodeBadPlugin)
	eventually(t, func() bool { return e.Stats().Modules == 0 })
	if _, err := e.Load(t.Context(), "x", bytesOf(hand(0x41, 0))); err != nil {
		t.Errorf("a good module under the same digest: %v", err)
	}
}

// eventually polls until a condition holds.
func eventually(tb testing.TB, ok func() bool) {
	tb.Helper()
	deadline := time.NewTimer(30 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline.C:
			tb.Fatal("the condition does not hold after 30s")
		}
	}
}
