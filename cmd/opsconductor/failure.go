package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"opsconductor.dev/host/client"
)

// The codes of errors that the host did not make, for programs.
const (
	codeUsage client.Code = "usage" // the command line is wrong
	codeError client.Code = "error" // anything else on this side
)

// inFile says which file the places of an error are in.
type inFile struct {
	name string
	err  error
}

func (e *inFile) Error() string { return e.name + ": " + e.err.Error() }

func (e *inFile) Unwrap() error { return e.err }

// complain writes an error to stderr: for people a block with the place, the
// cause and what to do; for programs one line of JSON.
func (c *cli) complain(err error) {
	var exit *exitErr
	if errors.As(err, &exit) && exit.err == nil {
		return
	}
	if errors.Is(err, context.Canceled) && client.CodeOf(err) == client.CodeInternal {
		fmt.Fprintln(c.err, "stopped")
		return
	}
	found := parts(err)
	if c.format != formatTable {
		if found[0].Code == "" { // it is not the host's, so it is the only one
			found[0].Code = codeError
			if exitCode(err) == exitUsage {
				found[0].Code = codeUsage
			}
		}
		_ = writeLine(c.err, map[string]any{"errors": found}) // there is nowhere left to say that it went wrong
		return
	}
	file := ""
	var in *inFile
	if errors.As(err, &in) {
		file = in.name
	}
	if len(found) == 0 {
		fmt.Fprintln(c.err, "error: "+cleanLines(err.Error()))
		return
	}
	for _, e := range found {
		explain(c.err, file, e)
	}
	if len(found) > 1 {
		fmt.Fprintf(c.err, "%d errors\n", len(found))
	}
	var status *client.StatusError
	if errors.As(err, &status) && status.Status >= 500 && status.RequestID != "" {
		fmt.Fprintln(c.err, "  request: "+clean(status.RequestID))
	}
}

// parts returns every Error in err's tree; for an error of another kind one that
// has its text and no code.
func parts(err error) []*client.Error {
	var many client.Errors
	if errors.As(err, &many) {
		return many
	}
	var found []*client.Error
	var walk func(error)
	walk = func(err error) {
		if e, ok := err.(*client.Error); ok { //nolint:errorlint // the tree is walked here
			found = append(found, e)
			return
		}
		switch u := err.(type) { //nolint:errorlint // the tree is walked here
		case interface{ Unwrap() []error }:
			for _, below := range u.Unwrap() {
				walk(below)
			}
		case interface{ Unwrap() error }:
			if below := u.Unwrap(); below != nil {
				walk(below)
			}
		}
	}
	walk(err)
	if len(found) == 1 && err.Error() != found[0].Error() && !onlyPlaced(err) {
		whole := *found[0]
		whole.Message = strings.TrimSuffix(err.Error(), found[0].Error()) + found[0].Message
		return []*client.Error{&whole}
	}
	if len(found) == 0 {
		return []*client.Error{{Message: err.Error()}}
	}
	return found
}

// onlyPlaced reports whether err adds nothing to what is in it but a file's name.
func onlyPlaced(err error) bool {
	var in *inFile
	return errors.As(err, &in)
}

// explain writes one error as a block. Lines and columns are shown with a file
// alone: without one they are places in a request that the command made.
func explain(w io.Writer, file string, e *client.Error) {
	place := ""
	switch {
	case e.Line > 0 && file != "":
		place = fmt.Sprintf("%s:%d:%d: ", file, e.Line, e.Column)
	case file != "":
		place = file + ": "
	}
	fmt.Fprintln(w, clean(place)+pad(clean(place))+"error: "+cleanLines(e.Message))
	for _, p := range []pair{
		{"code", string(e.Code)}, {"at", e.Pointer}, {"allowed", e.Allowed}, {"try", e.Suggestion},
	} {
		if p.value != "" {
			fmt.Fprintf(w, "  %s: %s\n", p.name, clean(p.value))
		}
	}
}

// pad is the blank between a place and what follows; clean took it off the place.
func pad(place string) string {
	if place == "" {
		return ""
	}
	return " "
}

// cleanLines cleans a text that may have several lines.
func cleanLines(s string) string {
	lines := strings.Split(strings.TrimRight(s, "\n"), "\n")
	for i, line := range lines {
		indent := line[:len(line)-len(strings.TrimLeft(line, " "))]
		lines[i] = indent + clean(line)
	}
	return strings.Join(lines, "\n")
}
