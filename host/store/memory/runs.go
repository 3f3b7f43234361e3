package memory

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
)

func newRun(r automation.Run) *run {
	return &run{record: r, logs: map[automation.AttemptKey]stored{}, live: map[automation.AttemptKey][]chunk{}, approvals: map[[2]int]automation.Approval{}}
}

func taken() error {
	return &automation.Error{Code: automation.CodeConflict, Message: "an object with this name or identifier is there already"}
}

// asStored returns an error as it is read back.
func asStored(e *automation.Error) *automation.Error {
	if e == nil {
		return nil
	}
	var out automation.Error
	b, err := json.Marshal(e)
	if err == nil {
		err = json.Unmarshal(b, &out)
	}
	if err != nil {
		return automation.Errorf(automation.CodeInternal, "store an error: %w", err)
	}
	return &out
}

// of returns a run of a tenant.
func (s *Store) of(tenant automation.TenantID, id automation.RunID) (*run, error) {
	if r := s.runs[id]; r != nil && r.record.Tenant == tenant {
		return r, nil
	}
	return nil, store.NotFound("run")
}

// Accept stores a run in state queued with its first entry and the act.
func (s *Store) Accept(_ context.Context, in automation.Run, a automation.Act) (automation.Run, bool, error) {
	record, body, err := store.NewRun(in, a)
	if err != nil {
		return automation.Run{}, false, err
	}
	created := true
	err = s.write(store.Topics{store.TopicInbox, store.TopicEntries}, func() error {
		earlier, repeated, err := s.act(a, string(record.ID))
		if err != nil {
			return err
		}
		if repeated {
			created = false
			r, err := s.of(record.Tenant, automation.RunID(earlier))
			if err == nil {
				record = r.record
			}
			return err
		}
		if s.runs[record.ID] != nil {
			return taken()
		}
		if s.plans[planKey{record.Tenant, record.PlanHash}] == nil {
			return store.NotFound("plan: store it before a run of it")
		}
		sh := s.shard(record.Shard)
		sh.seq++
		record.Seq = sh.seq
		r := newRun(record)
		r.entries = []entry{{seq: sh.seq, acceptor: true, body: body}}
		s.runs[record.ID] = r
		s.acted(a, string(record.ID))
		return nil
	})
	if err != nil {
		return automation.Run{}, false, err
	}
	return record, created, nil
}

// Run returns one run.
func (s *Store) Run(_ context.Context, tenant automation.TenantID, id automation.RunID) (out automation.Run, err error) {
	err = s.locked(func() error {
		r, err := s.of(tenant, id)
		if err == nil {
			out = r.record
		}
		return err
	})
	return out, err
}

// ListRuns returns the runs that q asks for, the newest first.
func (s *Store) ListRuns(_ context.Context, tenant automation.TenantID, q store.RunQuery, page automation.Page) ([]automation.Run, error) {
	if err := store.CheckPage(page); err != nil {
		return nil, err
	}
	var out []automation.Run
	_ = s.locked(func() error {
		for _, r := range s.runs {
			switch rec := r.record; {
			case rec.Tenant != tenant, page.After != "" && string(rec.ID) >= page.After, q.State != "" && rec.State != q.State:
			case q.Parent != "" && (rec.Parent == nil || rec.Parent.Run != q.Parent), q.Parent == "" && !q.Nested && rec.Parent != nil:
			default:
				rec.Outputs = nil
				out = append(out, rec)
			}
		}
		return nil
	})
	slices.SortFunc(out, func(a, b automation.Run) int { return strings.Compare(string(b.ID), string(a.ID)) })
	return out[:min(len(out), page.Limit)], nil
}

// PutPlan stores a plan under its hash; storing it again changes nothing.
func (s *Store) PutPlan(_ context.Context, tenant automation.TenantID, hash automation.Digest, plan []byte, _ time.Time) error {
	return s.locked(func() error {
		if key := (planKey{tenant, hash}); s.plans[key] == nil {
			s.plans[key] = append([]byte{}, plan...)
		}
		return nil
	})
}

// Plan returns a stored plan.
func (s *Store) Plan(_ context.Context, tenant automation.TenantID, hash automation.Digest) (plan []byte, err error) {
	err = s.locked(func() error {
		if plan = slices.Clone(s.plans[planKey{tenant, hash}]); plan == nil {
			return store.NotFound("plan")
		}
		return nil
	})
	return plan, err
}

// PutCommand stores a command for the leader of the run's shard, with its act.
func (s *Store) PutCommand(_ context.Context, c automation.Command, a automation.Act) error {
	if err := store.CheckAct(a, c.Tenant); err != nil {
		return err
	}
	told, err := store.EncodeTold(c.Told)
	if err != nil {
		return automation.AsError(err)
	}
	if c.Told = nil; told != "" {
		c.Told = &automation.Told{}
		if err := json.Unmarshal([]byte(told), c.Told); err != nil {
			return automation.Errorf(automation.CodeInternal, "keep what a command says: %w", err)
		}
	}
	return s.write(store.Topics{store.TopicInbox}, func() error {
		_, repeated, err := s.act(a, string(c.Run))
		if err != nil || repeated {
			return err
		}
		r, err := s.of(c.Tenant, c.Run)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(s.commands, func(o automation.Command) bool { return o.ID == c.ID }) {
			return taken()
		}
		c.Shard, c.At = r.record.Shard, store.Moment(c.At)
		s.commands = append(s.commands, c)
		s.acted(a, string(c.Run))
		return nil
	})
}

// Commands returns the waiting commands of a shard, the oldest first.
func (s *Store) Commands(_ context.Context, n, limit int) ([]automation.Command, error) {
	if err := store.CheckLimit(limit); err != nil {
		return nil, err
	}
	var out []automation.Command
	_ = s.locked(func() error {
		for _, c := range s.commands {
			if c.Shard == n && len(out) < limit {
				out = append(out, c)
			}
		}
		return nil
	})
	return out, nil
}

// approve writes the record of a decision; one that is not pending stays.
func (r *run) approve(a automation.Approval) {
	key := [2]int{a.StepIndex, a.Item}
	old, there := r.approvals[key]
	if !there {
		a.Workflow, a.Submitted = r.record.Workflow, r.record.By
		a.Requested, a.Expires, a.Decided = store.Moment(a.Requested), store.Moment(a.Expires), store.Moment(a.Decided)
		r.approvals[key] = a
		return
	}
	if old.State == automation.ApprovalPending {
		old.State, old.By, old.Reason, old.Decided = a.State, a.By, a.Reason, store.Moment(a.Decided)
		r.approvals[key] = old
	}
}

// ListApprovals returns approvals, those of the newest run first, of one state or
// (state "") of all.
func (s *Store) ListApprovals(_ context.Context, tenant automation.TenantID, state automation.ApprovalState, page automation.Page) ([]automation.Approval, error) {
	if err := store.CheckPage(page); err != nil {
		return nil, err
	}
	run, step, item, err := store.ApprovalKey(page.After)
	if err != nil {
		return nil, err
	}
	before := automation.AttemptKey{Run: automation.RunID(run), Step: step, Item: item}
	var out []automation.Approval
	_ = s.locked(func() error {
		for _, r := range s.runs {
			for _, a := range r.approvals {
				if a.State == automation.ApprovalPending && r.record.State.Ended() {
					a.State = automation.ApprovalCancelled
				}
				if r.record.Tenant == tenant && (state == "" || a.State == state) && keyOf(a).Compare(before) < 0 {
					out = append(out, a)
				}
			}
		}
		return nil
	})
	slices.SortFunc(out, func(a, b automation.Approval) int {
		return -keyOf(a).Compare(keyOf(b))
	})
	return out[:min(len(out), page.Limit)], nil
}

func keyOf(a automation.Approval) automation.AttemptKey {
	return automation.AttemptKey{Run: a.Run, Step: a.StepIndex, Item: a.Item}
}
