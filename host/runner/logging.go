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

// logs notes that an attempt has logged its first line, logged that its log is shut.
// An attempt without a line costs nothing here.
func (r *Runner) logs(at *attempt) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.logging[at] = struct{}{}
}

func (r *Runner) logged(at *attempt) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.logging, at)
}
