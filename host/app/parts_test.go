package app_test

import (
	"testing"

	"opsconductor.dev/host/app"
)

// TestSettingsReachTheEngine: what an operator sets of plugins is what the engine has.
func TestSettingsReachTheEngine(t *testing.T) {
	t.Parallel()
	c := options(t).Config
	c.CacheDir, c.Slots, c.SandboxProcesses, c.PluginMemory = "/somewhere", 17, 3, 300
	s, limits := app.EngineSettings(c)
	if s.CacheDir != "/somewhere" || s.Pool.PerModule != 17 || s.Processes != 3 || limits.MemoryBytes != 300<<20 || s.MaxMemoryBytes != 300<<20 {
		t.Errorf("got %+v, %+v", s, limits)
	}
}
