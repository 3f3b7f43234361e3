package store

import (
	"context"
	"slices"

	"opsconductor.dev/host/automation"
)

// LiveLog is a part of what an attempt at work has logged.
type LiveLog struct {
	Tenant  automation.TenantID
	Attempt automation.AttemptKey
	// Chunk is 1, 2, 3 … in the attempt: its host numbers them. What was stored under
	// a number stays.
	Chunk int
	Lines []automation.LogLine
}

// LogMark says how much of an attempt's log somebody has. Attempt.Run is not looked at.
type LogMark struct {
	Attempt automation.AttemptKey
	Chunk   int // the last one; 0: none
}

// LiveLogs is what attempts have logged so far, while they are at work: it outlives
// the host that they run on. An attempt's whole log takes its place (Batch.Logs).
type LiveLogs interface {
	// PutLiveLogs stores chunks of a host's attempts, all in one commit. Those whose
	// number is there, and those of an attempt whose whole log is, are passed over.
	// ErrFenced, and nothing is stored, when the host's row has another epoch.
	PutLiveLogs(ctx context.Context, host automation.HostID, epoch int64, chunks []LiveLog) error
	// LogsSince returns what the marks' attempts of a run have logged, by step, item
	// and attempt, at most limit of them: the whole log where it is stored, else what
	// the chunks behind the mark have. Attempts with neither are left out.
	LogsSince(ctx context.Context, tenant automation.TenantID, run automation.RunID, marks []LogMark, limit int) ([]AttemptLogs, error)
}

// JoinLogs returns, by step, item and attempt, at most limit attempts' logs: whole
// logs, and chunks (in order) joined where there is none. An attempt that turns whole
// between two reads is in neither when the whole logs are read first: they come second.
func JoinLogs(chunks []LiveLog, whole []AttemptLogs, limit int) []AttemptLogs {
	there := make(map[automation.AttemptKey]bool, len(whole))
	for i := range whole {
		there[whole[i].Attempt] = true
	}
	all := whole
	for i := range chunks {
		c := &chunks[i]
		if there[c.Attempt] {
			continue
		}
		if last := len(all) - 1; i > 0 && chunks[i-1].Attempt == c.Attempt {
			all[last].Lines, all[last].Chunk = append(all[last].Lines, c.Lines...), c.Chunk
			continue
		}
		all = append(all, AttemptLogs{Tenant: c.Tenant, Attempt: c.Attempt, Lines: c.Lines, Chunk: c.Chunk})
	}
	slices.SortFunc(all, func(a, b AttemptLogs) int { return a.Attempt.Compare(b.Attempt) })
	return all[:min(len(all), limit)]
}

// LiveTopics returns what stored chunks have news for.
func LiveTopics(chunks []LiveLog) Topics {
	if len(chunks) == 0 {
		return nil
	}
	return Topics{TopicLines}
}
