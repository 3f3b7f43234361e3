package automation

import (
	"fmt"
	"time"
)

// FirstID returns the identifier text that stands before every identifier that was
// made at t or later, and after all that were made before (whole milliseconds; a
// time before 1970 is taken for 1970). It is a bound, and names nothing.
func FirstID[T ~string](t time.Time) T {
	ms := max(t.UnixMilli(), 0)
	return T(fmt.Sprintf("%08x-%04x", ms>>16, ms&0xffff))
}
