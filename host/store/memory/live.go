package memory

import (
	"context"
	"maps"
	"slices"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
)

// chunk is a part of what an attempt has logged, in its stored form.
type chunk struct {
	number int
	stored
}

// PutLiveLogs stores chunks of a host's attempts.
func (s *Store) PutLiveLogs(_ context.Context, host automation.HostID, epoch int64, chunks []store.LiveLog) error {
	kept := make([]chunk, len(chunks))
	for i := range chunks {
		body, encoding, err := store.EncodeLogs(chunks[i].Lines)
		if err != nil {
			return automation.AsError(err)
		}
		kept[i] = chunk{number: chunks[i].Chunk, stored: stored{tenant: chunks[i].Tenant, encoding: encoding, body: body}}
	}
	return s.write(store.LiveTopics(chunks), func() error {
		if _, err := s.host("store what was logged", host, epoch); err != nil {
			return err
		}
		for i := range chunks {
			if r := s.runs[chunks[i].Attempt.Run]; r != nil {
				r.keep(chunks[i].Attempt, kept[i])
			}
		}
		return nil
	})
}

// keep adds a chunk in its place, unless it or the whole log is there.
func (r *run) keep(k automation.AttemptKey, c chunk) {
	at, there := slices.BinarySearchFunc(r.live[k], c.number, func(c chunk, n int) int { return c.number - n })
	if _, whole := r.logs[k]; whole || there {
		return
	}
	r.live[k] = slices.Insert(r.live[k], at, c)
}

// RunLogs returns what the attempts of a run logged, by step, item and attempt.
func (s *Store) RunLogs(_ context.Context, tenant automation.TenantID, id automation.RunID, after automation.AttemptKey, limit int) ([]store.AttemptLogs, error) {
	after.Run = id
	return s.logs(tenant, id, limit, func(r *run) []store.LogMark {
		var marks []store.LogMark
		for _, keys := range [][]automation.AttemptKey{slices.Collect(maps.Keys(r.logs)), slices.Collect(maps.Keys(r.live))} {
			for _, k := range keys {
				if k.Compare(after) > 0 {
					marks = append(marks, store.LogMark{Attempt: k})
				}
			}
		}
		return marks
	})
}

// LogsSince returns what attempts of a run have logged behind marks.
func (s *Store) LogsSince(_ context.Context, tenant automation.TenantID, id automation.RunID, marks []store.LogMark, limit int) ([]store.AttemptLogs, error) {
	return s.logs(tenant, id, limit, func(*run) []store.LogMark { return marks })
}

// Doubled returns the attempts of a run of which chunks are stored beside the whole log:
// none should be.
func (s *Store) Doubled(id automation.RunID) []automation.AttemptKey {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []automation.AttemptKey
	if r := s.runs[id]; r != nil {
		for k := range r.live {
			if _, whole := r.logs[k]; whole {
				out = append(out, k)
			}
		}
	}
	return out
}

func (s *Store) logs(tenant automation.TenantID, id automation.RunID, limit int, of func(*run) []store.LogMark) (out []store.AttemptLogs, err error) {
	if err := store.CheckLimit(limit); err != nil {
		return nil, err
	}
	err = s.locked(func() error {
		r, err := s.of(tenant, id)
		if err != nil {
			return err
		}
		var chunks []store.LiveLog
		var whole []store.AttemptLogs
		seen := map[automation.AttemptKey]bool{}
		for _, m := range of(r) {
			k := m.Attempt
			k.Run = id
			if seen[k] {
				continue
			}
			seen[k] = true
			if w, ok := r.logs[k]; ok {
				lines, err := store.DecodeLogs(w.body, w.encoding)
				if err != nil {
					return automation.AsError(err)
				}
				whole = append(whole, store.AttemptLogs{Tenant: w.tenant, Attempt: k, Lines: lines})
				continue
			}
			for _, c := range r.live[k] {
				if c.number <= m.Chunk {
					continue
				}
				lines, err := store.DecodeLogs(c.body, c.encoding)
				if err != nil {
					return automation.AsError(err)
				}
				chunks = append(chunks, store.LiveLog{Tenant: c.tenant, Attempt: k, Chunk: c.number, Lines: lines})
			}
		}
		out = store.JoinLogs(chunks, whole, limit)
		return nil
	})
	return out, err
}
