package main

import (
	"errors"
	"strconv"
	"strings"

	"opsconductor.dev/sdk/go/step"
)

// session is an open command line.
type session struct {
	c  *step.Context
	id string
}

func open(c *step.Context, r step.SSHOpenRequest) (session, error) {
	opened, err := c.SSHOpen(r)
	return session{c, opened.Session}, err
}

// send sends a line.
func (s session) send(r step.SSHSendRequest) (step.SSHSendResult, error) {
	r.Session = s.id
	return s.c.SSHSend(r)
}

// close ends the session; what an error has ended already is no matter.
func (s session) close() { _, _ = s.c.SSHClose(step.SSHCloseRequest{Session: s.id}) }

// Refused is the code of a line that a device did not take.
const Refused step.Code = "refused"

// refused is the error of a line that the device did not take, in its own words.
func refused(place, words, rest string) error {
	return failed(Refused, place+": the device did not take it: "+words+rest)
}

// question is the error of a line about which the device asks what nobody answers.
func question(place, asked, rest string) error {
	return failed("question", place+": the device asks "+strconv.Quote(asked)+", and the session was closed without an answer; give one in replies"+rest)
}

// failed is an error of what the device was sent.
func failed(code step.Code, message string) error {
	return &step.Error{Code: code, Message: message, Phase: step.After}
}

// within says to what an error of the host belongs, and what else there is to know.
func within(place string, err error, rest string) error {
	var e *step.Error
	if !errors.As(err, &e) {
		return err
	}
	said := *e
	said.Message = place + ": " + e.Message + rest
	return &said
}

// shortened is what a device said, for a message.
func shortened(output string) string {
	text := strings.Join(strings.Fields(output), " ")
	if text == "" {
		return ""
	}
	const most = 300
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return " (it said " + strconv.Quote(text) + ")"
}

// faults gathers all that is wrong with an input.
type faults []string

// add notes what is wrong with a part of the input; "": nothing is.
func (f *faults) add(pointer, why string) {
	if why != "" {
		*f = append(*f, "/with/"+pointer+": "+why)
	}
}

func (f faults) err() error {
	if len(f) == 0 {
		return nil
	}
	e := step.Failf(step.BadRequest, "%s", strings.Join(f, "; "))
	e.Phase = step.Before
	return e
}
