package memory

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
)

// Append commits a batch and sets the Shard and Seq of its entries.
func (s *Store) Append(_ context.Context, b store.Batch) error {
	bodies := make([][]byte, len(b.Entries))
	for i := range b.Entries {
		var err error
		if bodies[i], err = store.EncodeFacts(b.Entries[i].Facts); err != nil {
			return automation.AsError(err)
		}
	}
	accepted, err := store.CheckAccepted(b)
	if err != nil {
		return err
	}
	return s.write(store.BatchTopics(&b), func() error {
		if !s.leads(b.Shard, b.Host, b.Epoch) {
			return store.Fenced("append to the log")
		}
		c := &commit{Store: s, b: &b, shard: s.shard(b.Shard), runs: map[automation.RunID]*run{}}
		if err := c.prepare(accepted, bodies); err != nil {
			return err
		}
		c.make()
		return nil
	})
}

// commit is a batch that is being made: what can fail is done on copies first.
type commit struct {
	*Store
	b     *store.Batch
	shard *shard
	runs  map[automation.RunID]*run // as they will be
	logs  []stored
	post  []store.Delivery
}

// prepare makes all that may fail; it changes nothing of the store.
func (c *commit) prepare(accepted []automation.Run, bodies [][]byte) error {
	for i := range accepted {
		r := accepted[i]
		switch {
		case c.Store.runs[r.ID] != nil || c.runs[r.ID] != nil:
			return taken()
		case c.plans[planKey{r.Tenant, r.PlanHash}] == nil:
			return store.NotFound("plan: store it before a run of it")
		}
		r.Begin = nil
		c.runs[r.ID] = newRun(r)
	}
	missing := false
	for i := range c.b.Entries {
		r := c.run(c.b.Entries[i].Run)
		if r == nil {
			missing = true // the databases find out last
			continue
		}
		seq := c.shard.seq + int64(i) + 1
		r.entries = append(r.entries, entry{seq: seq, body: bodies[i]})
		r.record.Seq = seq
	}
	for i := range c.b.Runs {
		if err := c.update(&c.b.Runs[i]); err != nil {
			return err
		}
	}
	if missing {
		return store.NotFound("run in this shard: an entry has no run")
	}
	for i := range c.b.Logs {
		body, encoding, err := store.EncodeLogs(c.b.Logs[i].Lines)
		if err != nil {
			return automation.AsError(err)
		}
		c.logs = append(c.logs, stored{tenant: c.b.Logs[i].Tenant, encoding: encoding, body: body})
	}
	for _, d := range c.b.Deliveries {
		body, err := store.EncodeDelivery(d)
		if err != nil {
			return automation.AsError(err)
		}
		kept := store.Delivery{Host: d.Host, Epoch: d.Epoch, Kind: d.Kind}
		if err := store.DecodeDelivery(body, &kept); err != nil {
			return automation.AsError(err)
		}
		c.post = append(c.post, kept)
	}
	return nil
}

// run returns the copy of a run that the commit changes; nil: the shard has no such run.
func (c *commit) run(id automation.RunID) *run {
	if r := c.runs[id]; r != nil {
		return r
	}
	old := c.Store.runs[id]
	if old == nil || old.record.Shard != c.b.Shard {
		return nil
	}
	r := *old
	r.entries = slices.Clip(old.entries)
	c.runs[id] = &r
	return &r
}

// update changes the record of a run: the database's rules, in their order.
func (c *commit) update(u *automation.RunUpdate) error {
	r := c.run(u.Run)
	switch {
	case r == nil:
		return store.NotFound("run in this shard: an update has no run")
	case r.record.State != u.State && !r.record.State.CanBecome(u.State):
		return &automation.Error{Code: automation.CodeConflict, Message: "the run's state does not allow this change"}
	case u.State.Ended() == u.Ended.IsZero():
		return automation.Errorf(automation.CodeInternal, "a run that is %s, and its end", u.State)
	}
	r.record.State, r.record.Error, r.record.Outputs = u.State, asStored(u.Error), slices.Clone(u.Outputs)
	if !u.Started.IsZero() {
		r.record.Started = store.Moment(u.Started)
	}
	r.record.Ended = store.Moment(u.Ended)
	return nil
}

// make changes the store; nothing in it fails.
func (c *commit) make() {
	c.shard.seq += int64(len(c.b.Entries))
	for i := range c.b.Entries {
		c.b.Entries[i].Shard = c.b.Shard
		c.b.Entries[i].Seq = c.shard.seq - int64(len(c.b.Entries)) + 1 + int64(i)
	}
	maps.Copy(c.Store.runs, c.runs)
	c.commands = slices.DeleteFunc(c.commands, func(cmd automation.Command) bool {
		return cmd.Shard == c.b.Shard && slices.Contains(c.b.Commands, cmd.ID)
	})
	for _, b := range c.b.Buckets {
		if c.shard.buckets[b.Key] = b.Tat; b.Tat == 0 {
			delete(c.shard.buckets, b.Key)
		}
	}
	for _, d := range c.post {
		c.number++
		d.Number = c.number
		c.shard.deliveries = append(c.shard.deliveries, d)
	}
	for _, read := range c.b.Read {
		c.shard.reports[read.Host] = slices.DeleteFunc(c.shard.reports[read.Host], func(r report) bool { return !r.after(read) })
	}
	for _, a := range c.b.Approvals {
		if r := c.Store.runs[a.Run]; r != nil {
			r.approve(a)
		}
	}
	for i := range c.b.Logs {
		if r := c.Store.runs[c.b.Logs[i].Attempt.Run]; r != nil && len(c.b.Logs[i].Lines) > 0 {
			if _, there := r.logs[c.b.Logs[i].Attempt]; !there {
				r.logs[c.b.Logs[i].Attempt] = c.logs[i]
			}
			if c.b.Logs[i].Live {
				delete(r.live, c.b.Logs[i].Attempt)
			}
		}
	}
}

// Replay calls yield with every entry of every open run of the shard, by number,
// and returns the shard's last number.
func (s *Store) Replay(_ context.Context, n int, yield func(automation.Entry) error) (int64, error) {
	var found []found
	var last int64
	_ = s.locked(func() error {
		if sh := s.shards[n]; sh != nil {
			last = sh.seq
		}
		for id, r := range s.runs {
			if r.record.Shard == n && !r.record.State.Ended() {
				found = r.list(found, id)
			}
		}
		return nil
	})
	slices.SortFunc(found, bySeq)
	for _, f := range found {
		e, err := f.decode(n)
		if err != nil {
			return last, err
		}
		if err := yield(e); err != nil {
			return last, err
		}
	}
	return last, nil
}

// found is an entry and its run.
type found struct {
	run automation.RunID
	entry
}

func bySeq(a, b found) int { return cmp.Compare(a.seq, b.seq) }

func (r *run) list(to []found, id automation.RunID) []found {
	for _, e := range r.entries {
		to = append(to, found{id, e})
	}
	return to
}

func (f *found) decode(n int) (automation.Entry, error) {
	facts, err := store.DecodeFacts(f.body)
	if err != nil {
		return automation.Entry{}, automation.AsError(err)
	}
	return automation.Entry{Shard: n, Seq: f.seq, Run: f.run, Facts: facts}, nil
}

// Accepted returns the entries that acceptors added after a number, by number.
func (s *Store) Accepted(_ context.Context, n int, after int64, limit int) ([]automation.Entry, error) {
	if err := store.CheckLimit(limit); err != nil {
		return nil, err
	}
	var list []found
	_ = s.locked(func() error {
		for id, r := range s.runs {
			if e := r.entries[0]; r.record.Shard == n && e.acceptor && e.seq > after {
				list = append(list, found{id, e})
			}
		}
		return nil
	})
	slices.SortFunc(list, bySeq)
	return decoded(list, n, limit)
}

func decoded(list []found, n, limit int) ([]automation.Entry, error) {
	var out []automation.Entry
	for i := range list[:min(limit, len(list))] {
		e, err := list[i].decode(n)
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}

// RunEntries returns a run's entries after a number, by number.
func (s *Store) RunEntries(_ context.Context, tenant automation.TenantID, id automation.RunID, after int64, limit int) ([]automation.Entry, error) {
	if err := store.CheckLimit(limit); err != nil {
		return nil, err
	}
	var list []found
	shard := 0
	err := s.locked(func() error {
		r, err := s.of(tenant, id)
		if err != nil {
			return err
		}
		shard = r.record.Shard
		list = slices.DeleteFunc(r.list(nil, id), func(f found) bool { return f.seq <= after })
		return nil
	})
	if err != nil {
		return nil, err
	}
	return decoded(list, shard, limit)
}
