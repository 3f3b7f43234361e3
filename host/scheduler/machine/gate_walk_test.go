package machine_test

import (
	"strconv"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/scheduler/calendar"
)

// windows replaces the maintenance windows; the walk keeps a calendar of its own
// to check by.
func (w *world) windows() {
	list := make([]automation.Window, w.r.IntN(4))
	for i := range list {
		l := &list[i]
		l.Name, l.Tenant = "w"+strconv.Itoa(i), "default"
		l.Kind, l.Scope = automation.WindowKinds()[w.r.IntN(2)], automation.WindowScopes()[w.r.IntN(2)]
		l.Assets = []string{[]string{"t0", "t1", "t2", "*"}[w.r.IntN(4)]}
		if w.r.IntN(2) == 0 {
			l.Cron, l.Duration, l.TimeZone = strconv.Itoa(w.r.IntN(60))+" * * * * *", strconv.Itoa(1+w.r.IntN(50))+"s", "UTC"
			continue
		}
		l.From = w.now.Add(time.Duration(w.r.IntN(60)-30) * time.Second)
		l.Until = l.From.Add(time.Duration(1+w.r.IntN(60)) * time.Second)
	}
	w.calendar = mustCalendar(list)
	w.m.SetCalendar(mustCalendar(list), w.now)
	w.count["windows"]++
}

func mustCalendar(list []automation.Window) *calendar.Calendar {
	c, err := calendar.New(list)
	if err != nil {
		panic(err) // the walk makes good windows
	}
	return c
}

// checkOpen checks that an attempt was granted while its target was open.
func (w *world) checkOpen(a *automation.Attempt) {
	if a.Target == nil || w.calendar == nil {
		return
	}
	if c, closed := w.calendar.Closed("default", a.Target, a.Effect, w.now); closed {
		w.t.Fatalf("%v was granted on %s while %s keeps it closed until %s", a.AttemptKey, a.Target.Name, c.Window, c.Until)
	}
}
