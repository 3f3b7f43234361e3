package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"opsconductor.dev/host/app"
	"opsconductor.dev/host/client"
)

const maxArtifact = 64 << 20 // the host has a lower bound of its own

func (c *cli) pluginCommand() *cobra.Command {
	return group("plugin", "Build, upload and grant plugins",
		c.pluginBuildCommand(), c.pluginUploadCommand(), c.pluginListCommand(), c.pluginShowCommand(),
		c.pluginActivateCommand(), c.pluginDisableCommand())
}

func (c *cli) pluginBuildCommand() *cobra.Command {
	var manifest, out string
	cmd := &cobra.Command{
		Use: "build MODULE.wasm", Short: "Put a manifest into a Wasm module of any toolchain: that makes it an artifact",
		Args: takes("MODULE.wasm"),
	}
	cmd.Flags().StringVar(&manifest, "manifest", "plugin.json", "file with the manifest")
	cmd.Flags().StringVar(&out, "out", "", "file to write; without it the module itself")
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		wasm, err := c.readInput(args[0], maxArtifact)
		if err != nil {
			return err
		}
		text, err := c.readInput(manifest, maxDefinition)
		if err != nil {
			return err
		}
		artifact, err := app.BuildArtifact(wasm, text)
		if err != nil {
			return &inFile{name: manifest, err: err}
		}
		if out == "" {
			out = args[0]
		}
		if err := os.WriteFile(out, artifact, 0o644); err != nil { //nolint:gosec // an artifact is no secret
			return fmt.Errorf("write the artifact: %w", err)
		}
		digest := app.Digest(artifact)
		return c.show(map[string]any{"file": out, "digest": digest, "size": len(artifact)},
			pair{"file", out}, pair{"digest", digest}, pair{"size", strconv.Itoa(len(artifact))})
	}
	return cmd
}

func (c *cli) pluginUploadCommand() *cobra.Command {
	return &cobra.Command{
		Use: "upload ARTIFACT.wasm", Short: "Upload an artifact; nothing can use it before it is activated", Args: takes("ARTIFACT.wasm"),
		RunE: func(cmd *cobra.Command, args []string) error {
			wasm, err := c.readInput(args[0], maxArtifact)
			if err != nil {
				return err
			}
			host, err := c.remote()
			if err != nil {
				return err
			}
			p, err := host.UploadPlugin(cmd.Context(), wasm)
			if err != nil {
				return &inFile{name: args[0], err: err}
			}
			return c.reviewPlugin(cmd.Context(), host, p)
		},
	}
}

func (c *cli) pluginListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List plugin versions", Args: takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			host, err := c.remote()
			if err != nil {
				return err
			}
			plugins, err := host.Plugins(cmd.Context())
			if err != nil {
				return err
			}
			return listing[client.Plugin]{
				items: plugins, head: []string{"PLUGIN", "STATE", "ACTIONS", "GRANTS", "DIGEST"},
				row: func(p client.Plugin) []string {
					var actions, grants []string
					for _, a := range p.Manifest.Actions {
						actions = append(actions, a.Name)
					}
					for _, g := range p.Grants {
						grants = append(grants, g.Function)
					}
					return []string{
						p.Name + "@" + p.Version, string(p.State), strings.Join(actions, " "), strings.Join(grants, " "),
						shorten(string(p.Digest), 13),
					}
				},
			}.write(c)
		},
	}
}

func (c *cli) pluginShowCommand() *cobra.Command {
	return &cobra.Command{
		Use: "show PLUGIN", Short: "Show a plugin version: NAME, NAME@VERSION or its digest", Args: takes("PLUGIN"),
		RunE: func(cmd *cobra.Command, args []string) error {
			host, err := c.remote()
			if err != nil {
				return err
			}
			p, err := host.Plugin(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return c.reviewPlugin(cmd.Context(), host, p)
		},
	}
}

func (c *cli) showPlugin(p client.Plugin) error {
	if err := c.show(p, pair{"plugin", p.Name + "@" + p.Version}, pair{"state", string(p.State)}, pair{"digest", string(p.Digest)},
		pair{"size", strconv.FormatInt(p.Size, 10)}, pair{"about", p.Manifest.Description}, pair{"license", p.Manifest.License},
		pair{"source", p.Manifest.Source}); err != nil || c.format != formatTable {
		return err
	}
	actions := table{head: []string{"ACTION", "EFFECT", "TARGET", "TIMEOUT", "ABOUT"}}
	for _, a := range p.Manifest.Actions {
		actions.add(a.Name, string(a.Effect), strconv.FormatBool(a.Target), a.Timeout, a.Description)
	}
	functions := table{head: []string{"HOST FUNCTION", "GRANTED", "WHY"}}
	for _, f := range p.Manifest.HostFunctions {
		functions.add(f.Name, granted(p.Grants, f.Name), f.Why)
	}
	fmt.Fprintln(c.out)
	if err := actions.write(c.out); err != nil || len(functions.rows) == 0 {
		return err
	}
	fmt.Fprintln(c.out)
	return functions.write(c.out)
}

// granted says on what a function is granted.
func granted(grants []client.Grant, function string) string {
	var where []string
	for _, g := range grants {
		if g.Function != function {
			continue
		}
		for _, part := range []struct {
			name string
			list []string
		}{{"targets", g.Targets}, {"tags", g.Tags}, {"addresses", g.Addresses}, {"credentials", g.Credentials}} {
			if len(part.list) > 0 {
				where = append(where, part.name+"="+strings.Join(part.list, ","))
			}
		}
		if len(where) == 0 {
			where = append(where, "yes")
		}
	}
	if len(where) == 0 {
		return "no"
	}
	return strings.Join(where, " ")
}

func (c *cli) pluginActivateCommand() *cobra.Command {
	var each []string
	var all, approve bool
	var file string
	cmd := &cobra.Command{
		Use: "activate PLUGIN", Short: "Let plans use a plugin version, with exactly these grants", Args: takes("PLUGIN"),
		Long: `Let plans use a plugin version, with exactly these grants: those it had and that are not named are withdrawn.

  --grant ssh_exec                         the function, without targets
  --grant 'ssh_exec:targets=web1,web2;tags=linux;credentials=deploy'
  --grant 'probe_tcp:addresses=10.0.0.0/8'
  --grant-all                              every function of the manifest, on all targets and addresses`,
	}
	cmd.Flags().StringArrayVar(&each, "grant", nil, "a grant: FUNCTION[:targets=A,B;tags=…;addresses=…;credentials=…]")
	cmd.Flags().StringVar(&file, "grants-file", "", "file with a JSON array of grants, - for standard input")
	cmd.Flags().BoolVar(&all, "grant-all", false, "grant every function of the manifest on all targets and addresses")
	cmd.Flags().BoolVar(&approve, "approve-changes", false, "approve that it asks for more than the version that was active last was granted (see plugin show)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		host, err := c.remote()
		if err != nil {
			return err
		}
		p, err := host.Plugin(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		grants, err := c.grants(p, each, file, all)
		if err != nil {
			return err
		}
		activate := host.ActivatePlugin
		if approve {
			activate = host.ActivateChangedPlugin
		}
		if p, err = activate(cmd.Context(), p.Digest, grants, p.RowNumber); err != nil {
			return err
		}
		return c.showPlugin(p)
	}
	return cmd
}

func (c *cli) grants(p client.Plugin, each []string, file string, all bool) ([]client.Grant, error) {
	var out []client.Grant
	if all {
		for _, f := range p.Manifest.HostFunctions {
			out = append(out, client.Grant{Function: f.Name, Targets: []string{"*"}, Addresses: []string{"*"}})
		}
	}
	if file != "" {
		b, err := c.readInput(file, maxDefinition)
		if err != nil {
			return nil, err
		}
		var more []client.Grant
		if err := json.Unmarshal(b, &more); err != nil {
			return nil, usage("--grants-file: %s does not hold a JSON array of grants", file)
		}
		out = append(out, more...)
	}
	for _, text := range each {
		g, err := parseGrant(text)
		if err != nil {
			return nil, usage("--grant: %w", err)
		}
		out = append(out, g)
	}
	if len(out) == 0 && len(p.Manifest.HostFunctions) > 0 {
		fmt.Fprintln(c.err, "note: the plugin wants host functions and gets none; its calls will be denied (see --grant, --grant-all)")
	}
	return out, nil
}

func parseGrant(text string) (client.Grant, error) {
	name, rest, _ := strings.Cut(text, ":")
	if name == "" {
		return client.Grant{}, errors.New("a grant begins with the function's name")
	}
	g := client.Grant{Function: name}
	if rest == "" {
		return g, nil
	}
	for part := range strings.SplitSeq(rest, ";") {
		key, value, ok := strings.Cut(part, "=")
		if !ok || value == "" {
			return client.Grant{}, errors.New("after the function's name stand parts like targets=A,B, with ; between them")
		}
		list := strings.Split(value, ",")
		switch strings.TrimSpace(key) {
		case "targets":
			g.Targets = list
		case "tags":
			g.Tags = list
		case "addresses":
			g.Addresses = list
		case "credentials":
			g.Credentials = list
		default:
			return client.Grant{}, fmt.Errorf("there is no part %q: there are targets, tags, addresses and credentials", clean(key))
		}
	}
	return g, nil
}

func (c *cli) pluginDisableCommand() *cobra.Command {
	return &cobra.Command{
		Use: "disable PLUGIN", Short: "Take a plugin version out of use", Args: takes("PLUGIN"),
		RunE: func(cmd *cobra.Command, args []string) error {
			host, err := c.remote()
			if err != nil {
				return err
			}
			p, err := host.Plugin(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if p, err = host.DisablePlugin(cmd.Context(), p.Digest, p.RowNumber); err != nil {
				return err
			}
			return c.showPlugin(p)
		},
	}
}
