package engine_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/runner/engine"
)

// TestCloseInMidCompile: a close says that it waits for plugins that are being compiled,
// and those that have not begun are not compiled any more.
func TestCloseInMidCompile(t *testing.T) {
	onBoth(t, func(t *testing.T, kind string) {
		e := newEngine(t, kind, nil)
		began, end := make(chan string, 9), make(chan struct{})
		loaded := make(chan error, 9)
		for n := range 4 { // two are compiled at a time
			name := fmt.Sprint("compile", n)
			go func() {
				m, err := e.Load(t.Context(), automation.Digest(name), func(context.Context) ([]byte, error) {
					began <- name
					<-end
					return hand(0x41, 0), nil
				})
				if err == nil {
					m.Release()
				}
				loaded <- err
			}()
		}
		<-began
		<-began
		awaitModules(t, e, 4)
		soon, cancel := context.WithTimeoutCause(t.Context(), 100*time.Millisecond, errors.New("no time is left"))
		defer cancel()
		if err := e.Close(soon); err == nil || !strings.Contains(err.Error(), "2 plugins are still being compiled and 0 abandoned calls still run") || !strings.Contains(err.Error(), "no time is left") {
			t.Errorf("closed in mid-compile with %v; want what it waits for", err)
		}
		close(end)
		codes := map[automation.Code]int{}
		for range 4 {
			codes[automation.CodeOf(<-loaded)]++
		}
		if codes[automation.CodeUnavailable] < 2 || len(began) > 0 {
			t.Errorf("after it the loads gave %v, and %d more compiles began; want two unavailable at least, and none", codes, len(began))
		}
	})
}

// awaitModules waits until the engine has been asked for n modules.
func awaitModules(t *testing.T, e engine.Engine, n int) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for e.Stats().Modules != n {
		select {
		case <-tick.C:
		case <-t.Context().Done():
			t.Fatal(context.Cause(t.Context()))
		}
	}
}
