package store_test

import (
	"context"
	"strconv"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
)

// live stores what attempts log while they are at work, of a host or of who thinks
// to be it; numbers come again.
func (h *history) live() {
	id := h.host()
	epoch := h.epochOf(id)
	var chunks []store.LiveLog
	for range h.r.IntN(4) {
		a := h.attempt()
		chunks = append(chunks, store.LiveLog{Tenant: a.Tenant, Attempt: a.AttemptKey, Chunk: 1 + h.r.IntN(4), Lines: []automation.LogLine{
			{At: h.at(), Level: "info", Message: "so far " + strconv.Itoa(h.r.IntN(9))},
		}})
	}
	_, _ = h.do("put live logs", func(ctx context.Context, st roles) (any, error) {
		return nil, st.PutLiveLogs(ctx, id, epoch, chunks)
	})
}

// since asks for the logs of some attempts.
func (h *history) since(id automation.RunID, limit int) reading {
	var marks []store.LogMark
	for step := range 3 {
		for item := range 3 {
			if h.r.IntN(2) == 0 {
				k := automation.AttemptKey{Step: step, Item: item, Attempt: 1 + h.r.IntN(2)}
				marks = append(marks, store.LogMark{Attempt: k, Chunk: h.r.IntN(3)})
			}
		}
	}
	return func(ctx context.Context, st roles) (any, error) {
		return st.LogsSince(ctx, automation.DefaultTenant, id, marks, limit)
	}
}
