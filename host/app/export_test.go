package app

import (
	"time"

	"opsconductor.dev/host/runner/engine"
	"opsconductor.dev/host/store"
)

// EngineSettings are what a host's settings say of plugins.
func EngineSettings(c Config) (engine.Settings, engine.Limits) { return engineSettings(c) }

// KeysKept is the shortest time that idempotency keys are known for.
const KeysKept = keysKept

// SweepOf is what a host forgets at a moment.
func SweepOf(now time.Time, retain time.Duration) store.Sweep { return sweepOf(now, retain) }
