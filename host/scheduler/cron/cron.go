package cron

import (
	"time"
)

// Times is a sequence of times that never ends, or ends where ok is false.
type Times interface {
	// Next returns the first time after another.
	Next(after time.Time) (next time.Time, ok bool)
}

// Interval is equal distances from a beginning, which is not itself among the times.
type Interval struct {
	From  time.Time
	Every time.Duration // above 0
}

// Next returns the first time after another, in UTC.
func (i Interval) Next(after time.Time) (time.Time, bool) {
	n := after.Sub(i.From) / i.Every
	if after.Before(i.From) {
		n = 0
	}
	return i.From.Add((n + 1) * i.Every).UTC(), true
}

// Expression is a cron expression in a time zone. Make it with Parse.
type Expression struct {
	second, minute, hour, day, month, weekday set
	anyDay, anyWeekday                        bool // the field begins with *
	zone                                      *time.Location
}

// set has a bit for each number that a field allows.
type set uint64

func (s set) has(n int) bool { return s&(1<<n) != 0 }

// next returns the first number from n on, or -1.
func (s set) next(n, last int) int {
	for ; n <= last; n++ {
		if s.has(n) {
			return n
		}
	}
	return -1
}

// horizon is how far Next looks: 29 February is at most eight years away.
const horizon = 9

// Next returns the first time after another, in UTC; ok is false when there is
// none within nine years.
func (e Expression) Next(after time.Time) (time.Time, bool) {
	wall := wallClock(after.In(e.zone)).Add(time.Second)
	last := wall.Year() + horizon
	for {
		var ok bool
		if wall, ok = e.match(wall, last); !ok {
			return time.Time{}, false
		}
		if t := instant(wall, e.zone); t.After(after) {
			return t.UTC(), true
		}
		wall = wall.Add(time.Second)
	}
}

// wallClock is what a clock on the wall shows at t, written as a time in UTC.
func wallClock(t time.Time) time.Time {
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	return time.Date(year, month, day, hour, minute, second, 0, time.UTC)
}

// match returns the first wall clock time from one on that fits the fields.
func (e Expression) match(w time.Time, lastYear int) (time.Time, bool) {
	for w.Year() <= lastYear {
		year, month, day := w.Date()
		if !e.month.has(int(month)) {
			w = time.Date(year, month+1, 1, 0, 0, 0, 0, time.UTC)
			continue
		}
		if !e.fitsDay(w) {
			w = time.Date(year, month, day+1, 0, 0, 0, 0, time.UTC)
			continue
		}
		hour, minute, second := w.Clock()
		if h := e.hour.next(hour, 23); h != hour {
			if h < 0 {
				w = time.Date(year, month, day+1, 0, 0, 0, 0, time.UTC)
				continue
			}
			hour, minute, second = h, 0, 0
		}
		if m := e.minute.next(minute, 59); m != minute {
			if m < 0 {
				w = time.Date(year, month, day, hour+1, 0, 0, 0, time.UTC)
				continue
			}
			minute, second = m, 0
		}
		if second = e.second.next(second, 59); second < 0 {
			w = time.Date(year, month, day, hour, minute+1, 0, 0, time.UTC)
			continue
		}
		return time.Date(year, month, day, hour, minute, second, 0, time.UTC), true
	}
	return time.Time{}, false
}

func (e Expression) fitsDay(w time.Time) bool {
	day, weekday := e.day.has(w.Day()), e.weekday.has(int(w.Weekday()))
	if e.anyDay || e.anyWeekday {
		return day && weekday
	}
	return day || weekday
}

// instant returns when the clocks of a zone show w: the first time if they do so
// twice, the moment after the jump if they never do.
func instant(w time.Time, zone *time.Location) time.Time {
	near := time.Date(w.Year(), w.Month(), w.Day(), w.Hour(), w.Minute(), w.Second(), 0, zone)
	start, end := near.ZoneBounds()
	around := []time.Time{near}
	if !start.IsZero() {
		around = append(around, start.Add(-time.Second))
	}
	if !end.IsZero() {
		around = append(around, end)
	}
	var first time.Time
	for _, t := range around {
		at := w.Add(-offset(t)).In(zone)
		if offset(at) == offset(t) && (first.IsZero() || at.Before(first)) {
			first = at
		}
	}
	if !first.IsZero() {
		return first
	}
	for _, jump := range []time.Time{start, end} {
		if jump.IsZero() {
			continue
		}
		before, after := offset(jump.Add(-time.Second)), offset(jump)
		if shown := w.Sub(wallClock(jump.UTC())); before <= shown && shown < after {
			return jump
		}
	}
	return near
}

func offset(t time.Time) time.Duration {
	_, seconds := t.Zone()
	return time.Duration(seconds) * time.Second
}

// Latest returns the newest n times after from and not after to, the oldest
// first. It looks back step by step, so that a long span costs no more than the
// times in its end.
func Latest(times Times, from, to time.Time, n int) []time.Time {
	for span := time.Minute; ; span *= 4 {
		begin := to.Add(-span)
		whole := !begin.After(from) || span > 20*366*24*time.Hour
		if whole {
			begin = from
		}
		var found []time.Time
		for t, ok := times.Next(begin); ok && !t.After(to); t, ok = times.Next(t) {
			if found = append(found, t); len(found) > 2*n {
				found = append(found[:0], found[len(found)-n:]...)
			}
		}
		if whole || len(found) >= n {
			return found[max(len(found)-n, 0):]
		}
	}
}
