package service

import (
	"context"
	"math"
	"sort"
	"strconv"
	"strings"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/scheduler/machine"
)

// Cursor is a place in a run's events: the number of the log's entry, and the
// event's index among those of the entry. The zero value is before all.
type Cursor struct {
	Seq   int64
	Index int
}

// AfterEntry is the cursor behind all events of an entry: what follows is news to
// one who has a snapshot with that sequence number.
func AfterEntry(seq int64) Cursor { return Cursor{Seq: seq, Index: math.MaxInt} }

// String returns the cursor's text, "SEQ.INDEX", or "SEQ" for one made by AfterEntry.
func (c Cursor) String() string {
	if c.Index == math.MaxInt {
		return strconv.FormatInt(c.Seq, 10)
	}
	return strconv.FormatInt(c.Seq, 10) + "." + strconv.Itoa(c.Index)
}

// ParseCursor reads a cursor's text; "" is the zero value. Any other text than
// String gives is bad_request.
func ParseCursor(text string) (Cursor, error) {
	if text == "" {
		return Cursor{}, nil
	}
	first, second, both := strings.Cut(text, ".")
	seq, err := strconv.ParseUint(first, 10, 63)
	c := AfterEntry(int64(seq)) //nolint:gosec // 63 bits
	if err == nil && both {
		var index uint64
		index, err = strconv.ParseUint(second, 10, 31)
		c.Index = int(index) //nolint:gosec // 31 bits
	}
	if err != nil || c.String() != text {
		return Cursor{}, &automation.Error{
			Code: automation.CodeBadRequest, Message: "that is not the identifier of an event", Allowed: "SEQ or SEQ.INDEX, as events have it",
		}
	}
	return c, nil
}

// before reports whether c is before d.
func (c Cursor) before(d Cursor) bool { return c.Seq < d.Seq || c.Seq == d.Seq && c.Index < d.Index }

// Event is a change of a run's or an item's state. The same log gives the same
// events with the same cursors, however often and wherever it is read.
type Event struct {
	// Seq is the number of the log's entry that caused it; Index its place among
	// the events of that entry.
	Seq   int64     `json:"seq"`
	Index int       `json:"index"`
	At    time.Time `json:"at"`
	// Kind is "run" (RunState is set) or "item" (the others are).
	Kind     string               `json:"kind"`
	RunState automation.RunState  `json:"run_state,omitempty"`
	Step     string               `json:"step,omitempty"`
	Item     int                  `json:"item"`
	Target   string               `json:"target,omitempty"` // the target's name
	State    automation.ItemState `json:"state,omitempty"`
	Attempt  int                  `json:"attempt,omitempty"`
	// WaitsFor is what somebody has to give for the item to go on.
	WaitsFor *automation.Wait  `json:"waits_for,omitempty"`
	Error    *automation.Error `json:"error,omitempty"`
}

// The kinds of events.
const (
	EventRun  = "run"
	EventItem = "item"
)

// Cursor returns the event's place.
func (e Event) Cursor() Cursor { return Cursor{e.Seq, e.Index} }

func eventOf(seq int64, index int, c machine.Change) Event {
	e := Event{Seq: seq, Index: index, At: c.At, Error: c.Error}
	if c.Kind == machine.ChangeRun {
		e.Kind, e.RunState = EventRun, c.RunState
		return e
	}
	e.Kind, e.Step, e.Item, e.State, e.Attempt = EventItem, c.StepID, c.Item, c.ItemState, c.Attempt
	e.WaitsFor = c.Wait
	if c.Element.Target != nil {
		e.Target = c.Element.Target.Name
	}
	return e
}

// Events calls yield with the run's events behind a cursor, first those that the
// log has, then live ones as they happen, until the run's end was given (then it
// returns nil), yield fails (its error is returned as it is) or ctx is done. No
// event is left out or given twice. yield is called from the caller's goroutine,
// and nothing waits for it but this call.
func (s *Service) Events(ctx context.Context, p automation.Principal, id automation.RunID, after Cursor, yield func(Event) error) error {
	if err := s.authorise(p, opRunRead); err != nil {
		return err
	}
	run, err := s.findRun(ctx, p.Tenant, id)
	if err != nil {
		return err
	}
	tick := newTicker(s.store.Wake)
	defer tick.stop()
	for {
		var news []Event
		var ended bool
		if err := s.look(ctx, run, func(v *view) { news, ended = v.behind(after), v.ended }); err != nil {
			return err
		}
		for _, e := range news {
			if err := yield(e); err != nil {
				return err
			}
			after = e.Cursor()
		}
		if ended {
			return nil
		}
		if err := tick.wait(ctx, len(news) > 0); err != nil {
			return err
		}
	}
}

// behind returns the events behind a cursor. The slice may be kept: events are
// only appended.
func (v *view) behind(c Cursor) []Event {
	i := sort.Search(len(v.events), func(i int) bool { return c.before(v.events[i].Cursor()) })
	return v.events[i:len(v.events):len(v.events)]
}
