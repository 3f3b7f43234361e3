package main

import (
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"opsconductor.dev/host/client"
)

const maxSecret = 64 << 10

func (c *cli) credentialCommand() *cobra.Command {
	return group("credential", "Seal credentials; no command shows a secret",
		c.credentialCreateCommand(), c.credentialListCommand(), c.credentialUpdateCommand(), c.credentialDeleteCommand())
}

func (c *cli) credentialCreateCommand() *cobra.Command {
	var kind, username string
	var secrets secretFlags
	var protocols, assets, tags []string
	cmd := &cobra.Command{
		Use: "create NAME", Short: "Seal a credential, from a file or standard input: a secret is never an argument",
		Args: takes("NAME"),
	}
	flags := cmd.Flags()
	flags.StringVar(&kind, "kind", "", "password, ssh_key or ssh_agent; without it, what the secret is given as")
	flags.StringVar(&username, "username", "", "user name to log in with")
	secrets.add(cmd)
	flags.StringArrayVar(&protocols, "protocol", []string{"ssh"}, "a protocol that may use it")
	flags.StringArrayVar(&assets, "asset", nil, `name of an asset that it may be used on; "*" is all`)
	flags.StringArrayVar(&tags, "tag", nil, "a tag of assets that it may be used on")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		r := client.CredentialRequest{Name: args[0], Username: username, Scope: client.CredentialScope{Assets: assets, Tags: tags}}
		for _, p := range protocols {
			r.Scope.Protocols = append(r.Scope.Protocols, client.Protocol(p))
		}
		if r.Kind = client.CredentialKind(kind); kind == "" {
			r.Kind = secrets.kind()
		}
		if !secrets.given() && r.Kind != "ssh_agent" {
			return usage("give the secret by --password-stdin or --key-file, or one of the other files")
		}
		if secrets.passphrase != "" && secrets.key == "" {
			return usage("--passphrase-file goes with --key-file")
		}
		if err := secrets.check(); err != nil {
			return err
		}
		if err := secrets.read(c, &r); err != nil {
			return err
		}
		host, err := c.remote()
		if err != nil {
			return err
		}
		out, err := host.CreateCredential(cmd.Context(), r, "")
		if err != nil {
			return err
		}
		return c.showCredential(out)
	}
	return cmd
}

func scope(s client.CredentialScope) string {
	var parts []string
	for _, p := range s.Protocols {
		parts = append(parts, string(p))
	}
	for _, a := range s.Assets {
		parts = append(parts, "asset="+a)
	}
	for _, t := range s.Tags {
		parts = append(parts, "tag="+t)
	}
	return strings.Join(parts, " ")
}

func (c *cli) showCredential(cr client.Credential) error {
	return c.show(cr, pair{"credential", cr.Name}, pair{"id", string(cr.ID)}, pair{"kind", string(cr.Kind)}, pair{"username", cr.Username},
		pair{"scope", scope(cr.Scope)}, pair{"version", strconv.FormatInt(cr.Version, 10)}, pair{"sealed under", cr.KeyID})
}

func (c *cli) credentialListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List credentials by name, without their secrets", Args: takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			host, err := c.remote()
			if err != nil {
				return err
			}
			var credentials []client.Credential
			for cr, err := range client.All(func(p client.Page) (client.List[client.Credential], error) {
				return host.Credentials(cmd.Context(), p)
			}) {
				if err != nil {
					return err
				}
				credentials = append(credentials, cr)
			}
			return listing[client.Credential]{
				items: credentials, head: []string{"NAME", "KIND", "USERNAME", "SCOPE", "UPDATED"},
				row: func(cr client.Credential) []string {
					return []string{cr.Name, string(cr.Kind), cr.Username, scope(cr.Scope), stamp(cr.Updated)}
				},
			}.write(c)
		},
	}
}

func (c *cli) credentialDeleteCommand() *cobra.Command {
	return &cobra.Command{
		Use: "delete NAME", Short: "Delete a credential that no asset uses", Args: takes("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			host, err := c.remote()
			if err != nil {
				return err
			}
			return host.DeleteCredential(cmd.Context(), args[0], 0)
		},
	}
}
