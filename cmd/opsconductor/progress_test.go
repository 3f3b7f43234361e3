package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"opsconductor.dev/host/client"
)

// TestPlaces: an item is named by its target, by its place in a fan-out, or, when
// it is the only one of its step, by the step alone.
func TestPlaces(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		change change
		want   string
	}{
		{change{step: "warn"}, "warn"},
		{change{step: "warn", fanned: true}, "warn[0]"},
		{change{step: "warn", fanned: true, item: 1, target: "web"}, "warn[web]"},
		{change{run: "failed"}, "run"},
	} {
		if got := place(c.change); got != c.want {
			t.Errorf("%+v: got %q, want %q", c.change, got, c.want)
		}
	}
	for _, c := range []struct {
		item   client.Item
		fanned bool
		want   string
	}{
		{client.Item{}, false, ""},
		{client.Item{Index: 2}, true, "2"},
		{client.Item{Value: json.RawMessage(`"a"`)}, true, `"a"`},
		{client.Item{Target: "web"}, true, "web"},
	} {
		if got := elementName(c.item, c.fanned); got != c.want {
			t.Errorf("%+v: got %q, want %q", c.item, got, c.want)
		}
	}
}

// TestProgressOfAFailure: the run's own error is not shown as an item's, and a
// step's clock goes on for as long as one of its attempts is under way.
func TestProgressOfAFailure(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	p := newProgress(&out, []string{"a"}, func() time.Time { return now })
	p.add(change{at: now, step: "a", state: "running", attempt: 1})
	now = now.Add(2 * time.Second)
	if got := strings.Join(p.rows(), "\n"); !strings.Contains(got, "1 running  2.0s") {
		t.Errorf("a step under way: got\n%s\nwant its clock to go on", got)
	}
	p.add(change{at: now, step: "a", state: "failed", problem: "x: it broke"})
	now = now.Add(time.Hour)
	if got := strings.Join(p.rows(), "\n"); !strings.Contains(got, "1 failed  2.0s") {
		t.Errorf("an ended step: got\n%s\nwant its clock to stand", got)
	}
	p.add(change{at: now, run: "failed", problem: "step_failed: step a failed"})
	if want := "run: step_failed: step a failed"; p.last != want {
		t.Errorf("got %q, want %q", p.last, want)
	}
	if got := out.String(); !strings.Contains(got, "run failed: step_failed") || strings.Contains(got, "[0]") {
		t.Errorf("got\n%s\nwant the run's error, and no item 0", got)
	}
}

// TestItemErrorsInFull: the table cuts an error; below it the first ones stand
// whole, with what to do.
func TestItemErrorsInFull(t *testing.T) {
	t.Parallel()
	var out, errs bytes.Buffer
	c := &cli{out: &out, err: &errs}
	var items []client.Item
	for i := range maxExplained + 2 {
		items = append(items, client.Item{Step: "s", Index: i, Error: &client.Error{Code: "lost", Message: strings.Repeat("long ", 50) + "end", Suggestion: "plug it in"}})
	}
	c.explainItems(items, map[string]bool{"s": true})
	got := errs.String()
	if strings.Count(got, "long end") != maxExplained || !strings.Contains(got, "s[0]: error: ") || !strings.Contains(got, "try: plug it in") ||
		!strings.Contains(got, "2 more items") || out.Len() != 0 {
		t.Errorf("got on stdout %q, on stderr\n%s", out.String(), got)
	}
}

// TestErrorsForPrograms: every error has a code, also one that the host did not
// make; and a place in a request that nobody wrote is not shown to people.
func TestErrorsForPrograms(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err  error
		want string
	}{
		{usage("no such flag"), `"code":"usage"`},
		{errors.New("no such file"), `"code":"error"`},
		{&client.Error{Code: "invalid"}, `"code":"invalid"`},
	} {
		var errs bytes.Buffer
		(&cli{err: &errs, format: formatJSON}).complain(c.err)
		if !strings.Contains(errs.String(), c.want) {
			t.Errorf("got %s, want %s", errs.String(), c.want)
		}
	}
	var errs bytes.Buffer
	(&cli{err: &errs, format: formatTable}).complain(&client.Error{Code: "invalid", Message: "too high", Line: 1, Column: 43})
	if got := errs.String(); !strings.HasPrefix(got, "error: too high") {
		t.Errorf("got %q, want no line without a file", got)
	}
}
