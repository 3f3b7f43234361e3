package automation

import (
	"fmt"
	"io"
	"log/slog"
)

const redacted = "[redacted]"

// Secret is bytes that must not be printed, logged, stored in the clear or
// served. Every way to format it gives "[redacted]"; Reveal is the only way to
// the bytes. The zero value is an empty secret.
type Secret struct{ b []byte }

// NewSecret returns a Secret that owns b: the caller does not use b again.
func NewSecret(b []byte) Secret { return Secret{b: b} }

// Reveal returns the bytes themselves, not a copy. They go to the protocol that
// needs them and nowhere else.
func (s Secret) Reveal() []byte { return s.b }

// Empty reports whether there are no bytes.
func (s Secret) Empty() bool { return len(s.b) == 0 }

// Wipe overwrites the bytes with zeros.
func (s Secret) Wipe() { clear(s.b) }

// String returns "[redacted]".
func (s Secret) String() string { return redacted }

// GoString returns "[redacted]".
func (s Secret) GoString() string { return redacted }

// Format writes "[redacted]" for every verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// MarshalJSON returns "[redacted]" as a JSON string.
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// MarshalText returns "[redacted]".
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue returns "[redacted]" for slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }
