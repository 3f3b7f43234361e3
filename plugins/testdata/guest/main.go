// Command guest is a plugin for tests: what an SDK has to get right in the real
// sandbox and no built-in plugin does.
package main

import (
	"errors"
	"fmt"
	"strings"

	"opsconductor.dev/sdk/go/step"
)

func main() {}

// SeenOutput is what Seen gives.
type SeenOutput struct {
	Run      string   `json:"run"`
	Workflow string   `json:"workflow"`
	Step     string   `json:"step"`
	Item     int      `json:"item"`
	Attempt  int      `json:"attempt"`
	Target   string   `json:"target"`
	Port     int      `json:"port"`
	Tags     []string `json:"tags"`
	Role     string   `json:"role"`
}

// Seen gives back what the context says.
func Seen(c *step.Context, _ struct{}) (SeenOutput, error) {
	out := SeenOutput{Run: c.Run, Workflow: c.Workflow, Step: c.Step, Item: c.Item, Attempt: c.Attempt}
	if c.Target != nil {
		out.Target, out.Port, out.Tags = c.Target.Name, c.Target.Port, c.Target.Tags
		out.Role, _ = c.Target.Vars["role"].(string)
	}
	return out, nil
}

// EndInput is what End takes.
type EndInput struct {
	How string `json:"how"`
}

// End ends in a way that has to become an error.
func End(c *step.Context, in EndInput) (struct{}, error) {
	switch in.How {
	case "panic":
		panic("ouch")
	case "nil":
		var none *EndInput
		return struct{}{}, errors.New(none.How)
	case "index":
		return struct{}{}, errors.New([]string{}[len(in.How)])
	case "plain":
		return struct{}{}, errors.New("plain words")
	case "wrapped":
		return struct{}{}, fmt.Errorf("wrapped: %w", step.Failf("no_luck", "number %d", 7).Retry())
	case "host":
		_, err := c.ProbeTCP(step.ProbeTCPRequest{Host: "h", Port: 1})
		return struct{}{}, fmt.Errorf("probe: %w", err)
	case "reserved":
		return struct{}{}, step.Failf("unknown_outcome", "not for a plugin to say")
	}
	return struct{}{}, nil
}

// EchoInput is what Echo takes.
type EchoInput struct {
	Bytes int `json:"bytes"`
}

// EchoOutput is what Echo gives.
type EchoOutput struct {
	Bytes int    `json:"bytes"`
	Text  string `json:"text"`
}

// Echo logs, and gives text of a length, so that blocks of every length modulo
// a word pass through the ABI.
func Echo(c *step.Context, in EchoInput) (EchoOutput, error) {
	c.Infof("echo of %d", in.Bytes)
	return EchoOutput{Bytes: in.Bytes, Text: strings.Repeat("x", in.Bytes)}, nil
}
