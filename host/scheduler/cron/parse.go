package cron

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"opsconductor.dev/host/automation"
)

// maxText bounds an expression, in bytes.
const maxText = 256

// field is one of an expression's fields.
type field struct {
	name       string
	first, max int
	names      []string // from first on
}

func fields() []field {
	return []field{
		{name: "second", max: 59},
		{name: "minute", max: 59},
		{name: "hour", max: 23},
		{name: "day of month", first: 1, max: 31},
		{name: "month", first: 1, max: 12, names: []string{"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"}},
		{name: "day of week", max: 7, names: []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}},
	}
}

// shorthands are words for whole expressions.
func shorthands() map[string]string {
	return map[string]string{
		"@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
		"@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
	}
}

// Parse reads a cron expression for a time zone. Its errors name the field, and
// have no pointer; an expression that never fires is one of them.
func Parse(text string, zone *time.Location) (Expression, error) {
	if len(text) > maxText {
		return Expression{}, &automation.Error{
			Code: automation.CodeLimit, Message: "the cron expression is too long", Allowed: fmt.Sprintf("at most %d bytes", maxText),
		}
	}
	parts := strings.Fields(text)
	if len(parts) == 1 && strings.HasPrefix(parts[0], "@") {
		whole, ok := shorthands()[strings.ToLower(parts[0])]
		if !ok {
			return Expression{}, wrong("no such shorthand", "@yearly, @monthly, @weekly, @daily, @hourly", "an equal distance, like @every, is the schedule's interval")
		}
		parts = strings.Fields(whole)
	}
	if len(parts) > 0 && strings.Contains(parts[0], "TZ=") {
		return Expression{}, wrong("the cron expression names a time zone", "", "set the schedule's time_zone")
	}
	switch len(parts) {
	case 5:
		parts = append([]string{"0"}, parts...)
	case 6:
	default:
		return Expression{}, wrong(fmt.Sprintf("a cron expression with %d fields", len(parts)),
			"5 fields (minute, hour, day of month, month, day of week), or 6 with the second first", "write * for a field that does not matter")
	}
	e := Expression{zone: zone, anyDay: strings.HasPrefix(parts[3], "*"), anyWeekday: strings.HasPrefix(parts[5], "*")}
	sets := []*set{&e.second, &e.minute, &e.hour, &e.day, &e.month, &e.weekday}
	for i, f := range fields() {
		s, err := f.parse(parts[i])
		if err != nil {
			return Expression{}, err
		}
		*sets[i] = s
	}
	if e.weekday.has(7) {
		e.weekday |= 1
	}
	if _, ok := e.match(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC), 2000+horizon); !ok {
		return Expression{}, wrong("the cron expression never fires: no month in it has such a day", "", "check day of month and month")
	}
	return e, nil
}

func wrong(message, allowed, suggestion string) error {
	return &automation.Error{Code: automation.CodeInvalid, Message: message, Allowed: allowed, Suggestion: suggestion}
}

func (f field) parse(text string) (set, error) {
	var s set
	for part := range strings.SplitSeq(text, ",") {
		span, stepText, stepped := strings.Cut(part, "/")
		first, last, err := f.span(span, stepped)
		if err != nil {
			return 0, err
		}
		step := 1
		if stepped {
			if step, err = number(stepText); err != nil || step < 1 || step > f.max {
				return 0, wrong("the step of the "+f.name+" is not one", fmt.Sprintf("1 to %d", f.max), "")
			}
		}
		for n := first; n <= last; n += step {
			s |= 1 << n
		}
	}
	return s, nil
}

// span reads *, N or N-N. N with a step goes on to the field's end.
func (f field) span(text string, stepped bool) (first, last int, err error) {
	if text == "*" {
		return f.first, f.last(), nil
	}
	from, to, ranged := strings.Cut(text, "-")
	if first, err = f.value(from); err != nil {
		return 0, 0, err
	}
	switch {
	case ranged:
		if last, err = f.value(to); err != nil {
			return 0, 0, err
		}
	case stepped:
		last = f.last()
	default:
		last = first
	}
	if last < first {
		return 0, 0, wrong("a range of the "+f.name+" that ends before it begins", "", "write it as two, with a comma between them")
	}
	return first, last, nil
}

// last is the last number that * stands for: Sunday is in it as 0.
func (f field) last() int {
	if f.max == 7 {
		return 6
	}
	return f.max
}

func (f field) value(text string) (int, error) {
	for i, name := range f.names {
		if strings.EqualFold(text, name) {
			return f.first + i, nil
		}
	}
	n, err := number(text)
	if err == nil && n >= f.first && n <= f.max {
		return n, nil
	}
	allowed := fmt.Sprintf("%d to %d", f.first, f.max)
	if len(f.names) > 0 {
		allowed += ", or " + strings.Join(f.names, ", ")
	}
	return 0, wrong("the "+f.name+" is not one", allowed+"; *, ranges (1-5), steps (*/15), lists (1,15)", "")
}

// number reads plain digits: no sign, no blank.
func number(text string) (int, error) {
	n, err := strconv.ParseUint(text, 10, 16)
	return int(n), err
}
