package postgres

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"opsconductor.dev/host/store"
)

// moment is how a time is stored: a timestamptz in whole microseconds, NULL for
// the zero time.
func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = store.Moment(t)
	return &t
}

// stamp scans what moment stored.
type stamp struct{ to *time.Time }

// ScanTimestamptz sets the time, in UTC.
func (s stamp) ScanTimestamptz(v pgtype.Timestamptz) error {
	if !v.Valid {
		*s.to = time.Time{}
		return nil
	}
	*s.to = v.Time.UTC()
	return nil
}

// encoded is the JSON text of a value, for a JSON column.
func encoded(v any) (string, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("encode a document: %w", err)
	}
	return string(b), nil
}

// text is JSON for a column of JSON; nil, NULL, for none.
func text(raw json.RawMessage) *string {
	if len(raw) == 0 {
		return nil
	}
	s := string(raw)
	return &s
}
