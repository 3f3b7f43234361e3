package app

import (
	"time"

	"opsconductor.dev/host/store"
)

// KeysKept is the shortest time that idempotency keys are known for.
const KeysKept = keysKept

// SweepOf is what a host forgets at a moment.
func SweepOf(now time.Time, retain time.Duration) store.Sweep { return sweepOf(now, retain) }
