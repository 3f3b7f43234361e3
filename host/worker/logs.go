package worker

import (
	"time"

	"opsconductor.dev/host/automation"
)

// Logs is an executor that can be asked for what its attempts at work have logged.
type Logs interface {
	// Logging returns the attempts at work that have logged something, in no order.
	// It is safe for concurrent use.
	Logging() []Logging
}

// Logging is an attempt at work that has logged something.
type Logging struct {
	Attempt automation.Attempt
	Started time.Time
	Logged  Logged
}

// Logged is what an attempt has logged so far.
type Logged interface {
	// Since returns the lines behind the first n, as they will be in the outcome; none
	// once the outcome is made. They must not be changed. It is safe for concurrent use.
	Since(n int) []automation.LogLine
}
