package service

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/inventory"
	"opsconductor.dev/host/scheduler/cron"
	"opsconductor.dev/host/store"
)

// ScheduleRequest is what a caller says of a schedule; an update says all of it.
// Exactly one of Cron and Interval is set.
type ScheduleRequest struct {
	Name       string             `json:"name"`
	Definition string             `json:"definition"` // of the workflow: YAML or JSON
	Inputs     json.RawMessage    `json:"inputs,omitempty"`
	Cron       string             `json:"cron,omitempty"`
	Interval   string             `json:"interval,omitempty"`
	TimeZone   string             `json:"time_zone,omitempty"` // "": UTC
	CatchUp    automation.CatchUp `json:"catch_up,omitempty"`  // "": skip
	Overlap    automation.Overlap `json:"overlap,omitempty"`   // "": skip
	Jitter     string             `json:"jitter,omitempty"`    // "": none
}

// CreateSchedule stores a schedule, whose first time is after now. Its definition
// has to give a plan as things are. The same key with the same request gives the
// schedule of the first time and false.
func (s *Service) CreateSchedule(ctx context.Context, p automation.Principal, r ScheduleRequest, key string) (automation.Schedule, bool, error) {
	if err := s.authorise(p, opScheduleCreate); err != nil {
		return automation.Schedule{}, false, err
	}
	out, err := s.checkSchedule(ctx, p.Tenant, r, checkKey(key))
	if err != nil {
		return automation.Schedule{}, false, err
	}
	out.ID, out.Version = automation.NewID[automation.ScheduleID](), 1
	act := s.act(p, opScheduleCreate, string(out.ID), key)
	out.Created, out.Updated = store.Moment(act.At), store.Moment(act.At)
	if err := setNext(&out, out.Created); err != nil {
		return automation.Schedule{}, false, fault(err)
	}
	act.Request = digestJSON(r)
	act.Detail = detail(map[string]any{"name": out.Name})
	out, created, err := s.store.CreateSchedule(ctx, out, act)
	s.schedulesChanged()
	return out, created, nameTaken(err, "a schedule")
}

// UpdateSchedule replaces what is known of a schedule; whether it is paused
// stays. When its times change, the next one is after now. version is the version
// that the change is made from; 0 stands for whatever it is now.
func (s *Service) UpdateSchedule(ctx context.Context, p automation.Principal, ref string, r ScheduleRequest, version int64) (automation.Schedule, error) {
	if err := s.authorise(p, opScheduleUpdate); err != nil {
		return automation.Schedule{}, err
	}
	old, err := s.findSchedule(ctx, p.Tenant, ref)
	if err != nil {
		return automation.Schedule{}, err
	}
	if err := checkVersion("schedule", old.Version, version); err != nil {
		return automation.Schedule{}, err
	}
	now, err := s.checkSchedule(ctx, p.Tenant, r, nil)
	if err != nil {
		return automation.Schedule{}, err
	}
	now.ID, now.Created, now.Version, now.Paused = old.ID, old.Created, old.Version, old.Paused
	act := s.act(p, opScheduleUpdate, string(old.ID), "")
	now.Updated = act.At
	times := old.Cron != now.Cron || old.Interval != now.Interval || old.TimeZone != now.TimeZone || old.Jitter != now.Jitter
	if times && !now.Paused {
		if err := setNext(&now, act.At); err != nil {
			return automation.Schedule{}, fault(err)
		}
	}
	act.Detail = detail(map[string]any{"name": now.Name, "times_changed": times})
	out, err := s.store.UpdateSchedule(ctx, now, act)
	s.schedulesChanged()
	return out, nameTaken(err, "a schedule")
}

// DeleteSchedule removes a schedule; runs that it submitted stay. version is as
// for UpdateSchedule.
func (s *Service) DeleteSchedule(ctx context.Context, p automation.Principal, ref string, version int64) error {
	if err := s.authorise(p, opScheduleDelete); err != nil {
		return err
	}
	old, err := s.findSchedule(ctx, p.Tenant, ref)
	if err != nil {
		return err
	}
	if err := checkVersion("schedule", old.Version, version); err != nil {
		return err
	}
	act := s.act(p, opScheduleDelete, string(old.ID), "")
	act.Detail = detail(map[string]any{"name": old.Name})
	return fault(s.store.DeleteSchedule(ctx, p.Tenant, old.ID, act))
}

// PauseSchedule stops a schedule from firing: times that pass meanwhile get no
// run, whatever its catch-up policy. Pausing again changes nothing. version is as
// for UpdateSchedule.
func (s *Service) PauseSchedule(ctx context.Context, p automation.Principal, ref string, version int64) (automation.Schedule, error) {
	return s.setPaused(ctx, p, ref, version, opSchedulePause)
}

// ResumeSchedule lets a paused schedule fire again, from the next time after now
// on. Resuming again changes nothing. version is as for UpdateSchedule.
func (s *Service) ResumeSchedule(ctx context.Context, p automation.Principal, ref string, version int64) (automation.Schedule, error) {
	return s.setPaused(ctx, p, ref, version, opScheduleResume)
}

func (s *Service) setPaused(ctx context.Context, p automation.Principal, ref string, version int64, op operation) (automation.Schedule, error) {
	if err := s.authorise(p, op); err != nil {
		return automation.Schedule{}, err
	}
	one, err := s.findSchedule(ctx, p.Tenant, ref)
	if err != nil {
		return automation.Schedule{}, err
	}
	if err := checkVersion("schedule", one.Version, version); err != nil {
		return automation.Schedule{}, err
	}
	if one.Paused == (op == opSchedulePause) {
		return one, nil
	}
	one.Paused = !one.Paused
	act := s.act(p, op, string(one.ID), "")
	one.Updated = act.At
	if !one.Paused {
		if err := setNext(&one, act.At); err != nil {
			return automation.Schedule{}, fault(err)
		}
	}
	act.Detail = detail(map[string]any{"name": one.Name})
	out, err := s.store.UpdateSchedule(ctx, one, act)
	s.schedulesChanged()
	return out, fault(err)
}

// Schedule returns the schedule that ref names: an identifier or a name.
func (s *Service) Schedule(ctx context.Context, p automation.Principal, ref string) (automation.Schedule, error) {
	if err := s.authorise(p, opScheduleRead); err != nil {
		return automation.Schedule{}, err
	}
	return s.findSchedule(ctx, p.Tenant, ref)
}

// Schedules returns schedules by name (Page.After is a name).
func (s *Service) Schedules(ctx context.Context, p automation.Principal, page automation.Page) ([]automation.Schedule, error) {
	if err := s.authorise(p, opScheduleRead); err != nil {
		return nil, err
	}
	if err := refused(checkPage(&page)); err != nil {
		return nil, err
	}
	out, err := s.store.ListSchedules(ctx, p.Tenant, page)
	return out, fault(err)
}

// maxNext is how many times NextTimes tells at the most.
const maxNext = 1000

// NextTimes returns the next times of a schedule in UTC, without their jitter;
// none while it is paused. count 0 stands for 10.
func (s *Service) NextTimes(ctx context.Context, p automation.Principal, ref string, count int) ([]time.Time, error) {
	if err := s.authorise(p, opScheduleRead); err != nil {
		return nil, err
	}
	if count == 0 {
		count = 10
	}
	if count < 1 || count > maxNext {
		return nil, &automation.Error{
			Code: automation.CodeBadRequest, Pointer: "/count", Message: "the number of times is out of range", Allowed: fmt.Sprintf("1 to %d", maxNext),
		}
	}
	one, err := s.findSchedule(ctx, p.Tenant, ref)
	if err != nil {
		return nil, err
	}
	t, err := timingOf(one)
	if err != nil {
		return nil, fault(err)
	}
	var out []time.Time
	for next, ok := one.Next, !one.Next.IsZero(); ok && len(out) < count; next, ok = t.times.Next(next) {
		out = append(out, next)
	}
	return out, nil
}

func (s *Service) findSchedule(ctx context.Context, tenant automation.TenantID, ref string) (automation.Schedule, error) {
	if id, err := automation.ParseID[automation.ScheduleID](ref); err == nil {
		out, err := s.store.Schedule(ctx, tenant, id)
		return out, fault(err)
	}
	if !inventory.IsName(ref) {
		return automation.Schedule{}, notFound("schedule")
	}
	out, err := s.store.ScheduleByName(ctx, tenant, ref)
	return out, fault(err)
}

// timing is when a schedule fires.
type timing struct {
	times  cron.Times
	jitter time.Duration
}

// timingOf reads the times of a schedule that was checked.
func timingOf(s automation.Schedule) (timing, error) {
	var t timing
	var err error
	if s.Jitter != "" {
		if t.jitter, err = time.ParseDuration(s.Jitter); err != nil {
			return t, fmt.Errorf("read the jitter: %w", err)
		}
	}
	if s.Interval != "" {
		every, err := time.ParseDuration(s.Interval)
		t.times = cron.Interval{From: s.Created, Every: every}
		if err == nil && every <= 0 {
			err = fmt.Errorf("an interval of %s", every)
		}
		return t, err
	}
	zone, err := cron.Zone(s.TimeZone)
	if err != nil {
		return t, err
	}
	t.times, err = cron.Parse(s.Cron, zone)
	return t, err
}

// setNext sets a schedule's next time: the first one after another.
func setNext(s *automation.Schedule, after time.Time) error {
	t, err := timingOf(*s)
	if err != nil {
		return err
	}
	s.Next, s.Due = t.after(s.ID, after)
	return nil
}

// schedulesChanged wakes whoever waits for the next time.
func (s *Service) schedulesChanged() {
	select {
	case s.changes <- struct{}{}:
	default: // it is awake already
	}
}

// ScheduleChanges receives, coalesced, when this service has changed a schedule:
// FireDue may have something to do earlier than it said. It has one reader, the
// composition root.
func (s *Service) ScheduleChanges() <-chan struct{} { return s.changes }
