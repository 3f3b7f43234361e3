package cron

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // the zones are in the binary: hosts agree on their names

	"opsconductor.dev/host/automation"
)

//go:generate go run ./zonegen zones.txt
//go:embed zones.txt
var zones string

// Zone returns the time zone with an IANA name; "" is UTC. Its error has no
// pointer, and names the nearest zone.
func Zone(name string) (*time.Location, error) {
	if name == "" {
		return time.UTC, nil
	}
	known := strings.Fields(zones)
	if _, ok := slices.BinarySearch(known, name); ok {
		zone, err := time.LoadLocation(name)
		if err != nil {
			return nil, fmt.Errorf("load the time zone: %w", err)
		}
		return zone, nil
	}
	e := &automation.Error{Code: automation.CodeUnknownName, Message: "there is no such time zone", Allowed: "an IANA name, like Europe/Berlin"}
	if near := nearest(name, known); near != "" {
		e.Suggestion = "did you mean " + near + "?"
	}
	return nil, e
}

// nearest returns the name that is a third of its letters away at the most: of
// the whole, or of what stands behind its last slash.
func nearest(name string, known []string) string {
	if len(name) > 64 {
		return ""
	}
	wanted := strings.ToLower(strings.ReplaceAll(strings.TrimSpace(name), " ", "_"))
	best, found := len(wanted)/3+1, ""
	for _, k := range known {
		whole := strings.ToLower(k)
		city := whole[strings.LastIndexByte(whole, '/')+1:]
		d := distance(wanted, whole)
		if !strings.Contains(wanted, "/") {
			d = min(d, distance(wanted, city))
		}
		if d < best {
			best, found = d, k
		}
	}
	return found
}

// distance is Levenshtein's, in bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
