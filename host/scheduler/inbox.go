package scheduler

import (
	"sync"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/worker"
)

// intention is an attempt that waits for its intent to be committed.
type intention struct {
	attempt automation.Attempt
	command automation.Digest
	done    chan error // of capacity one; nil: a report of a host
}

// inbox gathers what attempts report between two turns. It is bounded by the
// host's slots: an attempt reports once, and waits on its intent.
type inbox struct {
	news chan struct{} // capacity one: something has come in

	mu      sync.Mutex
	results []worker.Result
	intents []intention
}

func (b *inbox) result(r worker.Result) {
	b.mu.Lock()
	b.results = append(b.results, r)
	b.mu.Unlock()
	b.ring()
}

func (b *inbox) intent(in intention) {
	b.mu.Lock()
	b.intents = append(b.intents, in)
	b.mu.Unlock()
	b.ring()
}

func (b *inbox) ring() {
	select {
	case b.news <- struct{}{}:
	default:
	}
}

// take returns all that has come in.
func (b *inbox) take() (results []worker.Result, intents []intention) {
	b.mu.Lock()
	defer b.mu.Unlock()
	results, intents = b.results, b.intents
	b.results, b.intents = nil, nil
	return results, intents
}

// giveBack puts results of a turn that was not committed in front of the rest.
func (b *inbox) giveBack(results []worker.Result) {
	if len(results) == 0 {
		return
	}
	b.mu.Lock()
	b.results = append(results, b.results...)
	b.mu.Unlock()
	b.ring()
}
