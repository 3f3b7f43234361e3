package sqlite

import (
	"encoding/json"
	"fmt"
	"time"
)

// micros is how a time is stored: microseconds since 1970, NULL for the zero time.
func micros(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMicro()
}

// stamp scans what micros stored.
type stamp struct{ to *time.Time }

// Scan sets the time, in UTC.
func (s stamp) Scan(v any) error {
	switch v := v.(type) {
	case nil:
		*s.to = time.Time{}
	case int64:
		*s.to = time.UnixMicro(v).UTC()
	default:
		return fmt.Errorf("a time is stored as %T", v)
	}
	return nil
}

// document scans a JSON column; NULL leaves the value as it is.
type document struct{ to any }

// Scan decodes the document.
func (d document) Scan(v any) error {
	switch v := v.(type) {
	case nil:
		return nil
	case string:
		return json.Unmarshal([]byte(v), d.to)
	default:
		return fmt.Errorf("a document is stored as %T", v)
	}
}

// encoded is the JSON text of a value, for a JSON column.
func encoded(v any) (string, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("encode a document: %w", err)
	}
	return string(b), nil
}

// text is JSON for a column of text; NULL for none.
func text(raw json.RawMessage) any {
	if len(raw) == 0 {
		return nil
	}
	return string(raw)
}
