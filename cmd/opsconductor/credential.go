package main

import (
	"bytes"
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
	var kind, username, keyFile, passphraseFile string
	var passwordStdin bool
	var protocols, assets, tags []string
	cmd := &cobra.Command{
		Use: "create NAME", Short: "Seal a credential, from a file or standard input: a secret is never an argument",
		Args: takes("NAME"),
	}
	flags := cmd.Flags()
	flags.StringVar(&kind, "kind", "", "password or ssh_key; without it, what the secret is given as")
	flags.StringVar(&username, "username", "", "user name to log in with")
	flags.BoolVar(&passwordStdin, "password-stdin", false, "read the password from standard input")
	flags.StringVar(&keyFile, "key-file", "", "file with the private key (PEM), - for standard input")
	flags.StringVar(&passphraseFile, "passphrase-file", "", "file with the private key's passphrase")
	flags.StringArrayVar(&protocols, "protocol", []string{"ssh"}, "a protocol that may use it")
	flags.StringArrayVar(&assets, "asset", nil, `name of an asset that it may be used on; "*" is all`)
	flags.StringArrayVar(&tags, "tag", nil, "a tag of assets that it may be used on")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		r := client.CredentialRequest{Name: args[0], Username: username, Scope: client.CredentialScope{Assets: assets, Tags: tags}}
		for _, p := range protocols {
			r.Scope.Protocols = append(r.Scope.Protocols, client.Protocol(p))
		}
		if err := c.readSecrets(&r, kind, passwordStdin, keyFile, passphraseFile); err != nil {
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

// readSecrets reads the secrets of a credential from where the flags say.
func (c *cli) readSecrets(r *client.CredentialRequest, kind string, passwordStdin bool, keyFile, passphraseFile string) error {
	if passwordStdin == (keyFile != "") {
		return usage("give the secret by either --password-stdin or --key-file")
	}
	implied := "password"
	if keyFile != "" {
		implied = "ssh_key"
	}
	if kind != "" && kind != implied {
		return usage("--kind %s does not go with that secret: --password-stdin is for password, --key-file for ssh_key", clean(kind))
	}
	r.Kind = client.CredentialKind(implied)
	if passwordStdin {
		b, err := c.readInput("-", maxSecret)
		r.Password = client.NewSecret(bytes.TrimRight(b, "\r\n"))
		return err
	}
	b, err := c.readInput(keyFile, maxSecret)
	if err != nil {
		return err
	}
	r.PrivateKey = client.NewSecret(b)
	if passphraseFile == "" {
		return nil
	}
	b, err = c.readInput(passphraseFile, maxSecret)
	r.Passphrase = client.NewSecret(bytes.TrimRight(b, "\r\n"))
	return err
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
