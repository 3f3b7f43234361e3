package store_test

import (
	"context"
	"strconv"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
)

// append commits a random batch of the leader's, or of who thinks to lead.
func (h *history) append() {
	b := h.batch()
	_, err := h.do("append", func(ctx context.Context, st roles) (any, error) {
		mine := b
		mine.Entries = append([]automation.Entry(nil), b.Entries...)
		err := st.Append(ctx, mine)
		return mine.Entries, err
	})
	if err == nil {
		for _, r := range b.Accepted {
			h.runs = append(h.runs, r.ID)
		}
	}
}

func (h *history) batch() store.Batch {
	b := store.Batch{}
	b.Host, b.Epoch = h.leads()
	for range h.r.IntN(3) {
		a := h.attempt()
		b.Entries = append(b.Entries, automation.Entry{Run: a.Run, Facts: []automation.Fact{{
			Kind: automation.FactAttemptEnded, At: h.at(), Step: a.Step, Item: a.Item, Attempt: a.Attempt, Host: "h1", HostEpoch: 1, Outcome: h.outcome(),
		}}})
		if h.r.IntN(3) == 0 {
			b.Logs = append(b.Logs, store.AttemptLogs{Tenant: a.Tenant, Attempt: a.AttemptKey, Lines: []automation.LogLine{{At: h.at(), Level: "info", Message: "line " + strconv.Itoa(h.r.IntN(9))}}, Live: h.r.IntN(2) == 0})
		}
	}
	if h.r.IntN(2) == 0 {
		b.Runs = append(b.Runs, h.update())
	}
	if h.r.IntN(6) == 0 {
		h.child(&b)
	}
	for range h.r.IntN(2) {
		b.Commands = append(b.Commands, oneOf(h, h.commands))
	}
	if h.r.IntN(3) == 0 {
		b.Buckets = append(b.Buckets, automation.Bucket{Key: oneOf(h, []string{"global:", "asset:a"}), Tat: int64(h.r.IntN(3))})
	}
	for range h.r.IntN(3) {
		id := h.host()
		d := store.Delivery{Host: id, Epoch: h.epochOf(id), Attempt: h.attempt(), Kind: oneOf(h, []store.DeliveryKind{store.DeliverAttempt, store.DeliverIntent, store.DeliverCancel})}
		if d.Kind != store.DeliverAttempt {
			d.Attempt = automation.Attempt{AttemptKey: d.Attempt.AttemptKey}
		}
		b.Deliveries = append(b.Deliveries, d)
	}
	if h.r.IntN(3) == 0 {
		id := h.host()
		b.Read = append(b.Read, store.Cursor{Host: id, Epoch: h.epochOf(id), Number: int64(h.r.IntN(8))})
	}
	if h.r.IntN(4) == 0 && len(h.runs) > 0 {
		b.Approvals = append(b.Approvals, h.approval())
	}
	return b
}

func (h *history) update() automation.RunUpdate {
	u := automation.RunUpdate{Run: h.run(), State: oneOf(h, automation.RunStates())}
	if h.r.IntN(2) == 0 {
		u.State = automation.RunRunning
	}
	if u.State.Ended() != (h.r.IntN(30) == 0) {
		u.Ended = h.at()
	}
	if u.State != automation.RunQueued {
		u.Started = h.at()
	}
	switch u.State {
	case automation.RunFailed:
		u.Error = &automation.Error{Code: automation.CodeTimeout, Message: "too late", Pointer: "/steps/0", CanRetry: true}
	case automation.RunSucceeded:
		u.Outputs = []byte(`{"n":1}`)
	default:
	}
	return u
}

// child adds a run of a sub-workflow; now and then without what it needs.
func (h *history) child(b *store.Batch) {
	run := automation.Run{
		ID: automation.NewID[automation.RunID](), Tenant: automation.DefaultTenant, Workflow: "inner", PlanHash: oneOf(h, h.plans), By: "ann", Created: time.Now(),
		Parent: &automation.Parent{Run: h.run(), Step: "s", Item: h.r.IntN(3), Attempt: 1},
	}
	if h.r.IntN(8) == 0 {
		run.Parent = nil
	}
	if h.r.IntN(8) == 0 {
		run.PlanHash = "0"
	}
	b.Accepted = append(b.Accepted, run)
	if h.r.IntN(8) > 0 {
		b.Entries = append(b.Entries, automation.Entry{Run: run.ID, Facts: []automation.Fact{{Kind: automation.FactRunAccepted, At: run.Created.UTC(), Plan: run.PlanHash}}})
	}
}

func (h *history) approval() automation.Approval {
	a := automation.Approval{
		Tenant: automation.DefaultTenant, Run: oneOf(h, h.runs), Step: "s", Item: h.r.IntN(2), State: automation.ApprovalPending, Message: "go on?",
		Requested: h.at(), Expires: h.at(),
	}
	if h.r.IntN(2) == 0 {
		a.State, a.By, a.Reason, a.Decided = automation.ApprovalApproved, "ann", "fine", h.at()
	}
	return a
}

// read makes one of the calls that change nothing.
func (h *history) read() {
	reads := h.reads()
	what := oneOf(h, []string{"replay", "accepted", "entries", "logs", "run", "runs", "commands", "hosts", "deliveries", "reports", "approvals", "since"})
	_, _ = h.do("read "+what, reads[what])
}

// compareAll compares all that can be read.
func (h *history) compareAll() {
	for what, read := range h.reads() {
		_, _ = h.do("at the end: "+what, read)
	}
	for _, id := range h.runs {
		_, _ = h.do("at the end: entries", func(ctx context.Context, st roles) (any, error) {
			return st.RunEntries(ctx, automation.DefaultTenant, id, 0, 1000)
		})
		_, _ = h.do("at the end: logs", func(ctx context.Context, st roles) (any, error) {
			return st.RunLogs(ctx, automation.DefaultTenant, id, automation.AttemptKey{}, 1000)
		})
		_, _ = h.do("at the end: run", func(ctx context.Context, st roles) (any, error) { return st.Run(ctx, automation.DefaultTenant, id) })
	}
}

type reading = func(ctx context.Context, st roles) (any, error)

// reads is what can be read of everything.
func (h *history) reads() map[string]reading {
	tenant, id, limit, host := automation.DefaultTenant, h.run(), h.r.IntN(30), h.host()
	limit1 := max(1, limit)
	to := store.Cursor{Host: host, Epoch: h.epochOf(host), Number: int64(h.r.IntN(5))}
	after := store.Cursor{Host: host, Epoch: h.epochOf(host) - int64(h.r.IntN(2)), Number: int64(h.r.IntN(9))}
	q := store.RunQuery{State: oneOf(h, append(automation.RunStates(), "", "")), Nested: h.r.IntN(2) == 0}
	if h.r.IntN(5) == 0 {
		q.Parent = id
	}
	reads := h.readsOfHosts(to, after, limit1)
	reads["accepted"] = func(ctx context.Context, st roles) (any, error) { return st.Accepted(ctx, 0, int64(limit), limit) }
	reads["entries"] = func(ctx context.Context, st roles) (any, error) {
		return st.RunEntries(ctx, tenant, id, int64(limit/2), limit)
	}
	reads["logs"] = func(ctx context.Context, st roles) (any, error) {
		return st.RunLogs(ctx, tenant, id, automation.AttemptKey{Step: limit % 2}, limit1)
	}
	reads["since"] = h.since(id, limit1)
	reads["run"] = func(ctx context.Context, st roles) (any, error) { return st.Run(ctx, tenant, id) }
	reads["runs"] = func(ctx context.Context, st roles) (any, error) {
		return st.ListRuns(ctx, tenant, q, automation.Page{Limit: limit1})
	}
	reads["commands"] = func(ctx context.Context, st roles) (any, error) { return st.Commands(ctx, 0, limit1) }
	reads["approvals"] = func(ctx context.Context, st roles) (any, error) {
		return st.ListApprovals(ctx, tenant, "", automation.Page{Limit: limit1})
	}
	reads["replay"] = func(ctx context.Context, st roles) (any, error) {
		var all []automation.Entry
		last, err := st.Replay(ctx, 0, func(e automation.Entry) error { all = append(all, e); return nil })
		return []any{last, all}, err
	}
	return reads
}

func (h *history) readsOfHosts(to, after store.Cursor, limit int) map[string]reading {
	asked := oneOf(h, append(h.asked, "none"))
	return map[string]reading{
		"hosts": func(ctx context.Context, st roles) (any, error) {
			list, err := st.Hosts(ctx)
			for i := range list {
				list[i] = row(list[i])
			}
			return list, err
		},
		"deliveries": func(ctx context.Context, st roles) (any, error) {
			list, err := st.Deliveries(ctx, 0, h.local(st, to), limit)
			for i := range list {
				if i > 0 && list[i].Number <= list[i-1].Number && list[i-1].Number > 0 {
					h.t.Errorf("deliveries %d and %d", list[i-1].Number, list[i].Number)
				}
			}
			for i := range list {
				list[i].Number = 0
			}
			return list, err
		},
		"reports": func(ctx context.Context, st roles) (any, error) {
			return st.Reports(ctx, 0, []store.Cursor{after}, limit)
		},
		"buckets": func(ctx context.Context, st roles) (any, error) { return st.Buckets(ctx, 0) },
		"loads":   func(ctx context.Context, st roles) (any, error) { return st.QueueLoads(ctx) },
		"asked":   func(ctx context.Context, st roles) (any, error) { return st.Asked(ctx, 0, limit) },
		"answer": func(ctx context.Context, st roles) (any, error) {
			return st.Answer(ctx, automation.DefaultTenant, asked)
		},
	}
}
