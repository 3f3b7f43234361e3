package app_test

import (
	"testing"
	"time"

	"opsconductor.dev/host/app"
	"opsconductor.dev/host/config"
)

func TestWhatIsForgottenWhen(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 31, 12, 0, 0, 0, time.UTC)
	if s := app.SweepOf(now, 0); !s.Before.IsZero() || !s.Keys.IsZero() || s.Days < 2 || s.Gone != config.Day {
		t.Errorf("for ever: %+v; want runs and keys kept, in long partitions", s)
	}
	if s := app.SweepOf(now, config.Day); !s.Before.Equal(now.Add(-config.Day)) || !s.Keys.Equal(now.Add(-app.KeysKept)) || s.Days != 1 {
		t.Errorf("a day: %+v; want keys kept for longer", s)
	}
	if s := app.SweepOf(now, 400*config.Day); !s.Before.Equal(s.Keys) || s.Days < 2 {
		t.Errorf("400 days: %+v; want keys kept for as long", s)
	}
}
