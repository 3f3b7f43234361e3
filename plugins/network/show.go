package main

import (
	"errors"
	"strconv"
	"strings"

	"opsconductor.dev/sdk/go/step"
)

// ShowInput is what network.show takes.
type ShowInput struct {
	Platform         string   `json:"platform"`
	Commands         []string `json:"commands"`
	AnyAnswer        bool     `json:"any_answer,omitempty"`
	Privileged       bool     `json:"privileged,omitempty"`
	EnableCredential string   `json:"enable_credential,omitempty"`
	Prompt           string   `json:"prompt,omitempty"`
	CommandTimeoutS  float64  `json:"command_timeout_s,omitempty"`
	MaxOutputBytes   int      `json:"max_output_bytes,omitempty"`
	Stream           bool     `json:"stream,omitempty"`
}

// ShowOutput is what network.show gives: one answer for each command, in their order.
type ShowOutput struct {
	Answers []Answer `json:"answers"`
}

// Answer is what a device said to a command. Refused is the line by which it did not
// take it; "": it took it.
type Answer struct {
	Command    string `json:"command"`
	Output     string `json:"output"`
	Truncated  bool   `json:"truncated"`
	Refused    string `json:"refused"`
	DurationMS int    `json:"duration_ms"`
}

// Show sends commands that only read, and returns what the device says to each.
func Show(c *step.Context, in ShowInput) (ShowOutput, error) {
	var f faults
	for i, command := range in.Commands {
		f.add("commands/"+strconv.Itoa(i), unreadable(in.Platform, command))
	}
	if err := f.err(); err != nil {
		return ShowOutput{}, err
	}
	s, err := open(c, step.SSHOpenRequest{
		Platform: in.Platform, Prompt: in.Prompt, Privileged: in.Privileged, EnableCredential: in.EnableCredential,
		MaxOutputBytes: in.MaxOutputBytes, Stream: in.Stream,
	})
	if err != nil {
		return ShowOutput{}, err
	}
	defer s.close()
	out := ShowOutput{}
	for _, command := range in.Commands {
		r, err := s.send(step.SSHSendRequest{Text: command, TimeoutMS: step.Milliseconds(in.CommandTimeoutS), MaxOutputBytes: in.MaxOutputBytes})
		if err != nil {
			return ShowOutput{}, again(within(strconv.Quote(command), err, ""))
		}
		if r.Refused != "" && !in.AnyAnswer {
			return ShowOutput{}, refused(strconv.Quote(command), r.Refused, "")
		}
		out.Answers = append(out.Answers, Answer{
			Command: command, Output: r.Output, Truncated: r.OutputTruncated, Refused: r.Refused, DurationMS: r.DurationMS,
		})
	}
	return out, nil
}

// again makes an error retryable that the host does not know to be harmless: a command
// that reads may be sent again after a session was lost or a time was over.
func again(err error) error {
	var e *step.Error
	if errors.As(err, &e) && (e.Code == step.Lost || e.Code == step.Timeout) {
		return e.Retry()
	}
	return err
}

// unreadable says why a command is not one that only reads; "": it is. The action
// is pure, so it may be repeated at any time: what is not known to read is not sent.
func unreadable(platform, command string) string {
	words := strings.Fields(command)
	switch {
	case len(words) < 2 || !abbreviates(words[0], "show", 2):
		return "it does not begin with show and what to show: other commands may change something, and show is repeated when a host is lost"
	case strings.ContainsAny(command, ";&`$<?") || strings.ContainsFunc(command, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return "it has one of ; & ` $ < ? or a control character, which some devices take for more than a part of the command"
	case strings.Contains(command, ">") && platform != "ios" && platform != "iosxr" && platform != "junos" && platform != "frr":
		return "it has a >, by which platform " + platform + " writes a file"
	}
	for i, filter := range strings.Split(command, "|")[1:] {
		word, _, _ := strings.Cut(strings.TrimSpace(filter), " ")
		if i == 0 && !anyAbbreviates(word, reading()) || anyAbbreviates(word, writing()) {
			return "what stands after | is no filter that is known to only read (" + strings.Join(reading(), ", ") + ")"
		}
	}
	return ""
}

// reading are the filters of the platforms that only pick lines; writing are those
// that write, send or run something, also after the first |, which may belong to a pattern.
func reading() []string {
	return []string{
		"include", "exclude", "begin", "section", "count", "grep", "egrep", "match", "except", "find", "last", "no-more", "display",
		"trim", "json", "json-pretty", "xml", "head", "sort", "uniq", "wc", "cut", "tr", "nz", "diff", "compare", "hold", "resolve",
	}
}

func writing() []string {
	return []string{"redirect", "append", "tee", "save", "file", "email", "vsh", "bash", "utility", "request", "sed", "awk", "source", "run"}
}

// abbreviates reports whether a word is a name's beginning, of so many letters at least.
func abbreviates(word, name string, least int) bool {
	return len(word) >= least && strings.HasPrefix(name, strings.ToLower(word))
}

// anyAbbreviates is abbreviates for any of some names.
func anyAbbreviates(word string, names []string) bool {
	for _, name := range names {
		if abbreviates(word, name, 1) {
			return true
		}
	}
	return false
}
