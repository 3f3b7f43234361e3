package config

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

// Day is 24 hours.
const Day = 24 * time.Hour

// mostRetained is the longest time that runs are kept for, but for ever.
const mostRetained = 3650 * Day

// parseDays reads "30d", or a duration as Go writes it; "0" is none.
func parseDays(s string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		if err == nil {
			return time.Duration(n) * Day, nil
		}
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0, errors.New("is no duration, like 30d or 36h")
	}
	return d, nil
}

// spelledDays is the opposite of parseDays.
func spelledDays(d time.Duration) string {
	switch {
	case d == 0:
		return "0"
	case d%Day == 0:
		return strconv.FormatInt(int64(d/Day), 10) + "d"
	}
	return d.String()
}
