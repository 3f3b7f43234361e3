package main

import (
	"bytes"
	"context"
	"encoding/json"
	"strconv"

	"github.com/spf13/cobra"

	"opsconductor.dev/host/client"
)

func (c *cli) triggerCommand() *cobra.Command {
	return group("trigger", "Submit runs by webhooks",
		c.triggerCreateCommand(), c.triggerListCommand(), c.triggerShowCommand(), c.triggerUpdateCommand(), c.triggerRotateCommand(),
		c.triggerChangeCommand("enable", "Let a trigger submit runs", (*client.Client).EnableTrigger),
		c.triggerChangeCommand("disable", "Stop a trigger from submitting runs", (*client.Client).DisableTrigger),
		c.triggerDeleteCommand())
}

func (c *cli) triggerCreateCommand() *cobra.Command {
	var r client.TriggerRequest
	var in inputFlags
	var secretFile string
	cmd := &cobra.Command{
		Use: "create NAME FILE", Short: "Add a trigger for the definition in a file; its secret is shown this once", Args: takes("NAME", "FILE"),
	}
	in.add(cmd)
	flags := cmd.Flags()
	flags.StringVar(&r.If, "if", "", `expression over event and headers: no run where it is false ("event.ref == 'refs/heads/main'")`)
	flags.StringVar((*string)(&r.Scheme), "scheme", "standard", "how the sender signs: standard (Standard Webhooks) or github")
	flags.BoolVar(&r.Disabled, "disabled", false, "leave it disabled for now")
	flags.StringVar(&secretFile, "secret-file", "", "file with the secret that the sender has, - for standard input; without it the host makes one")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		definition, err := c.readInput(args[1], maxDefinition)
		if err != nil {
			return err
		}
		if r.Inputs, err = in.read(c); err != nil {
			return err
		}
		if r.Secret, err = c.readSecret(secretFile); err != nil {
			return err
		}
		r.Name, r.Definition = args[0], string(definition)
		host, err := c.remote()
		if err != nil {
			return err
		}
		t, err := host.CreateTrigger(cmd.Context(), r)
		if err != nil {
			return &inFile{name: args[1], err: err}
		}
		return c.showSecret(t)
	}
	return cmd
}

// readSecret reads a secret from a file; empty without one.
func (c *cli) readSecret(file string) (client.Secret, error) {
	if file == "" {
		return client.Secret{}, nil
	}
	b, err := c.readInput(file, maxSecret)
	return client.NewSecret(bytes.TrimRight(b, "\r\n")), err
}

// showSecret shows a trigger with the secret that the host made: that is what the
// commands are for.
func (c *cli) showSecret(t client.TriggerSecret) error {
	secret := string(t.Secret.Reveal())
	return c.show(struct {
		client.Trigger
		Address string `json:"address"`
		Secret  string `json:"secret,omitempty"`
	}{t.Trigger, t.Address, secret}, append(triggerPairs(t.Trigger), pair{"secret", secret})...)
}

func (c *cli) showTrigger(t client.Trigger) error { return c.show(t, triggerPairs(t)...) }

func triggerPairs(t client.Trigger) []pair {
	last := ""
	if t.LastError != nil {
		last = t.LastError.Error()
	}
	return []pair{
		{"trigger", t.Name},
		{"id", string(t.ID)},
		{"address", "/hooks/" + string(t.ID)},
		{"scheme", string(t.Scheme)},
		{"enabled", strconv.FormatBool(t.Enabled)},
		{"if", t.If},
		{"inputs", string(t.Inputs)},
		{"old secret until", stamp(t.PreviousUntil)},
		{"last", stamp(t.Last)},
		{"last run", string(t.LastRun)},
		{"last error", last},
		{"version", strconv.FormatInt(t.Version, 10)},
	}
}

func (c *cli) triggerListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List triggers by name", Args: takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			host, err := c.remote()
			if err != nil {
				return err
			}
			var triggers []client.Trigger
			for t, err := range client.All(func(p client.Page) (client.List[client.Trigger], error) { return host.Triggers(cmd.Context(), p) }) {
				if err != nil {
					return err
				}
				triggers = append(triggers, t)
			}
			return listing[client.Trigger]{
				items: triggers, head: []string{"NAME", "ADDRESS", "SCHEME", "ENABLED", "LAST", "LAST RUN", "LAST ERROR"},
				row: func(t client.Trigger) []string {
					last := ""
					if t.LastError != nil {
						last = t.LastError.Error()
					}
					return []string{t.Name, "/hooks/" + string(t.ID), string(t.Scheme), strconv.FormatBool(t.Enabled), stamp(t.Last), string(t.LastRun), last}
				},
			}.write(c)
		},
	}
}

func (c *cli) triggerShowCommand() *cobra.Command {
	return &cobra.Command{
		Use: "show NAME", Short: "Show a trigger", Args: takes("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			host, err := c.remote()
			if err != nil {
				return err
			}
			t, err := host.Trigger(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return c.showTrigger(t)
		},
	}
}

func (c *cli) triggerUpdateCommand() *cobra.Command {
	var in inputFlags
	var name, file, condition string
	var version int64
	cmd := &cobra.Command{
		Use: "update NAME", Short: "Change a trigger; what no flag names stays as it is", Args: takes("NAME"),
		Long: `Change a trigger; what no flag names stays as it is. Inputs that are given replace
all inputs. The change is refused when somebody else changes the trigger at the
same time, or when it has another version than --if-match says.`,
	}
	in.add(cmd)
	flags := cmd.Flags()
	flags.StringVar(&name, "rename", "", "new name")
	flags.StringVar(&file, "definition", "", "file with the new definition, - for standard input")
	flags.StringVar(&condition, "if", "", `new condition; "" for none`)
	flags.Int64Var(&version, "if-match", 0, "change the trigger only if it has this version (as show tells it)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		host, err := c.remote()
		if err != nil {
			return err
		}
		old, err := host.Trigger(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		r := client.TriggerFields{Name: old.Name, Definition: old.Definition, Inputs: old.Inputs, If: old.If}
		if name != "" {
			r.Name = name
		}
		if flags.Changed("if") {
			r.If = condition
		}
		if r.Definition, r.Inputs, err = c.newDefinition(file, &in, r.Definition, r.Inputs); err != nil {
			return err
		}
		if version == 0 {
			version = old.Version
		}
		t, err := host.UpdateTrigger(cmd.Context(), args[0], r, version)
		if err != nil {
			return err
		}
		return c.showTrigger(t)
	}
	return cmd
}

// newDefinition reads what an update's flags say of a definition and its inputs;
// what they don't say stays.
func (c *cli) newDefinition(file string, in *inputFlags, definition string, inputs json.RawMessage) (string, json.RawMessage, error) {
	given, err := in.read(c)
	if err != nil {
		return "", nil, err
	}
	if given != nil {
		inputs = given
	}
	if file == "" {
		return definition, inputs, nil
	}
	text, err := c.readInput(file, maxDefinition)
	return string(text), inputs, err
}

func (c *cli) triggerRotateCommand() *cobra.Command {
	var secretFile, keep string
	cmd := &cobra.Command{
		Use: "rotate NAME", Short: "Give a trigger a new secret, which is shown this once; the old one stays valid for a while", Args: takes("NAME"),
	}
	cmd.Flags().StringVar(&secretFile, "secret-file", "", "file with the new secret, - for standard input; without it the host makes one")
	cmd.Flags().StringVar(&keep, "keep", "24h", "for how long the old secret stays valid, 0s to 168h")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		secret, err := c.readSecret(secretFile)
		if err != nil {
			return err
		}
		host, err := c.remote()
		if err != nil {
			return err
		}
		t, err := host.RotateTrigger(cmd.Context(), args[0], secret, keep, 0)
		if err != nil {
			return err
		}
		return c.showSecret(t)
	}
	return cmd
}

func (c *cli) triggerChangeCommand(use, short string, change func(*client.Client, context.Context, string, int64) (client.Trigger, error)) *cobra.Command {
	return &cobra.Command{
		Use: use + " NAME", Short: short, Args: takes("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			host, err := c.remote()
			if err != nil {
				return err
			}
			t, err := change(host, cmd.Context(), args[0], 0)
			if err != nil {
				return err
			}
			return c.showTrigger(t)
		},
	}
}

func (c *cli) triggerDeleteCommand() *cobra.Command {
	return &cobra.Command{
		Use: "delete NAME", Short: "Delete a trigger; its runs stay", Args: takes("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			host, err := c.remote()
			if err != nil {
				return err
			}
			return host.DeleteTrigger(cmd.Context(), args[0], 0)
		},
	}
}
