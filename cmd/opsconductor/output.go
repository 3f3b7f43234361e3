package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"
)

// format is how data is written to stdout.
type format string

// The formats.
const (
	formatTable format = "table" // for people
	formatJSON  format = "json"  // one document, indented
	formatJSONL format = "jsonl" // one object a line
)

// Set reads a format; pflag calls it.
func (f *format) Set(s string) error {
	switch v := format(s); v {
	case formatTable, formatJSON, formatJSONL:
		*f = v
		return nil
	}
	return fmt.Errorf("there are table, json and jsonl")
}

// String returns the format's name.
func (f *format) String() string { return string(*f) }

// Type is the flag's type in help.
func (f *format) Type() string { return "format" }

// table is rows under a head, for people.
type table struct {
	head []string
	rows [][]string
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

// write writes the table with its columns aligned. Cells are cleaned here, so
// that no caller forgets to. Without rows it writes the head alone.
func (t *table) write(w io.Writer) error {
	widths := make([]int, len(t.head))
	for i, h := range t.head {
		widths[i] = utf8.RuneCountInString(h)
	}
	for _, row := range t.rows {
		for i := range row {
			row[i] = clean(row[i])
			if row[i] == "" {
				row[i] = "-"
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i]))
		}
	}
	var b strings.Builder
	for _, row := range append([][]string{t.head}, t.rows...) {
		gap := 0
		for i, cell := range row {
			b.WriteString(strings.Repeat(" ", gap) + cell)
			gap = widths[i] - utf8.RuneCountInString(cell) + 2
		}
		b.WriteByte('\n')
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// listing is a list that can be written in every format.
type listing[T any] struct {
	items []T
	head  []string
	row   func(T) []string
}

// write writes a list to stdout.
func (l listing[T]) write(c *cli) error {
	switch c.format {
	case formatJSON:
		if l.items == nil {
			l.items = []T{}
		}
		return writeJSON(c.out, l.items)
	case formatJSONL:
		for _, item := range l.items {
			if err := writeLine(c.out, item); err != nil {
				return err
			}
		}
		return nil
	case formatTable:
	}
	t := table{head: l.head}
	for _, item := range l.items {
		t.add(l.row(item)...)
	}
	return t.write(c.out)
}

// pair is a name and its value.
type pair struct{ name, value string }

// show writes one object: as JSON, or as names and values, one a line.
func (c *cli) show(v any, pairs ...pair) error {
	switch c.format {
	case formatJSON:
		return writeJSON(c.out, v)
	case formatJSONL:
		return writeLine(c.out, v)
	case formatTable:
	}
	width := 0
	for _, p := range pairs {
		width = max(width, utf8.RuneCountInString(p.name))
	}
	for _, p := range pairs {
		value := clean(p.value)
		if value == "" {
			continue
		}
		if _, err := fmt.Fprintf(c.out, "%-*s  %s\n", width, p.name, value); err != nil {
			return err
		}
	}
	return nil
}

func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

func writeLine(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// stamp writes a time for tables: local, to the second; "" for none.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format("2006-01-02 15:04:05")
}

// span writes a duration for tables, with three digits or so.
func span(d time.Duration) string {
	switch {
	case d <= 0:
		return ""
	case d < time.Millisecond:
		return fmt.Sprintf("%dµs", d.Microseconds())
	case d < time.Second:
		return fmt.Sprintf("%dms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%.1fs", d.Seconds())
	}
	return d.Round(time.Second).String()
}
