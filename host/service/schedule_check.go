package service

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/inventory"
	"opsconductor.dev/host/scheduler/cron"
)

const (
	minInterval = time.Second
	maxInterval = 366 * 24 * time.Hour
	maxJitter   = 24 * time.Hour
)

// checkSchedule validates a request, with its definition; what earlier found
// joins the list of problems.
func (s *Service) checkSchedule(ctx context.Context, tenant automation.TenantID, r ScheduleRequest, earlier *automation.Error) (automation.Schedule, error) {
	out := automation.Schedule{
		Tenant: tenant, Name: r.Name, Definition: r.Definition, Inputs: r.Inputs, Cron: r.Cron, Interval: r.Interval, TimeZone: r.TimeZone,
		CatchUp: r.CatchUp, Overlap: r.Overlap, Jitter: r.Jitter,
	}
	var problems automation.Errors
	add := func(found ...*automation.Error) {
		for _, e := range found {
			if e != nil {
				problems = append(problems, e)
			}
		}
	}
	if out.CatchUp == "" {
		out.CatchUp = automation.CatchUpSkip
	}
	if out.Overlap == "" {
		out.Overlap = automation.OverlapSkip
	}
	add(earlier, inventory.CheckName("/name", r.Name))
	add(checkTimes(r)...)
	add(oneOf("/catch_up", out.CatchUp, automation.CatchUps()), oneOf("/overlap", out.Overlap, automation.Overlaps()))
	if out.TimeZone == "" {
		out.TimeZone = "UTC"
	}
	if string(out.Inputs) == "null" || len(out.Inputs) == 0 {
		out.Inputs = nil
	}
	found, err := s.checkDefinition(ctx, tenant, r)
	if err != nil {
		return out, err
	}
	return out, append(problems, found...).OrNil()
}

// checkTimes checks cron, interval, time_zone and jitter together.
func checkTimes(r ScheduleRequest) []*automation.Error {
	var out []*automation.Error
	if (r.Cron == "") == (r.Interval == "") {
		out = append(out, &automation.Error{
			Code: automation.CodeInvalid, Pointer: "/cron", Message: "a schedule has a cron expression or an interval: exactly one of the two",
			Suggestion: `set cron, like "0 3 * * *", or interval, like "15m"`,
		})
	}
	zone, err := cron.Zone(r.TimeZone)
	if err != nil {
		out = append(out, placed(err, "/time_zone"))
		zone = time.UTC
	}
	if r.Cron != "" {
		if _, err := cron.Parse(r.Cron, zone); err != nil {
			out = append(out, placed(err, "/cron"))
		}
	}
	longest := maxJitter
	if r.Interval != "" {
		every, err := time.ParseDuration(r.Interval)
		if err != nil || every < minInterval || every > maxInterval {
			out = append(out, &automation.Error{
				Code: automation.CodeInvalid, Pointer: "/interval", Message: "that is not an interval", Allowed: "1s to 8784h, like 15m or 1h30m",
			})
		} else {
			longest = min(longest, every)
		}
		if r.TimeZone != "" && r.TimeZone != "UTC" && r.Cron == "" {
			out = append(out, &automation.Error{
				Code: automation.CodeInvalid, Pointer: "/time_zone", Message: "an interval knows no time zone", Suggestion: "leave time_zone out, or use cron",
			})
		}
	}
	if r.Jitter != "" {
		if jitter, err := time.ParseDuration(r.Jitter); err != nil || jitter < 0 || jitter > longest {
			out = append(out, &automation.Error{
				Code: automation.CodeInvalid, Pointer: "/jitter", Message: "that is not a jitter for this schedule", Allowed: fmt.Sprintf("0s to %s, like 30s", longest),
			})
		}
	}
	return out
}

// placed is an error of the room cron with its place in the request.
func placed(err error, pointer string) *automation.Error {
	e := *automation.AsError(err)
	e.Pointer = pointer
	return &e
}

func oneOf[S ~string](pointer string, got S, known []S) *automation.Error {
	if slices.Contains(known, got) {
		return nil
	}
	names := make([]string, len(known))
	for i, k := range known {
		names[i] = string(k)
	}
	return &automation.Error{
		Code: automation.CodeInvalid, Pointer: pointer, Message: "the value is not one of those allowed", Allowed: strings.Join(names, ", "),
	}
}

// checkDefinition plans the definition and returns what is wrong with it; what has
// a line is in the definition's text. The plan is not stored.
func (s *Service) checkDefinition(ctx context.Context, tenant automation.TenantID, r ScheduleRequest) (automation.Errors, error) {
	if strings.TrimSpace(r.Definition) == "" {
		return automation.Errors{{Code: automation.CodeMissing, Pointer: "/definition", Message: "a schedule needs the definition of a workflow"}}, nil
	}
	if len(r.Inputs) > 0 && !json.Valid(r.Inputs) {
		return automation.Errors{{Code: automation.CodeSyntax, Pointer: "/inputs", Message: "the inputs are not JSON"}}, nil
	}
	_, err := s.build(ctx, tenant, PlanRequest{Definition: []byte(r.Definition), Inputs: r.Inputs})
	return inDefinition(err)
}

// inDefinition returns the faults of a definition and its inputs, as they are in a
// request that has both: what has a line is in the definition's text. Any other
// error is returned as that.
func inDefinition(err error) (automation.Errors, error) {
	var many automation.Errors
	var one *automation.Error
	switch {
	case err == nil:
		return nil, nil
	case errors.As(err, &many):
	case errors.As(err, &one) && one.Code != automation.CodeUnavailable && one.Code != automation.CodeInternal:
		many = automation.Errors{one}
	default:
		return nil, fault(err)
	}
	out := make(automation.Errors, len(many))
	for i, e := range many {
		there := *e
		if there.Line > 0 {
			there.Pointer = "/definition" + there.Pointer
		}
		out[i] = &there
	}
	return out, nil
}
