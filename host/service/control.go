package service

import (
	"context"
	"fmt"

	"opsconductor.dev/host/automation"
)

// Pause asks the scheduler to start nothing more of a run for now: attempts
// under way go on, and so do waits and the run's timeout. It returns the run as
// it is at that moment. Pausing a paused run changes nothing; a run that has ended
// is a conflict that says how.
func (s *Service) Pause(ctx context.Context, p automation.Principal, id automation.RunID, reason, key string) (automation.Run, error) {
	return s.control(ctx, p, opRunPause, automation.Command{Run: id, Kind: automation.FactPauseAsked, Reason: reason}, key)
}

// Resume asks the scheduler to go on with a paused run, and returns the run as it
// is at that moment. Resuming a run that is not paused changes nothing; a run that
// has ended is a conflict that says how.
func (s *Service) Resume(ctx context.Context, p automation.Principal, id automation.RunID, reason, key string) (automation.Run, error) {
	return s.control(ctx, p, opRunResume, automation.Command{Run: id, Kind: automation.FactResumeAsked, Reason: reason}, key)
}

func (s *Service) control(ctx context.Context, p automation.Principal, op operation, c automation.Command, key string) (automation.Run, error) {
	if err := s.authorise(p, op); err != nil {
		return automation.Run{}, err
	}
	if err := refused(checkKey(key), checkReason(c.Reason)); err != nil {
		return automation.Run{}, err
	}
	run, err := s.findRun(ctx, p.Tenant, c.Run)
	if err != nil {
		return automation.Run{}, err
	}
	if run.State.Ended() {
		return automation.Run{}, &automation.Error{
			Code: automation.CodeConflict, Message: fmt.Sprintf("the run has ended already: %s", run.State),
			Suggestion: "submit a new run",
		}
	}
	c.Shard = run.Shard
	return s.command(ctx, p, op, c, key)
}

// command leaves a command for the leader and returns the run as it is then. The
// leader passes over what a run's state has made needless meanwhile.
func (s *Service) command(ctx context.Context, p automation.Principal, op operation, c automation.Command, key string) (automation.Run, error) {
	act := s.act(p, op, string(c.Run), key)
	act.Request = digestOf([]byte(c.Run), []byte(c.Reason))
	act.Detail = detail(map[string]any{"reason": c.Reason})
	if c.Told != nil {
		act.Request = digestOf([]byte(c.Run), []byte(c.Reason), detail(c.Step), detail(c.Item), detail(c.Told))
		act.Detail = toldDetail(c)
	}
	if c.ID == "" {
		c.ID = commandID(act)
	}
	c.Tenant, c.By, c.At = p.Tenant, p.Name, act.At
	if err := s.store.PutCommand(ctx, c, act); err != nil {
		return automation.Run{}, fault(err)
	}
	return s.findRun(ctx, p.Tenant, c.Run)
}

// commandID names the command of an act. A repeated act names the command of the
// first time, so that its effect can be looked for.
func commandID(act automation.Act) automation.CommandID {
	if act.Key == "" {
		return automation.NewID[automation.CommandID]()
	}
	return automation.CommandID(digestOf([]byte(act.Tenant), []byte(act.By), []byte(act.Action), []byte(act.Key)))
}
