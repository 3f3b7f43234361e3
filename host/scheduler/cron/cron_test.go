package cron_test

import (
	"strings"
	"testing"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/scheduler/cron"
)

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	z, err := cron.Zone(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func at(t testing.TB, text string) time.Time {
	t.Helper()
	out, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestNext(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		expression, zone, after string
		want                    []string
	}{
		"Berlin, a time that does not exist": {"30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", []string{
			"2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00", "2026-03-31T02:30:00+02:00",
		}},
		"Berlin, several that do not exist run once": {"0,15,30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", []string{
			"2026-03-29T03:00:00+02:00", "2026-03-30T02:00:00+02:00",
		}},
		"Berlin, a time that exists twice": {"30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", []string{
			"2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00",
		}},
		"Berlin, asked between the two": {"30 2 * * *", "Europe/Berlin", "2026-10-25T00:45:00Z", []string{"2026-10-26T02:30:00+01:00"}},
		"Berlin, asked at the second":   {"30 2 * * *", "Europe/Berlin", "2026-10-25T01:30:00Z", []string{"2026-10-26T02:30:00+01:00"}},
		"New York, through the gap": {"*/30 * * * *", "America/New_York", "2026-03-08T06:00:00Z", []string{
			"2026-03-08T01:30:00-05:00", "2026-03-08T03:00:00-04:00", "2026-03-08T03:30:00-04:00",
		}},
		"New York, through the fold": {"*/30 * * * *", "America/New_York", "2026-11-01T04:50:00Z", []string{
			"2026-11-01T01:00:00-04:00", "2026-11-01T01:30:00-04:00", "2026-11-01T02:00:00-05:00",
		}},
		"Lord Howe, half an hour that does not exist": {"15 2 * * *", "Australia/Lord_Howe", "2026-10-02T12:00:00Z", []string{
			"2026-10-03T02:15:00+10:30", "2026-10-04T02:30:00+11:00", "2026-10-05T02:15:00+11:00",
		}},
		"Lord Howe, half an hour that exists twice": {"45 1 * * *", "Australia/Lord_Howe", "2026-04-03T12:00:00Z", []string{
			"2026-04-04T01:45:00+11:00", "2026-04-05T01:45:00+11:00", "2026-04-06T01:45:00+10:30",
		}},
		"Kolkata":                         {"0 9 * * mon-fri", "Asia/Kolkata", "2026-03-06T12:00:00Z", []string{"2026-03-09T09:00:00+05:30", "2026-03-10T09:00:00+05:30"}},
		"Samoa, a day that was skipped":   {"0 12 30 12 *", "Pacific/Apia", "2011-12-28T00:00:00Z", []string{"2011-12-31T00:00:00+14:00", "2012-12-30T12:00:00+14:00"}},
		"Santiago, a midnight that isn't": {"@daily", "America/Santiago", "2026-09-05T12:00:00Z", []string{"2026-09-06T01:00:00-03:00", "2026-09-07T00:00:00-03:00"}},
		"seconds":                         {"*/20 0 12 * * *", "UTC", "2026-01-01T00:00:00Z", []string{"2026-01-01T12:00:00Z", "2026-01-01T12:00:20Z", "2026-01-01T12:00:40Z", "2026-01-02T12:00:00Z"}},
		"29 February":                     {"0 0 29 2 *", "UTC", "2096-03-01T00:00:00Z", []string{"2104-02-29T00:00:00Z"}},
		"either day":                      {"0 0 13 * fri", "UTC", "2026-02-01T00:00:00Z", []string{"2026-02-06T00:00:00Z", "2026-02-13T00:00:00Z", "2026-02-20T00:00:00Z"}},
		"both days, one with a star":      {"0 0 */2 * 7", "UTC", "2026-02-01T00:00:00Z", []string{"2026-02-15T00:00:00Z", "2026-03-01T00:00:00Z"}},
		"the 31st":                        {"0 0 31 * *", "UTC", "2026-01-31T00:00:00Z", []string{"2026-03-31T00:00:00Z", "2026-05-31T00:00:00Z"}},
		"lists, names, steps":             {"5/20 8-10/2 1 JAN,dec *", "UTC", "2026-01-01T08:45:00Z", []string{"2026-01-01T10:05:00Z", "2026-01-01T10:25:00Z", "2026-01-01T10:45:00Z", "2026-12-01T08:05:00Z"}},
		"a fraction of a second":          {"* * * * * *", "UTC", "2026-01-01T00:00:00.5Z", []string{"2026-01-01T00:00:01Z", "2026-01-01T00:00:02Z"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, err := cron.Parse(c.expression, zone(t, c.zone))
			if err != nil {
				t.Fatal(err)
			}
			now := at(t, c.after)
			for i, want := range c.want {
				next, ok := e.Next(now)
				if !ok || !next.Equal(at(t, want)) {
					t.Fatalf("time %d: got %v, %v; want %s", i, next.In(zone(t, c.zone)), ok, want)
				}
				now = next
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	const shape = "; *, ranges (1-5), steps (*/15), lists (1,15))"
	for text, want := range map[string]string{
		"":                       "a cron expression with 0 fields (allowed: 5 fields (minute, hour, day of month, month, day of week), or 6 with the second first); write * for a field that does not matter",
		"* * * *":                "a cron expression with 4 fields",
		"* * * * * * *":          "a cron expression with 7 fields",
		"60 * * * *":             "the minute is not one (allowed: 0 to 59" + shape,
		"60 * * * * *":           "the second is not one (allowed: 0 to 59" + shape,
		"* 24 * * *":             "the hour is not one (allowed: 0 to 23" + shape,
		"* * 0 * *":              "the day of month is not one (allowed: 1 to 31" + shape,
		"* * * 13 *":             "the month is not one (allowed: 1 to 12, or jan,",
		"* * * * 8":              "the day of week is not one (allowed: 0 to 7, or sun,",
		"* * * * monday":         "the day of week is not one",
		"+1 * * * *":             "the minute is not one",
		"-1 * * * *":             "the minute is not one",
		"1- * * * *":             "the minute is not one",
		"1,,2 * * * *":           "the minute is not one",
		"1-2-3 * * * *":          "the minute is not one",
		"*-5 * * * *":            "the minute is not one",
		"*/0 * * * *":            "the step of the minute is not one (allowed: 1 to 59)",
		"*/60 * * * *":           "the step of the minute is not one",
		"*/ * * * *":             "the step of the minute is not one",
		"*/5/5 * * * *":          "the step of the minute is not one",
		"* 22-4 * * *":           "a range of the hour that ends before it begins; write it as two, with a comma between them",
		"* * * * fri-mon":        "a range of the day of week that ends before it begins",
		"0 0 30 2 *":             "the cron expression never fires: no month in it has such a day; check day of month and month",
		"0 0 31 2,4,6,9,11 *":    "never fires",
		"@every 5m":              "a cron expression with 2 fields",
		"@reboot":                "no such shorthand (allowed: @yearly, @monthly, @weekly, @daily, @hourly); an equal distance, like @every, is the schedule's interval",
		"TZ=UTC * * * * *":       "the cron expression names a time zone; set the schedule's time_zone",
		"CRON_TZ=UTC * * * * *":  "names a time zone",
		strings.Repeat("*", 257): "the cron expression is too long (allowed: at most 256 bytes)",
	} {
		_, err := cron.Parse(text, time.UTC)
		if err == nil || !strings.Contains(err.Error(), want) || automation.CodeOf(err) == automation.CodeInternal {
			t.Errorf("%q: got %v; want %q", text, err, want)
		}
	}
}

func TestZone(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"Europe/Berlni": "did you mean \"Europe/Berlin\"?", "berlin": `did you mean "Europe/Berlin"?`, "europe/berlin": `did you mean "Europe/Berlin"?`,
		"New York": "did you mean \"America/New_York\"?", "Local": "", "../etc/passwd": "", "/etc/localtime": "", "Mars/Olympus_Mons": "",
		strings.Repeat("x", 1<<20): "",
	} {
		_, err := cron.Zone(name)
		e := automation.AsError(err)
		if err == nil || e.Code != automation.CodeUnknownName || want != "" && e.Suggestion != want {
			t.Errorf("%.40q: got %v; want unknown_name, %q", name, err, want)
		}
	}
	if z, err := cron.Zone(""); err != nil || z != time.UTC {
		t.Errorf(`"": got %v, %v; want UTC`, z, err)
	}
}

func TestInterval(t *testing.T) {
	t.Parallel()
	from := at(t, "2026-01-01T00:00:07Z")
	i := cron.Interval{From: from, Every: 15 * time.Minute}
	for after, want := range map[string]string{
		"2025-06-01T00:00:00Z": "2026-01-01T00:15:07Z", "2026-01-01T00:00:07Z": "2026-01-01T00:15:07Z",
		"2026-01-01T00:15:06Z": "2026-01-01T00:15:07Z", "2026-01-01T00:15:07Z": "2026-01-01T00:30:07Z",
	} {
		if got, _ := i.Next(at(t, after)); !got.Equal(at(t, want)) {
			t.Errorf("after %s: got %v; want %s", after, got, want)
		}
	}
}

func TestLatest(t *testing.T) {
	t.Parallel()
	from, to := at(t, "2020-01-01T00:00:00Z"), at(t, "2026-01-01T00:00:00Z")
	for text, want := range map[string][]string{
		"* * * * * *": {"2025-12-31T23:59:58Z", "2025-12-31T23:59:59Z", "2026-01-01T00:00:00Z"},
		"0 0 29 2 *":  {"2020-02-29T00:00:00Z", "2024-02-29T00:00:00Z"},
		"0 0 1 * *":   {"2025-11-01T00:00:00Z", "2025-12-01T00:00:00Z", "2026-01-01T00:00:00Z"},
	} {
		e, err := cron.Parse(text, time.UTC)
		if err != nil {
			t.Fatal(err)
		}
		got := cron.Latest(e, from, to, 3)
		if len(got) != len(want) {
			t.Fatalf("%s: got %v; want %v", text, got, want)
		}
		for i := range want {
			if !got[i].Equal(at(t, want[i])) {
				t.Errorf("%s: got %v; want %v", text, got, want)
			}
		}
	}
	if got := cron.Latest(cron.Interval{From: from, Every: time.Hour}, to, to.Add(time.Minute), 3); len(got) != 0 {
		t.Errorf("got %v; want none", got)
	}
}

// FuzzNext: whatever parses moves forward, shows a wall clock that fits or the
// end of a gap, and never fires the same wall clock time twice.
func FuzzNext(f *testing.F) {
	for _, text := range []string{"30 2 * * *", "*/7 * * * *", "0 0 29 2 *", "15 1-3 * mar,oct sun", "*/20 * * * * *"} {
		for i := range 5 {
			f.Add(text, uint8(i), int64(1774700000))
		}
	}
	names := []string{"Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "Africa/Casablanca"}
	f.Fuzz(func(t *testing.T, text string, where uint8, unix int64) {
		z := zone(t, names[int(where)%len(names)])
		e, err := cron.Parse(text, z)
		if err != nil {
			return
		}
		now := time.Unix(unix%(1<<33), 0).UTC()
		shown := ""
		for range 20 {
			next, ok := e.Next(now)
			if !ok || !next.After(now) {
				t.Fatalf("%q in %s after %v: got %v, %v", text, z, now, next, ok)
			}
			wall := next.In(z).Format("2006-01-02T15:04:05")
			if wall <= shown {
				t.Fatalf("%q in %s: %s fires after %s", text, z, wall, shown)
			}
			now, shown = next, wall
		}
	})
}
