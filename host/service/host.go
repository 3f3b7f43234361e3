package service

import (
	"cmp"
	"context"
	"slices"
	"time"

	"opsconductor.dev/host/automation"
)

const (
	// silentAfter is how old a heartbeat may be before a host no longer counts as
	// live: twice the lease, when it is reaped.
	silentAfter = 8 * time.Second
	// goneHosts is how long hosts that have left or were lost are listed.
	goneHosts = 24 * time.Hour
)

// Host is a host as people see it.
type Host struct {
	ID        automation.HostID    `json:"id"`
	Name      string               `json:"name"`
	State     automation.HostState `json:"state"`
	Leader    bool                 `json:"leader"`
	Version   string               `json:"version"`
	Queues    []string             `json:"queues"`
	Slots     int                  `json:"slots"`
	AtWork    int                  `json:"at_work"`
	Heartbeat time.Time            `json:"heartbeat_at"`
	AgeMS     int64                `json:"heartbeat_age_ms"`
}

// Queue is a task queue as people see it.
type Queue struct {
	Name    string `json:"name"`
	Hosts   int    `json:"hosts"`
	Slots   int    `json:"slots"`
	Waiting int    `json:"waiting"`
}

// Hosts returns the hosts of the deployment: those that take part, and those that
// left or were lost in the last day.
func (s *Service) Hosts(ctx context.Context, p automation.Principal) ([]Host, error) {
	if err := s.authorise(p, opHostRead); err != nil {
		return nil, err
	}
	rows, err := s.store.Hosts(ctx)
	if err != nil {
		return nil, fault(err)
	}
	out := []Host{}
	for i := range rows {
		h := &rows[i]
		if h.Age > goneHosts {
			continue
		}
		out = append(out, Host{
			ID: h.ID, Name: h.Name, State: h.State, Leader: h.Leads, Version: h.Version, Queues: h.Queues, Slots: h.Slots,
			AtWork: h.AtWork, Heartbeat: h.Heartbeat, AgeMS: h.Age.Milliseconds(),
		})
	}
	return out, nil
}

// Queues returns the task queues that a live host serves or in which something
// waits, by name. What waits is about a second old.
func (s *Service) Queues(ctx context.Context, p automation.Principal) ([]Queue, error) {
	if err := s.authorise(p, opQueueRead); err != nil {
		return nil, err
	}
	loads, err := s.store.QueueLoads(ctx)
	if err != nil {
		return nil, fault(err)
	}
	rows, err := s.store.Hosts(ctx)
	if err != nil {
		return nil, fault(err)
	}
	out := []Queue{}
	at := func(name string) *Queue {
		i := slices.IndexFunc(out, func(q Queue) bool { return q.Name == name })
		if i < 0 {
			i, out = len(out), append(out, Queue{Name: name})
		}
		return &out[i]
	}
	for _, l := range loads {
		at(l.Queue).Waiting = l.Waiting
	}
	for i := range rows {
		h := &rows[i]
		if h.State != automation.HostLive || h.Age > silentAfter {
			continue
		}
		for _, name := range h.Queues {
			q := at(name)
			q.Hosts, q.Slots = q.Hosts+1, q.Slots+h.Slots
		}
	}
	slices.SortFunc(out, func(a, b Queue) int { return cmp.Compare(a.Name, b.Name) })
	return out, nil
}
