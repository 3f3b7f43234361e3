package store

import (
	"context"
	"encoding/json"
	"fmt"

	"opsconductor.dev/host/automation"
)

// DeliveryKind says what a delivery brings to a host.
type DeliveryKind string

// The kinds of deliveries.
const (
	DeliverAttempt DeliveryKind = "attempt" // an attempt to begin
	DeliverCancel  DeliveryKind = "cancel"  // an attempt to stop, and why
	DeliverIntent  DeliveryKind = "intent"  // the answer to an intent: Error nil is leave to act
)

// Delivery is what the leader has for a host other than its own.
type Delivery struct {
	Host   automation.HostID
	Epoch  int64
	Number int64 // set by the store: grows from one commit to the next
	Kind   DeliveryKind
	// Attempt is whole for DeliverAttempt; the others need its key alone.
	Attempt automation.Attempt
	// Error is why to stop (cancel), or why the attempt may not act (intent).
	Error *automation.Error
}

// Report is what a host tells the leader of an attempt: how it ended, or that it
// is about to act.
type Report struct {
	Host   automation.HostID
	Epoch  int64
	Number int64 // 1, 2, 3 … of the host's epoch: the host gives it
	// Attempt needs its key, Tenant and StepID.
	Attempt automation.Attempt
	// Outcome is nil for an intent, which has the digest of the Command instead. Its
	// Logs are kept.
	Outcome *automation.Outcome
	Command automation.Digest
	// Live: see AttemptLogs.Live.
	Live bool
}

// Cursor names the last report of a host that was read.
type Cursor struct {
	Host   automation.HostID
	Epoch  int64
	Number int64
}

// Deliveries is the post between the leader and the hosts. The leader's part of
// writing is in Batch: what it delivers and what it has read go with the facts.
type Deliveries interface {
	// Deliveries returns what the leader has for a host's epoch after a number, by
	// number, at most limit.
	Deliveries(ctx context.Context, shard int, to Cursor, limit int) ([]Delivery, error)
	// PutReports stores reports of one host's epoch, and removes its deliveries up
	// to taken.Number, in one commit; reports whose number is there are passed over.
	// ErrFenced, and nothing is stored, when the host's row has another epoch.
	PutReports(ctx context.Context, shard int, taken Cursor, reports []Report) error
	// Reports returns the reports of each named host after its cursor (a later
	// epoch's come later), at most limit of each host.
	Reports(ctx context.Context, shard int, after []Cursor, limit int) ([]Report, error)
}

// deliveryBody and reportBody are the stored forms.
type deliveryBody struct {
	Key     automation.AttemptKey `json:"key"`
	Attempt *automation.Attempt   `json:"attempt,omitempty"`
	Error   *automation.Error     `json:"error,omitempty"`
}

type reportBody struct {
	Attempt automation.AttemptKey `json:"attempt"`
	Tenant  automation.TenantID   `json:"tenant"`
	StepID  string                `json:"step_id"`
	Outcome *automation.Outcome   `json:"outcome,omitempty"`
	Logs    []automation.LogLine  `json:"logs,omitempty"`
	Command automation.Digest     `json:"command,omitempty"`
	Live    bool                  `json:"live,omitempty"`
}

// EncodeDelivery returns the stored form of what a delivery brings.
func EncodeDelivery(d Delivery) ([]byte, error) {
	body := deliveryBody{Key: d.Attempt.AttemptKey, Error: d.Error}
	if d.Kind == DeliverAttempt {
		body.Attempt = &d.Attempt
	}
	b, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("encode a delivery: %w", err)
	}
	return b, nil
}

// DecodeDelivery is the opposite of EncodeDelivery: it sets what is in the body,
// and the lease that the delivery is addressed to.
func DecodeDelivery(body []byte, d *Delivery) error {
	var b deliveryBody
	if err := json.Unmarshal(body, &b); err != nil {
		return fmt.Errorf("decode a delivery: %w", err)
	}
	d.Attempt, d.Error = automation.Attempt{AttemptKey: b.Key}, b.Error
	if b.Attempt != nil {
		d.Attempt = *b.Attempt
	}
	d.Attempt.Host, d.Attempt.HostEpoch = d.Host, d.Epoch
	return nil
}

// EncodeReport returns the stored form of what a report says.
func EncodeReport(r Report) ([]byte, error) {
	body := reportBody{
		Attempt: r.Attempt.AttemptKey, Tenant: r.Attempt.Tenant, StepID: r.Attempt.StepID, Outcome: r.Outcome, Command: r.Command, Live: r.Live,
	}
	if r.Outcome != nil {
		body.Logs = r.Outcome.Logs
	}
	b, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("encode a report: %w", err)
	}
	return b, nil
}

// DecodeReport is the opposite of EncodeReport: it sets what is in the body, and
// the lease of the host that reports.
func DecodeReport(body []byte, r *Report) error {
	var b reportBody
	if err := json.Unmarshal(body, &b); err != nil {
		return fmt.Errorf("decode a report: %w", err)
	}
	r.Attempt = automation.Attempt{AttemptKey: b.Attempt, Tenant: b.Tenant, StepID: b.StepID, Host: r.Host, HostEpoch: r.Epoch}
	r.Outcome, r.Command, r.Live = b.Outcome, b.Command, b.Live
	if r.Outcome != nil {
		r.Outcome.Logs = b.Logs
	}
	return nil
}

// BatchTopics returns what a leader's batch has news for.
func BatchTopics(b *Batch) Topics {
	var t Topics
	if len(b.Entries) > 0 || len(b.Runs) > 0 {
		t = Topics{TopicEntries}
	}
	for i := range b.Deliveries {
		if to := b.Deliveries[i].Host; i == 0 || b.Deliveries[i-1].Host != to {
			t = t.And(Topics{HostTopic(to)})
		}
	}
	return t
}
