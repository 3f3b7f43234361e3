package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"opsconductor.dev/host/client"
)

// maxDefinition bounds a definition's file; the server has a bound of its own.
const maxDefinition = 4 << 20

func (c *cli) workflowCommand() *cobra.Command {
	return group("workflow", "Check definitions, make plans of them, store them under their name",
		c.planCommand(), c.validateCommand(), c.storeCommand(), c.workflowListCommand(), c.workflowShowCommand(), c.retireCommand())
}

// inputFlags are the flags that give a workflow's inputs.
type inputFlags struct {
	each []string
	file string
}

func (f *inputFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringArrayVarP(&f.each, "input", "i", nil, "an input, NAME=VALUE; a VALUE that is JSON keeps its type, anything else is text")
	cmd.Flags().StringVar(&f.file, "inputs-file", "", "file with a JSON object of inputs, - for standard input")
}

// read returns the inputs as a JSON object; nil for none.
func (f *inputFlags) read(c *cli) (json.RawMessage, error) {
	inputs := map[string]json.RawMessage{}
	if f.file != "" {
		b, err := c.readInput(f.file, maxDefinition)
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(b, &inputs); err != nil {
			return nil, usage("--inputs-file: %s does not hold a JSON object", f.file)
		}
	}
	for _, s := range f.each {
		name, value, ok := strings.Cut(s, "=")
		if !ok || name == "" {
			return nil, usage("--input takes NAME=VALUE")
		}
		inputs[name] = literal(value)
	}
	if len(inputs) == 0 {
		return nil, nil
	}
	return json.Marshal(inputs)
}

// literal is a value as JSON: itself when it is JSON, else a text.
func literal(value string) json.RawMessage {
	if json.Valid([]byte(value)) {
		return json.RawMessage(value)
	}
	b, _ := json.Marshal(value) // a string always marshals
	return b
}

// plan plans the definition in a file, or the stored workflow.
func (c *cli) plan(cmd *cobra.Command, file, stored string, in *inputFlags) (client.PlanResult, error) {
	var definition []byte
	if stored == "" {
		var err error
		if definition, err = c.readInput(file, maxDefinition); err != nil {
			return client.PlanResult{}, err
		}
	}
	inputs, err := in.read(c)
	if err != nil {
		return client.PlanResult{}, err
	}
	host, err := c.remote()
	if err != nil {
		return client.PlanResult{}, err
	}
	result, err := host.Plan(cmd.Context(), client.PlanRequest{Definition: definition, Workflow: stored, Inputs: inputs})
	if err != nil && stored == "" {
		return result, &inFile{name: file, err: err}
	}
	return result, err
}

func (c *cli) planCommand() *cobra.Command {
	var in inputFlags
	var hashOnly bool
	var stored string
	cmd := &cobra.Command{
		Use: "plan [FILE]", Short: "Resolve a definition, or a stored workflow (--workflow), to a plan: exact targets and plugins; nothing runs",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 || (stored == "") == (len(args) == 0) {
				return usage("name either a FILE or a --workflow")
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&stored, "workflow", "", "stored workflow, NAME@VERSION, instead of a FILE")
	in.add(cmd)
	cmd.Flags().BoolVar(&hashOnly, "hash-only", false, "print the plan's hash alone")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		result, err := c.plan(cmd, strings.Join(args, ""), stored, &in)
		if err != nil {
			return err
		}
		if hashOnly {
			_, err := fmt.Fprintln(c.out, result.PlanHash)
			return err
		}
		return c.showPlan(result)
	}
	return cmd
}

// planView is what is shown of a plan.
type planView struct {
	Workflow string `json:"workflow"`
	Targets  []struct {
		Name    string `json:"name"`
		Address string `json:"address"`
		Port    int    `json:"port"`
	} `json:"targets"`
	Steps []struct {
		ID            string   `json:"id"`
		Plugin        string   `json:"plugin"`
		Version       string   `json:"version"`
		Action        string   `json:"action"`
		Digest        string   `json:"digest"`
		Effect        string   `json:"effect"`
		HostFunctions []string `json:"host_functions"`
	} `json:"steps"`
}

func (c *cli) showPlan(result client.PlanResult) error {
	if c.format != formatTable {
		return c.show(result)
	}
	var plan planView
	if err := json.Unmarshal(result.Plan, &plan); err != nil {
		return fmt.Errorf("read the plan: %w", err)
	}
	var names []string
	for _, t := range plan.Targets {
		names = append(names, t.Name)
	}
	targets := strings.Join(names, ", ")
	if len(names) > 10 {
		targets = fmt.Sprintf("%s and %d more", strings.Join(names[:10], ", "), len(names)-10)
	}
	if err := c.show(nil, pair{"plan", string(result.PlanHash)}, pair{"workflow", plan.Workflow},
		pair{"targets", fmt.Sprintf("%d: %s", len(names), targets)}); err != nil {
		return err
	}
	t := table{head: []string{"STEP", "USES", "EFFECT", "HOST FUNCTIONS", "DIGEST"}}
	if err := addSteps(&t, "", plan, result.Templates); err != nil {
		return err
	}
	fmt.Fprintln(c.out)
	return t.write(c.out)
}

// addSteps adds the steps of a plan, and below a step those of its sub-workflow.
func addSteps(t *table, prefix string, plan planView, templates map[client.Digest]json.RawMessage) error {
	for _, s := range plan.Steps {
		t.add(prefix+s.ID, s.Plugin+"."+s.Action+"@"+s.Version, s.Effect, strings.Join(s.HostFunctions, " "), shorten(s.Digest, 13))
		if s.Plugin != "workflow" {
			continue
		}
		var template planView
		if err := json.Unmarshal(templates[client.Digest(s.Digest)], &template); err != nil {
			return fmt.Errorf("read the plan of step %s: %w", prefix+s.ID, err)
		}
		if err := addSteps(t, prefix+s.ID+" > ", template, templates); err != nil {
			return err
		}
	}
	return nil
}

func (c *cli) validateCommand() *cobra.Command {
	var in inputFlags
	cmd := &cobra.Command{
		Use: "validate FILE", Short: "Check a definition against the host's plugins and inventory",
		Args: takes("FILE"),
	}
	in.add(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		result, err := c.plan(cmd, args[0], "", &in)
		if err != nil {
			return err
		}
		valid := map[string]any{"valid": true, "plan_hash": result.PlanHash}
		return c.show(valid, pair{"valid", args[0]}, pair{"plan", string(result.PlanHash)})
	}
	return cmd
}
