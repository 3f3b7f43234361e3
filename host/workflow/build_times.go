package workflow

import (
	"time"

	"opsconductor.dev/host/automation"
)

// readLimits reads the run's own limits.
func (b *builder) readLimits() {
	n := b.root.field("limits")
	b.timeout = b.Limits.RunTimeout
	b.readDuration("/limits/timeout", n.field("timeout"), b.Limits.RunTimeout, &b.timeout)
	b.stopIfFailed, _ = b.readAmount("/limits/stop_if_failed", n.field("stop_if_failed"))
}

// readTimes reads how long an attempt, an item and the step may take. An attempt's
// time that the step does not say may be longer than its item's, whose time is up
// first then and is the one that is named.
func (b *builder) readTimes(s *step) {
	attempt := time.Duration(0)
	b.readDuration(s.at+"/timeout", s.node.field("timeout"), b.Limits.RunTimeout, &attempt)
	b.readTime(s, "item_timeout", &s.plan.ItemTimeout)
	b.readTime(s, "step_timeout", &s.plan.StepTimeout)
	b.checkTime(s, "item_timeout", s.plan.ItemTimeout, "timeout", attempt)
	smaller, than := "item_timeout", s.plan.ItemTimeout
	if than == 0 {
		smaller, than = "timeout", attempt
	}
	b.checkTime(s, "step_timeout", s.plan.StepTimeout, smaller, than)
	s.plan.Timeout = attempt
	if attempt > 0 {
		return
	}
	s.plan.Timeout = min(b.Limits.AttemptTimeout, b.Limits.RunTimeout)
	if s.action != nil && s.action.Timeout != "" {
		if d, err := parseDuration(s.action.Timeout); err == nil && d > 0 {
			s.plan.Timeout = min(d, b.Limits.RunTimeout)
		}
	}
}

// readTime reads a time that the run's own must leave room for.
func (b *builder) readTime(s *step, field string, d *time.Duration) {
	at := s.at + "/" + field
	b.readDuration(at, s.node.field(field), b.Limits.RunTimeout, d)
	if *d > b.timeout {
		b.add(at, &automation.Error{
			Code: automation.CodeInvalid, Message: field + " is longer than the run's timeout",
			Allowed: "at most " + formatDuration(b.timeout), Suggestion: "raise limits.timeout, or shorten " + field,
		})
	}
}

// checkTime reports a time that is shorter than one that it holds.
func (b *builder) checkTime(s *step, field string, d time.Duration, smaller string, least time.Duration) {
	if d == 0 || d >= least {
		return
	}
	b.add(s.at+"/"+field, &automation.Error{
		Code: automation.CodeInvalid, Message: field + " is shorter than " + smaller + ", which it holds",
		Allowed: "at least " + formatDuration(least), Suggestion: "raise " + field + ", or shorten " + smaller,
	})
}

// readDuration reads a duration field into d; without one d stays as it is.
func (b *builder) readDuration(at string, n *node, most time.Duration, d *time.Duration) {
	if n == nil || n.kind != nodeString || b.faulty(at) {
		return
	}
	v, err := parseDuration(n.text)
	switch {
	case err != nil || v > most:
		b.add(at, limitError("too long a time", formatDuration(most), ""))
	case v < time.Millisecond:
		b.add(at, &automation.Error{Code: automation.CodeInvalid, Message: "too short a time", Allowed: "at least 1ms"})
	default:
		*d = v
	}
}
