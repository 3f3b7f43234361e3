package store

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"opsconductor.dev/host/automation"
)

// compressFrom is the length of an attempt's log, in bytes of JSON, from which on
// it is stored compressed.
const compressFrom = 1 << 10

// maxLogBytes bounds what a stored log may unpack to.
const maxLogBytes = 64 << 20

// The encodings of a stored log (attempt_logs.encoding).
const (
	LogsPlain = 0 // a JSON array of lines
	LogsGzip  = 1 // the same, compressed by gzip
)

// EncodeFacts returns the stored form of an entry's facts: their JSON.
func EncodeFacts(facts []automation.Fact) ([]byte, error) {
	body, err := json.Marshal(facts)
	if err != nil {
		return nil, fmt.Errorf("encode the facts of an entry: %w", err)
	}
	return body, nil
}

// DecodeFacts is the opposite of EncodeFacts.
func DecodeFacts(body []byte) ([]automation.Fact, error) {
	var facts []automation.Fact
	if err := json.Unmarshal(body, &facts); err != nil {
		return nil, fmt.Errorf("decode the facts of an entry: %w", err)
	}
	return facts, nil
}

// EncodeLogs returns the stored form of the lines of an attempt, and its encoding.
func EncodeLogs(lines []automation.LogLine) (body []byte, encoding int, err error) {
	body, err = json.Marshal(lines)
	if err != nil {
		return nil, 0, fmt.Errorf("encode the log of an attempt: %w", err)
	}
	if len(body) < compressFrom {
		return body, LogsPlain, nil
	}
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(body); err != nil {
		return nil, 0, fmt.Errorf("compress the log of an attempt: %w", err)
	}
	if err := z.Close(); err != nil {
		return nil, 0, fmt.Errorf("compress the log of an attempt: %w", err)
	}
	return b.Bytes(), LogsGzip, nil
}

// DecodeLogs is the opposite of EncodeLogs.
func DecodeLogs(body []byte, encoding int) ([]automation.LogLine, error) {
	var r io.Reader = bytes.NewReader(body)
	if encoding == LogsGzip {
		z, err := gzip.NewReader(r)
		if err != nil {
			return nil, fmt.Errorf("unpack the log of an attempt: %w", err)
		}
		r = z
	}
	var lines []automation.LogLine
	if err := json.NewDecoder(io.LimitReader(r, maxLogBytes)).Decode(&lines); err != nil {
		return nil, fmt.Errorf("decode the log of an attempt: %w", err)
	}
	return lines, nil
}

// CheckAct reports an act that could not be recorded: every change has a tenant
// (the object's), somebody who made it, a name and a time.
func CheckAct(act automation.Act, tenant automation.TenantID) error {
	if act.Tenant == "" || act.Tenant != tenant || act.By == "" || act.Action == "" || act.At.IsZero() {
		return automation.Errorf(automation.CodeInternal, "a change without its act: tenant (the object's), by, action and at are needed")
	}
	if act.Key != "" && act.Request == "" {
		return automation.Errorf(automation.CodeInternal, "an idempotency key without the digest of its request")
	}
	return nil
}

// CheckPage reports a page whose limit is not 1 to 1000.
func CheckPage(p automation.Page) error {
	if p.Limit < 1 || p.Limit > 1000 {
		return &automation.Error{Code: automation.CodeInvalid, Message: "the limit of a page is out of its range", Allowed: "1 to 1000"}
	}
	return nil
}

// CheckLimit reports a limit that is not positive.
func CheckLimit(limit int) error {
	if limit < 1 {
		return &automation.Error{Code: automation.CodeInvalid, Message: "the limit of a read is out of its range", Allowed: "1 or more"}
	}
	return nil
}

// NotFound returns the error of an object that the tenant does not have.
func NotFound(what string) error {
	return &automation.Error{Code: automation.CodeNotFound, Message: "no such " + what}
}

// Fenced returns the error of a write whose epoch is over.
func Fenced(what string) error {
	return &automation.Error{Code: automation.CodeConflict, Message: what + ": " + ErrFenced.Error(), Err: ErrFenced}
}

// Outdated returns the error of a host that asks to lead after a leader that wrote
// facts of a format that this version does not know.
func Outdated(format int) error {
	return &automation.Error{
		Code: automation.CodeUnavailable, Err: ErrOutdated,
		Message:    fmt.Sprintf("%v: it wrote facts of format %d, this version knows those up to %d", ErrOutdated, format, automation.FactsFormat),
		Suggestion: "run the newer version on this host too; until then it carries out attempts and does not lead",
	}
}

// KeyReused returns the error of an idempotency key used for another request.
func KeyReused() error {
	return &automation.Error{
		Code: automation.CodeConflict, Message: ErrKeyReused.Error(), Err: ErrKeyReused,
		Suggestion: "send another Idempotency-Key, or the same request",
	}
}

// NewRun checks a run that is to be accepted and returns it as it is stored (in
// state queued, its time a Moment) with the stored form of its first entry.
func NewRun(run automation.Run, act automation.Act) (automation.Run, []byte, error) {
	if err := CheckAct(act, run.Tenant); err != nil {
		return run, nil, err
	}
	if run.State != "" && run.State != automation.RunQueued {
		return run, nil, automation.Errorf(automation.CodeInvalid, "a run is accepted in state queued")
	}
	if run.Created.IsZero() {
		return run, nil, automation.Errorf(automation.CodeInternal, "a run without the time of its creation")
	}
	run.State, run.Created = automation.RunQueued, Moment(run.Created)
	run.Error, run.Started, run.Ended, run.Seq = nil, time.Time{}, time.Time{}, 0
	body, err := EncodeFacts([]automation.Fact{{
		Kind: automation.FactRunAccepted, At: run.Created, Tenant: run.Tenant, Plan: run.PlanHash, By: run.By, Begin: run.Begin,
	}})
	if err != nil {
		return run, nil, automation.AsError(err)
	}
	run.Begin = nil
	return run, body, nil
}

// ParentRow scans the columns of a run's parent; NULL: it has none.
type ParentRow struct {
	Run, Step     *string
	Item, Attempt *int
}

// Parent returns the parent, nil without one.
func (r ParentRow) Parent() *automation.Parent {
	if r.Run == nil || r.Step == nil || r.Item == nil || r.Attempt == nil {
		return nil
	}
	return &automation.Parent{Run: automation.RunID(*r.Run), Step: *r.Step, Item: *r.Item, Attempt: *r.Attempt}
}

// CheckAccepted checks the runs that a batch accepts and returns them as they are
// stored: each has its first entry in the batch, and is in state queued.
func CheckAccepted(b Batch) ([]automation.Run, error) {
	first := make(map[automation.RunID]bool, len(b.Accepted))
	for i := range b.Entries {
		if e := &b.Entries[i]; len(e.Facts) > 0 && e.Facts[0].Kind == automation.FactRunAccepted {
			first[e.Run] = true
		}
	}
	var out []automation.Run
	for _, run := range b.Accepted {
		if !first[run.ID] || run.Parent == nil || run.Created.IsZero() {
			return nil, automation.Errorf(automation.CodeInternal, "a run that a leader accepts without its first entry, its parent or its time")
		}
		run.Shard, run.State, run.Created = b.Shard, automation.RunQueued, Moment(run.Created)
		out = append(out, run)
	}
	return out, nil
}

// Stale returns the error of a change to an object whose state or version is not
// the one that the change was made for.
func Stale() error {
	return &automation.Error{
		Code: automation.CodeConflict, Message: "the object was changed meanwhile",
		Suggestion: "read it again, and make the change on what it is now",
	}
}

// NotNil returns list, or an empty list for nil: what a JSON column keeps.
func NotNil[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// NilIfEmpty returns list, or nil for an empty one: what both stores read back.
func NilIfEmpty[T any](list []T) []T {
	if len(list) == 0 {
		return nil
	}
	return list
}

// Object returns m, or an empty map for nil: what a JSON column keeps.
func Object(m map[string]any) map[string]any {
	if m == nil {
		return map[string]any{}
	}
	return m
}

// NilIfNone returns m, or nil for an empty map: what both stores read back.
func NilIfNone(m map[string]any) map[string]any {
	if len(m) == 0 {
		return nil
	}
	return m
}
