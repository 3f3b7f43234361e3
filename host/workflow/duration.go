package workflow

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

var errDuration = errors.New("not a duration")

// parseDuration reads a duration like 30s, 1h30m or 2d.
func parseDuration(s string) (time.Duration, error) {
	units := map[string]time.Duration{"ms": time.Millisecond, "s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour}
	var total float64
	rest := s
	for rest != "" {
		i := 0
		for i < len(rest) && (rest[i] >= '0' && rest[i] <= '9' || rest[i] == '.') {
			i++
		}
		j := i
		for j < len(rest) && rest[j] >= 'a' && rest[j] <= 'z' {
			j++
		}
		n, err := strconv.ParseFloat(rest[:i], 64)
		unit := units[rest[i:j]]
		if err != nil || unit == 0 || strings.HasPrefix(rest, ".") {
			return 0, errDuration
		}
		total += n * float64(unit)
		rest = rest[j:]
	}
	if s == "" || total > float64(1<<62) {
		return 0, errDuration
	}
	return time.Duration(total), nil
}

// formatDuration writes a duration as parseDuration reads it: 24h, 1m30s.
func formatDuration(d time.Duration) string {
	s := d.String()
	s = strings.TrimSuffix(s, "0s")
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	if s == "" || strings.HasSuffix(s, ".") {
		return d.String()
	}
	if last := s[len(s)-1]; last >= '0' && last <= '9' {
		return d.String()
	}
	return s
}
