package memory

import (
	"cmp"
	"context"
	"slices"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
)

// report is a report in its stored form.
type report struct {
	epoch, number int64
	body          []byte
}

func (r *report) after(c store.Cursor) bool {
	return r.epoch > c.Epoch || r.epoch == c.Epoch && r.number > c.Number
}

// Deliveries returns what the leader has for a host's epoch after a number.
func (s *Store) Deliveries(_ context.Context, n int, to store.Cursor, limit int) ([]store.Delivery, error) {
	if err := store.CheckLimit(limit); err != nil {
		return nil, err
	}
	var out []store.Delivery
	_ = s.locked(func() error {
		for _, d := range s.shard(n).deliveries {
			if d.Host == to.Host && d.Epoch == to.Epoch && d.Number > to.Number && len(out) < limit {
				out = append(out, d)
			}
		}
		return nil
	})
	return out, nil
}

// PutReports stores reports of one host's epoch, and removes its deliveries up to
// taken.Number.
func (s *Store) PutReports(_ context.Context, n int, taken store.Cursor, reports []store.Report) error {
	var topics store.Topics
	if len(reports) > 0 {
		topics = store.Topics{store.TopicReports}
	}
	bodies := make([][]byte, len(reports))
	for i := range reports {
		var err error
		if bodies[i], err = store.EncodeReport(reports[i]); err != nil {
			return automation.AsError(err)
		}
	}
	return s.write(topics, func() error {
		if _, err := s.host("report", taken.Host, taken.Epoch); err != nil {
			return err
		}
		sh := s.shard(n)
		list := sh.reports[taken.Host]
		for i := range reports {
			r := report{epoch: taken.Epoch, number: reports[i].Number, body: bodies[i]}
			at, there := slices.BinarySearchFunc(list, r, func(a, b report) int {
				return cmp.Or(cmp.Compare(a.epoch, b.epoch), cmp.Compare(a.number, b.number))
			})
			if !there {
				list = slices.Insert(list, at, r)
			}
		}
		sh.reports[taken.Host] = list
		sh.deliveries = slices.DeleteFunc(sh.deliveries, func(d store.Delivery) bool {
			return d.Host == taken.Host && d.Epoch == taken.Epoch && d.Number <= taken.Number
		})
		return nil
	})
}

// Reports returns the reports of each named host after its cursor.
func (s *Store) Reports(_ context.Context, n int, after []store.Cursor, limit int) ([]store.Report, error) {
	if err := store.CheckLimit(limit); err != nil {
		return nil, err
	}
	var out []store.Report
	err := s.locked(func() error {
		for _, c := range after {
			of := 0
			for _, r := range s.shard(n).reports[c.Host] {
				if !r.after(c) || of == limit {
					continue
				}
				of++
				full := store.Report{Host: c.Host, Epoch: r.epoch, Number: r.number}
				if err := store.DecodeReport(r.body, &full); err != nil {
					return automation.AsError(err)
				}
				out = append(out, full)
			}
		}
		return nil
	})
	return out, err
}

// PutQueueLoads replaces what waits in the queues of a shard.
func (s *Store) PutQueueLoads(_ context.Context, n int, host automation.HostID, epoch int64, loads []automation.QueueLoad) error {
	return s.locked(func() error {
		if !s.leads(n, host, epoch) {
			return store.Fenced("say what waits in the queues")
		}
		s.shard(n).loads = slices.DeleteFunc(slices.Clone(loads), func(l automation.QueueLoad) bool { return l.Waiting <= 0 })
		return nil
	})
}

// QueueLoads returns what waits in each queue, over all shards, by name.
func (s *Store) QueueLoads(context.Context) ([]automation.QueueLoad, error) {
	waiting := map[string]int{}
	_ = s.locked(func() error {
		for _, sh := range s.shards {
			for _, l := range sh.loads {
				waiting[l.Queue] += l.Waiting
			}
		}
		return nil
	})
	var out []automation.QueueLoad
	for _, name := range sortedKeys(waiting) {
		out = append(out, automation.QueueLoad{Queue: name, Waiting: waiting[name]})
	}
	return out, nil
}
