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
	return nil, &automation.Error{
		Code: automation.CodeUnknownName, Message: "there is no such time zone", Allowed: "an IANA name, like Europe/Berlin",
		Suggestion: suggest(strings.ReplaceAll(strings.TrimSpace(name), " ", "_"), known),
	}
}

// suggest names the zone that is nearest to a name: of all zones, or, where the
// name has no slash, of what stands behind their last one.
func suggest(name string, known []string) string {
	if near := automation.DidYouMean(name, known); near != "" || strings.Contains(name, "/") {
		return near
	}
	cities := make([]string, len(known))
	for i, zone := range known {
		cities[i] = zone[strings.LastIndexByte(zone, '/')+1:]
	}
	if i := slices.Index(cities, automation.Nearest(name, cities)); i >= 0 {
		return automation.DidYouMean(known[i], known)
	}
	return ""
}
