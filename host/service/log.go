package service

import (
	"context"
	"encoding/base64"
	"fmt"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/workflow"
)

// LogQuery asks for what the attempts of a run logged.
type LogQuery struct {
	Step  string // "": of all steps
	After string // Next of the page before; "": from the start
	Limit int    // attempts: 1 to 1000; 0: 100
}

// LogPage is a page of attempts' logs, by step, item and attempt.
type LogPage struct {
	Attempts []AttemptLog
	Next     string // opaque; "" on the last page
}

// AttemptLog is what one attempt logged.
type AttemptLog struct {
	Step    string               `json:"step"`
	Item    int                  `json:"item"`
	Attempt int                  `json:"attempt"`
	Lines   []automation.LogLine `json:"lines"`
	// Partial: there may be more. The attempt is at work, or was lost with its host.
	Partial bool `json:"partial,omitempty"`
}

// Logs returns what the attempts of a run have logged so far.
func (s *Service) Logs(ctx context.Context, p automation.Principal, id automation.RunID, q LogQuery) (LogPage, error) {
	if err := s.authorise(p, opRunRead); err != nil {
		return LogPage{}, err
	}
	page := automation.Page{Limit: q.Limit}
	after, bad := parseAttempt(q.After)
	if err := refused(checkPage(&page), bad); err != nil {
		return LogPage{}, err
	}
	run, err := s.findRun(ctx, p.Tenant, id)
	if err != nil {
		return LogPage{}, err
	}
	program, err := s.program(ctx, p.Tenant, run.PlanHash)
	if err != nil {
		return LogPage{}, err
	}
	plan := program.Plan()
	first, last, unknown := stepRange(plan, q.Step)
	if unknown != nil {
		return LogPage{}, unknown
	}
	after.Run = id
	if after.Step < first {
		after = automation.AttemptKey{Run: id, Step: first}
	}
	return s.logPage(ctx, run, plan, after, last, page.Limit)
}

func (s *Service) logPage(ctx context.Context, run automation.Run, plan *workflow.Plan, after automation.AttemptKey, last, limit int) (LogPage, error) {
	list, err := s.store.RunLogs(ctx, run.Tenant, run.ID, after, limit+1)
	if err != nil {
		return LogPage{}, fault(err)
	}
	out := LogPage{Attempts: []AttemptLog{}}
	for _, l := range list {
		k := l.Attempt
		if k.Step > last || k.Step >= len(plan.Steps) {
			break
		}
		if len(out.Attempts) == limit {
			out.Next = attemptText(after)
			break
		}
		after = k
		out.Attempts = append(out.Attempts, AttemptLog{Step: plan.Steps[k.Step].ID, Item: k.Item, Attempt: k.Attempt, Lines: l.Lines, Partial: l.Chunk > 0})
	}
	return out, nil
}

func attemptText(k automation.AttemptKey) string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%d.%d.%d", k.Step, k.Item, k.Attempt))
}

func parseAttempt(text string) (automation.AttemptKey, *automation.Error) {
	var k automation.AttemptKey
	if text == "" {
		return k, nil
	}
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err == nil && len(b) < 64 {
		_, err = fmt.Sscanf(string(b), "%d.%d.%d", &k.Step, &k.Item, &k.Attempt)
	}
	if err != nil || k.Step < 0 || k.Item < 0 || k.Attempt < 0 || attemptText(k) != text {
		return automation.AttemptKey{}, &automation.Error{
			Code: automation.CodeBadRequest, Pointer: "/cursor", Message: "the cursor is not one of this list",
			Suggestion: "send the next cursor of the page before, or none to begin",
		}
	}
	return k, nil
}
