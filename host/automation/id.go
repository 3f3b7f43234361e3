package automation

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"sync"
	"time"
)

// The identifiers. Each is the canonical text (36 characters, lower case) of a
// UUID version 7 (RFC 9562 section 5.7), so that text order is creation order.
// The zero value, "", means none.
type (
	// RunID names a run.
	RunID string
	// AssetID names an asset of the inventory.
	AssetID string
	// CredentialID names a sealed credential.
	CredentialID string
	// TokenID names an API token; it is not the token's secret.
	TokenID string
	// HostID names a host process's row; it survives restarts of that host.
	HostID string
	// QuestionID names a question to the leader.
	QuestionID string
	// CommandID names a control request (a cancel, say) that waits for the leader.
	CommandID string
	// PluginID names one uploaded version of a plugin's record; its artifact is named by Digest.
	PluginID string
)

// TenantID names a tenant. Every stored record carries one.
type TenantID string

// DefaultTenant is the tenant of a deployment that has only one.
const DefaultTenant TenantID = "default"

// Digest is the lower-case hexadecimal SHA-256 (64 characters) that names a
// plugin artifact or a plan.
type Digest string

// idClock keeps NewID monotonic inside one process: two identifiers made in the
// same millisecond still sort in the order in which they were made.
type idClock struct {
	mu sync.Mutex
	// last is the last timestamp used: milliseconds << 12 | counter.
	last uint64
}

func (c *idClock) next(now time.Time) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := uint64(now.UnixMilli()) << 12
	if t <= c.last {
		t = c.last + 1
	}
	c.last = t
	return t
}

var ids = &idClock{} //nolint:gochecknoglobals // one monotonic source a process is what makes identifiers sortable

// NewID returns a new identifier of any of the identifier types, later in text
// order than every identifier that this process made before. It is safe for
// concurrent use.
func NewID[T ~string]() T { return T(newUUIDv7(time.Now())) }

func newUUIDv7(now time.Time) string {
	var b [16]byte
	t := ids.next(now)
	binary.BigEndian.PutUint64(b[:8], (t>>12)<<16|0x7000|t&0xfff)
	_, _ = rand.Read(b[8:]) // never fails: crypto/rand ends the process instead
	b[8] = b[8]&0x3f | 0x80
	var s [36]byte
	hex.Encode(s[:8], b[:4])
	s[8] = '-'
	hex.Encode(s[9:13], b[4:6])
	s[13] = '-'
	hex.Encode(s[14:18], b[6:8])
	s[18] = '-'
	hex.Encode(s[19:23], b[8:10])
	s[23] = '-'
	hex.Encode(s[24:], b[10:])
	return string(s[:])
}

// ParseID checks that s is the canonical text of a UUID and returns it as an
// identifier; any other text is an error with code CodeBadRequest.
func ParseID[T ~string](s string) (T, error) {
	ok := len(s) == 36
	for i := 0; ok && i < len(s); i++ {
		switch c := s[i]; i {
		case 8, 13, 18, 23:
			ok = c == '-'
		default:
			ok = c >= '0' && c <= '9' || c >= 'a' && c <= 'f'
		}
	}
	if !ok {
		return "", &Error{Code: CodeBadRequest, Message: fmt.Sprintf("an identifier has 36 characters, like %s", "0190a3c4-5b6d-7e8f-9a0b-1c2d3e4f5a6b")}
	}
	return T(s), nil
}
