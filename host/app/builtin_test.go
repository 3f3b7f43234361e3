package app_test

import (
	"context"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"opsconductor.dev/host/app"
	"opsconductor.dev/plugins"
)

// TestServesBeforeItHasCompiled: on an empty folder a host takes its port before any
// built-in plugin is compiled, and compiles all of them while it serves.
func TestServesBeforeItHasCompiled(t *testing.T) {
	t.Parallel()
	o := options(t)
	a, err := app.Build(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	code := func() []string {
		files, err := filepath.Glob(filepath.Join(o.Config.Dir, "cache", "*", "*"))
		if err != nil {
			t.Fatal(err)
		}
		return files
	}
	if files := code(); len(files) > 0 {
		t.Errorf("before it serves there is compiled code: %v", files)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	awaitReady(t, a.URL())
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	late := time.After(time.Minute)
	for left := ""; left != "0"; left = uncompiled(t, a.URL()) {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("%s plugins are still not compiled", left)
		}
	}
	artifacts, err := plugins.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	if files := code(); len(files) < len(artifacts) {
		t.Errorf("got compiled code of %d plugins; want %d", len(files), len(artifacts))
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	http.DefaultClient.CloseIdleConnections()
}

// uncompiled is how many built-in plugins a host has not compiled yet, by its metrics.
func uncompiled(t *testing.T, url string) string {
	t.Helper()
	_, body := get(t, url+"/metrics")
	_, rest, _ := strings.Cut(body, "\nopsconductor_plugins_uncompiled ")
	n, _, _ := strings.Cut(rest, "\n")
	return n
}
