package config_test

import (
	"testing"
	"time"

	"opsconductor.dev/host/config"
)

func TestRetainIsReadAndWritten(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{"30d": 30 * config.Day, "0": 0, "36h": 36 * time.Hour, "0d": 0} {
		c := config.Defaults()
		if err := c.FromFlag("retain", text); err != nil || c.Retain != want {
			t.Errorf("%s: got %s, %v; want %s", text, c.Retain, err, want)
		}
	}
	for _, text := range []string{"d", "30", "-1d", "1.5d", "soon", "99999999d"} {
		c := config.Defaults()
		if err := c.FromFlag("retain", text); err == nil {
			t.Errorf("%s: got %s; want an error", text, c.Retain)
		}
	}
	for _, s := range config.Settings() {
		if got := s.Get(config.Defaults()); s.Flag == "retain" && got != "30d" {
			t.Errorf("the default is written %s; want 30d", got)
		}
	}
}
