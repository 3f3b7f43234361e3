package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"opsconductor.dev/host/client"
)

func (c *cli) assetCommand() *cobra.Command {
	return group("asset", "Keep the inventory: machines and devices",
		c.assetCreateCommand(), c.assetListCommand(), c.assetShowCommand(), c.assetUpdateCommand(), c.assetDeleteCommand())
}

// assetFlags are the fields of an asset as flags.
type assetFlags struct {
	request      client.AssetRequest
	protocol     string
	vars         []string
	hostKeyFiles []string
	ssh          assetSSHFlags
}

func (f *assetFlags) add(cmd *cobra.Command) {
	flags, r := cmd.Flags(), &f.request
	flags.StringVar(&r.Address, "address", "", "host name or IP address")
	flags.IntVar(&r.Port, "port", 0, "port; 0: the protocol's own")
	flags.StringVar(&f.protocol, "protocol", "ssh", "how it is reached: ssh, winrm, or none for probes alone")
	flags.StringVar(&r.OS, "os", "", "linux, windows, unix, macos, network (a switch, a router, a firewall) or other")
	flags.StringArrayVar(&r.Tags, "tag", nil, "a tag (repeat it for more)")
	flags.StringArrayVar(&f.vars, "var", nil, "a variable, NAME=VALUE; a VALUE that is JSON keeps its type")
	flags.StringArrayVar(&r.HostKeys, "host-key", nil, `a pinned host key: "TYPE BASE64", as in authorized_keys`)
	flags.StringArrayVar(&f.hostKeyFiles, "host-key-file", nil, "file with pinned host keys, a line each (a .pub file, or what ssh-keyscan prints)")
	f.ssh.add(cmd)
	flags.StringVar(&r.Queue, "queue", "", "task queue of attempts on it: only hosts that serve it run them (default: default)")
	flags.StringVar(&r.Credential, "credential", "", "name of the credential that sessions log in with")
}

// read finishes the request from the flags.
func (f *assetFlags) read(c *cli) (client.AssetRequest, error) {
	r := f.request
	r.Protocol = client.Protocol(f.protocol)
	for _, s := range f.vars {
		name, value, ok := strings.Cut(s, "=")
		if !ok || name == "" {
			return r, usage("--var takes NAME=VALUE")
		}
		if r.Vars == nil {
			r.Vars = map[string]any{}
		}
		r.Vars[name] = literal(value)
	}
	for _, file := range f.hostKeyFiles {
		b, err := c.readInput(file, maxDefinition)
		if err != nil {
			return r, err
		}
		r.HostKeys = append(r.HostKeys, hostKeys(string(b))...)
	}
	return r, f.ssh.read(c, &r)
}

// hostKeys finds "TYPE BASE64" in the lines of a .pub or known_hosts file.
func hostKeys(text string) []string {
	var keys []string
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		for i := 0; i+1 < len(fields); i++ {
			known := strings.HasPrefix(fields[i], "ssh-") || strings.HasPrefix(fields[i], "ecdsa-") || strings.HasPrefix(fields[i], "sk-")
			if known && strings.HasPrefix(fields[i+1], "AAAA") {
				keys = append(keys, fields[i]+" "+fields[i+1])
				break
			}
		}
	}
	return keys
}

func (c *cli) assetCreateCommand() *cobra.Command {
	var f assetFlags
	cmd := &cobra.Command{Use: "create NAME", Short: "Add an asset", Args: takes("NAME")}
	f.add(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		request, err := f.read(c)
		if err != nil {
			return err
		}
		request.Name = args[0]
		host, err := c.remote()
		if err != nil {
			return err
		}
		a, err := host.CreateAsset(cmd.Context(), request, "")
		if err != nil {
			return err
		}
		return c.showAsset(a)
	}
	return cmd
}

func (c *cli) assetListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List assets by name", Args: takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			host, err := c.remote()
			if err != nil {
				return err
			}
			var assets []client.Asset
			for a, err := range client.All(func(p client.Page) (client.List[client.Asset], error) { return host.Assets(cmd.Context(), p) }) {
				if err != nil {
					return err
				}
				assets = append(assets, a)
			}
			return listing[client.Asset]{
				items: assets, head: []string{"NAME", "ADDRESS", "PROTOCOL", "OS", "QUEUE", "TAGS", "HOST KEYS"},
				row: func(a client.Asset) []string {
					return []string{a.Name, address(a), string(a.Protocol), a.OS, queueOf(a), strings.Join(a.Tags, " "), strconv.Itoa(len(a.HostKeys))}
				},
			}.write(c)
		},
	}
}

func queueOf(a client.Asset) string { return cmp.Or(a.Queue, "default") }

func address(a client.Asset) string {
	if a.Port == 0 {
		return a.Address
	}
	return net.JoinHostPort(a.Address, strconv.Itoa(a.Port))
}

func (c *cli) assetShowCommand() *cobra.Command {
	return &cobra.Command{
		Use: "show NAME", Short: "Show an asset", Args: takes("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			host, err := c.remote()
			if err != nil {
				return err
			}
			a, err := host.Asset(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return c.showAsset(a)
		},
	}
}

func (c *cli) showAsset(a client.Asset) error {
	pairs := []pair{
		{"asset", a.Name},
		{"id", string(a.ID)},
		{"address", address(a)},
		{"protocol", string(a.Protocol)},
		{"os", a.OS},
		{"tags", strings.Join(a.Tags, " ")},
		{"credential", string(a.Credential)},
		{"queue", queueOf(a)},
	}
	for _, name := range slices.Sorted(maps.Keys(a.Vars)) {
		b, err := json.Marshal(a.Vars[name])
		if err != nil {
			return fmt.Errorf("show the variable: %w", err)
		}
		pairs = append(pairs, pair{"var " + clean(name), string(b)})
	}
	for _, key := range a.HostKeys {
		pairs = append(pairs, pair{"host key", key})
	}
	pairs = append(pairs, sshPairs(a.SSH)...)
	return c.show(a, append(pairs, pair{"version", strconv.FormatInt(a.Version, 10)})...)
}

func (c *cli) assetUpdateCommand() *cobra.Command {
	var f assetFlags
	var name string
	cmd := &cobra.Command{Use: "update NAME", Short: "Change what is known of an asset; flags that are not given leave it as it is", Args: takes("NAME")}
	f.add(cmd)
	cmd.Flags().StringVar(&name, "name", "", "a new name")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		given, err := f.read(c)
		if err != nil {
			return err
		}
		host, err := c.remote()
		if err != nil {
			return err
		}
		a, err := host.Asset(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		given.Name = name
		a, err = host.UpdateAsset(cmd.Context(), string(a.ID), merge(a, given, cmd.Flags().Changed), a.Version)
		if err != nil {
			return err
		}
		return c.showAsset(a)
	}
	return cmd
}

// merge is an asset as it is, with the fields whose flags were given.
func merge(a client.Asset, given client.AssetRequest, changed func(string) bool) client.AssetRequest {
	r := client.AssetRequest{
		Name: a.Name, Address: a.Address, Port: a.Port, Protocol: a.Protocol, OS: a.OS, Tags: a.Tags, Vars: a.Vars,
		HostKeys: a.HostKeys, Credential: string(a.Credential), Queue: a.Queue, SSH: a.SSH, KnownHosts: given.KnownHosts,
	}
	mergeSSH(&r, given, changed)
	for flag, take := range map[string]func(){
		"name": func() { r.Name = given.Name }, "address": func() { r.Address = given.Address }, "port": func() { r.Port = given.Port },
		"protocol": func() { r.Protocol = given.Protocol }, "os": func() { r.OS = given.OS }, "tag": func() { r.Tags = given.Tags },
		"var": func() { r.Vars = given.Vars }, "host-key": func() { r.HostKeys = given.HostKeys },
		"host-key-file": func() { r.HostKeys = given.HostKeys }, "credential": func() { r.Credential = given.Credential },
		"queue": func() { r.Queue = given.Queue },
	} {
		if changed(flag) {
			take()
		}
	}
	return r
}

func (c *cli) assetDeleteCommand() *cobra.Command {
	return &cobra.Command{
		Use: "delete NAME", Short: "Delete an asset", Args: takes("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			host, err := c.remote()
			if err != nil {
				return err
			}
			return host.DeleteAsset(cmd.Context(), args[0], 0)
		},
	}
}
