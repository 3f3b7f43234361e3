package memory

import (
	"context"
	"slices"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
)

// Lead takes or renews the leadership of a shard for ttl.
func (s *Store) Lead(_ context.Context, n int, host automation.HostID, epoch int64, ttl time.Duration) (int64, error) {
	if host == "" {
		return 0, automation.Errorf(automation.CodeInternal, "lead shard %d: no host", n)
	}
	var now int64
	err := s.locked(func() error {
		sh := s.shard(n)
		if sh.leader != "" && sh.leader != host && sh.until.After(s.now()) {
			return store.Fenced("lead the shard")
		}
		if sh.leader != host || sh.epoch != epoch {
			sh.epoch++
		}
		sh.leader, sh.until = host, s.now().Add(ttl.Truncate(time.Microsecond))
		now = sh.epoch
		return nil
	})
	return now, err
}

// Resign gives the leadership back at once, if host still holds it at epoch.
func (s *Store) Resign(_ context.Context, n int, host automation.HostID, epoch int64) error {
	return s.write(store.Topics{store.TopicHosts}, func() error {
		if s.leads(n, host, epoch) {
			sh := s.shard(n)
			sh.leader, sh.until = "", time.Time{}
		}
		return nil
	})
}

// RegisterHost adds or renews the host's row and raises its epoch by one.
func (s *Store) RegisterHost(_ context.Context, h automation.Host) (automation.Host, error) {
	var out automation.Host
	err := s.write(store.Topics{store.TopicHosts}, func() error {
		row := automation.Host{
			ID: h.ID, Name: h.Name, Version: h.Version, Slots: h.Slots, Queues: append([]string{}, h.Queues...),
			Epoch: 1, State: automation.HostLive, Heartbeat: s.now(),
		}
		if old := s.hosts[h.ID]; old != nil {
			row.Epoch = old.Epoch + 1
		}
		s.hosts[h.ID] = &row
		s.dropDelivered(&row)
		out = s.seen(&row)
		return nil
	})
	return out, err
}

// dropDelivered removes what was delivered to a host's epochs that are over.
func (s *Store) dropDelivered(h *automation.Host) {
	for _, sh := range s.shards {
		sh.deliveries = slices.DeleteFunc(sh.deliveries, func(d store.Delivery) bool { return d.Host == h.ID && d.Epoch < h.Epoch })
	}
}

// seen returns a host's row as a reader sees it.
func (s *Store) seen(row *automation.Host) automation.Host {
	h := *row
	h.Queues = slices.Clone(row.Queues)
	h.Age = s.now().Sub(row.Heartbeat)
	for _, sh := range s.shards {
		h.Leads = h.Leads || sh.leader == h.ID && sh.until.After(s.now())
	}
	return h
}

// host returns the row of a host that still has the given epoch.
func (s *Store) host(what string, id automation.HostID, epoch int64) (*automation.Host, error) {
	h := s.hosts[id]
	if h == nil || h.Epoch != epoch {
		return nil, store.Fenced(what)
	}
	return h, nil
}

// Heartbeat renews the host's row; ErrFenced when its epoch is over.
func (s *Store) Heartbeat(_ context.Context, id automation.HostID, epoch int64, b automation.Beat) error {
	var topics store.Topics
	if b.State != automation.HostLive {
		topics = store.Topics{store.TopicHosts}
	}
	return s.write(topics, func() error {
		h, err := s.host("heartbeat", id, epoch)
		if err == nil {
			h.Heartbeat, h.State, h.AtWork = s.now(), b.State, b.AtWork
		}
		return err
	})
}

// ReapHost raises the epoch of a host whose row still has the given one.
func (s *Store) ReapHost(_ context.Context, id automation.HostID, epoch int64, state automation.HostState) error {
	return s.write(store.Topics{store.TopicHosts}, func() error {
		h, err := s.host("reap the host", id, epoch)
		if err != nil {
			return err
		}
		h.Epoch, h.State, h.AtWork = epoch+1, state, 0
		s.dropDelivered(h)
		return nil
	})
}

// Hosts returns all hosts, by identifier.
func (s *Store) Hosts(context.Context) ([]automation.Host, error) {
	var out []automation.Host
	_ = s.locked(func() error {
		for _, id := range sortedKeys(s.hosts) {
			out = append(out, s.seen(s.hosts[id]))
		}
		return nil
	})
	return out, nil
}
