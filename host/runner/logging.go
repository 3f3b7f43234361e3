package runner

import "opsconductor.dev/host/worker"

// Logging implements worker.Logs.
func (r *Runner) Logging() []worker.Logging {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]worker.Logging, 0, len(r.logging))
	for at := range r.logging {
		out = append(out, worker.Logging{Attempt: at.Attempt, Started: at.started, Logged: at.lines})
	}
	return out
}

// opened implements bookOwner: an attempt without a line costs nothing here.
func (at *attempt) opened() {
	r := at.runner
	r.mu.Lock()
	defer r.mu.Unlock()
	r.logging[at] = struct{}{}
}

// shut implements bookOwner.
func (at *attempt) shut() {
	r := at.runner
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.logging, at)
}
