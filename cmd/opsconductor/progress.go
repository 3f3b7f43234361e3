package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// change is one event of a run, as progress shows it.
type change struct {
	at      time.Time
	run     string // the run's state, for an event of the run
	step    string
	item    int
	target  string
	fanned  bool // the step has for_each
	state   string
	attempt int
	problem string
	hint    string // what somebody has to do for the item to go on
}

// progress shows how a run goes on: on a terminal one line a step, drawn again
// and again; elsewhere one line a change. It is used by one goroutine.
type progress struct {
	w     io.Writer
	width int // of the terminal; 0: not one
	began time.Time
	now   func() time.Time

	steps []*stepProgress
	byID  map[string]*stepProgress
	run   string
	lines int // drawn last time
	drawn time.Time
	last  string // the latest problem
}

type stepProgress struct {
	id    string
	items map[int]string // state by item
	hints map[int]string // what somebody has to do, by item
	began time.Time
	// changed is when one of its items last changed.
	changed time.Time
}

func newProgress(w io.Writer, steps []string, now func() time.Time) *progress {
	p := &progress{w: w, width: width(w), began: now(), now: now, byID: map[string]*stepProgress{}, run: "queued"}
	for _, id := range steps {
		p.step(id)
	}
	return p
}

func (p *progress) step(id string) *stepProgress {
	if s := p.byID[id]; s != nil {
		return s
	}
	s := &stepProgress{id: id, items: map[int]string{}}
	p.byID[id] = s
	p.steps = append(p.steps, s)
	return s
}

// add takes a change in.
func (p *progress) add(c change) {
	if c.run != "" {
		p.run = c.run
	} else {
		s := p.step(c.step)
		s.items[c.item] = c.state
		s.hint(c.item, c.hint)
		if s.began.IsZero() && (c.state == "leased" || c.state == "running") {
			s.began = c.at
		}
		s.changed = c.at
	}
	if c.problem != "" {
		p.last = place(c) + ": " + c.problem
	}
	if p.width == 0 {
		p.line(c)
		return
	}
	if p.now().Sub(p.drawn) >= 50*time.Millisecond {
		p.draw()
	}
}

// place says where a change happened: in the run, a step, or an item of a fan-out.
func place(c change) string {
	switch {
	case c.run != "":
		return "run"
	case c.target != "":
		return c.step + "[" + c.target + "]"
	case c.fanned:
		return fmt.Sprintf("%s[%d]", c.step, c.item)
	}
	return c.step
}

// line writes a change as one line. What only passes through is left out.
func (p *progress) line(c change) {
	at := c.at.Local().Format("15:04:05.000")
	if c.run != "" {
		text := fmt.Sprintf("%s run %s", at, c.run)
		if c.problem != "" {
			text += ": " + c.problem
		}
		fmt.Fprintln(p.w, clean(text))
		return
	}
	switch c.state {
	case "blocked", "ready", "leased", "parked":
		return
	}
	text := fmt.Sprintf("%s %s %s", at, place(c), c.state)
	if c.attempt > 1 {
		text += fmt.Sprintf(" (attempt %d)", c.attempt)
	}
	if c.problem != "" {
		text += ": " + c.problem
	}
	fmt.Fprintln(p.w, clean(text))
	if c.hint != "" {
		fmt.Fprintln(p.w, clean(c.hint))
	}
}

// draw draws the view over the last one.
func (p *progress) draw() {
	if p.width == 0 {
		return
	}
	p.drawn = p.now()
	var b strings.Builder
	if p.lines > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", p.lines)
	}
	rows := p.rows()
	for _, row := range rows {
		b.WriteString("\r\x1b[K" + shorten(row, p.width-1) + "\n")
	}
	if extra := p.lines - len(rows); extra > 0 {
		b.WriteString(strings.Repeat("\r\x1b[K\n", extra) + fmt.Sprintf("\x1b[%dA", extra))
	}
	p.lines = len(rows)
	_, _ = io.WriteString(p.w, b.String()) // a view that can't be drawn must not end the run's wait
}

// maxRows keeps the view within a terminal of 24 lines.
const maxRows = 20

func (p *progress) rows() []string {
	wide := 0
	for _, s := range p.steps {
		wide = max(wide, len(s.id))
	}
	rows := []string{fmt.Sprintf("run %s  %s", clean(p.run), span(p.now().Sub(p.began)))}
	for i, s := range p.steps {
		if i == maxRows {
			rows = append(rows, fmt.Sprintf("… and %d more steps", len(p.steps)-i))
			break
		}
		rows = append(rows, clean(fmt.Sprintf("%s %-*s  %s", s.mark(), wide, s.id, s.summary(p.now()))))
	}
	if p.last != "" {
		rows = append(rows, clean(p.last))
	}
	return append(rows, p.hints()...)
}

// hint notes what somebody has to do for an item; "" takes it back.
func (s *stepProgress) hint(item int, text string) {
	switch {
	case text == "":
		delete(s.hints, item)
	case s.hints == nil:
		s.hints = map[int]string{item: text}
	default:
		s.hints[item] = text
	}
}

// hints says what somebody has to do for the run to go on, of the first few items.
func (p *progress) hints() []string {
	var rows []string
	more := 0
	for _, s := range p.steps {
		for _, item := range slices.Sorted(maps.Keys(s.hints)) {
			if len(rows) < 4 {
				what, how, _ := strings.Cut(s.hints[item], "; ") // the rows are cut to the terminal's width
				rows = append(rows, clean(what), clean("  "+how))
			} else {
				more++
			}
		}
	}
	if more > 0 {
		rows = append(rows, fmt.Sprintf("… and %d more items wait for somebody", more))
	}
	return rows
}

func (s *stepProgress) counts() map[string]int {
	out := map[string]int{}
	for _, state := range s.items {
		out[state]++
	}
	return out
}

// mark is the step's sign: the worst that happened, else that it goes on, else done.
func (s *stepProgress) mark() string {
	c := s.counts()
	switch {
	case c["failed"] > 0:
		return "✗"
	case c["unknown"] > 0:
		return "?"
	case len(s.items) == 0 || c["blocked"] == len(s.items):
		return "·"
	case c["succeeded"] == len(s.items):
		return "✓"
	case c["skipped"] == len(s.items):
		return "-"
	case c["succeeded"]+c["skipped"]+c["cancelled"] == len(s.items):
		return "✓"
	}
	return "▸"
}

// acts reports whether an attempt of the step is under way.
func (s *stepProgress) acts() bool {
	c := s.counts()
	return c["leased"]+c["running"] > 0
}

func (s *stepProgress) summary(now time.Time) string {
	c := s.counts()
	var parts []string
	for _, state := range []string{
		"succeeded", "failed", "unknown", "cancelled", "skipped", "running", "leased", "waiting_retry", "ready", "parked",
	} {
		if n := c[state]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, state))
		}
	}
	if len(parts) == 0 {
		return "waits"
	}
	text := strings.Join(parts, ", ")
	if s.began.IsZero() {
		return text
	}
	until := s.changed
	if s.acts() {
		until = now
	}
	if took := span(until.Sub(s.began)); took != "" {
		text += "  " + took
	}
	return text
}
