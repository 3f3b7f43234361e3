package runner

import (
	"encoding/json"
	"fmt"
	"strings"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/registry"
)

// document is what an action is called with.
type document struct {
	With    json.RawMessage `json:"with"`
	Target  *target         `json:"target,omitempty"`
	Run     run             `json:"run"`
	Step    string          `json:"step"`
	Item    int             `json:"item"`
	Attempt int             `json:"attempt"`
}

type run struct {
	ID       automation.RunID `json:"id"`
	Workflow string           `json:"workflow"`
}

// target leaves the credential out: which one is used is the host's business.
type target struct {
	Name     string              `json:"name"`
	Address  string              `json:"address"`
	Port     int                 `json:"port"`
	Protocol automation.Protocol `json:"protocol"`
	OS       string              `json:"os"`
	Tags     []string            `json:"tags"`
	Vars     map[string]any      `json:"vars"`
}

func inputOf(a automation.Attempt) ([]byte, error) {
	doc := document{
		With: a.Input, Run: run{a.Run, a.Workflow}, Step: a.StepID, Item: a.Item, Attempt: a.Attempt,
	}
	if t := a.Target; t != nil {
		doc.Target = &target{t.Name, t.Address, t.Port, t.Protocol, t.OS, t.Tags, t.Vars}
		if t.Tags == nil {
			doc.Target.Tags = []string{}
		}
		if t.Vars == nil {
			doc.Target.Vars = map[string]any{}
		}
	}
	b, err := json.Marshal(doc)
	if err != nil {
		return nil, fmt.Errorf("encode the action's input: %w", err)
	}
	return b, nil
}

// checkOutput holds an output against the action's schema.
func checkOutput(action *registry.Action, output []byte) error {
	if errs := action.Output.ValidateJSON(output, ""); len(errs) > 0 {
		err := summary(errs, "the action's output does not fit its schema")
		err.Code, err.CanRetry = automation.CodeBadOutput, false
		err.Suggestion = "this is a fault of the plugin: its output and its manifest differ"
		return err
	}
	return nil
}

// summary is one error for several, with their places.
func summary(errs automation.Errors, what string) *automation.Error {
	const most = 5
	var parts []string
	for i, e := range errs {
		if i == most {
			parts = append(parts, fmt.Sprintf("and %d more", len(errs)-most))
			break
		}
		parts = append(parts, e.Error())
	}
	first := *errs[0]
	return &automation.Error{
		Code: first.Code, Message: what + ": " + strings.Join(parts, "; "), Pointer: first.Pointer, Phase: automation.PhaseBefore,
	}
}
