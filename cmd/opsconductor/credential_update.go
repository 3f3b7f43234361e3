package main

import (
	"github.com/spf13/cobra"

	"opsconductor.dev/host/client"
)

// credentialChange is the flags of an update: what is not given stays.
type credentialChange struct {
	username                string
	secrets                 secretFlags
	protocols, assets, tags []string
	remove                  []string
	version                 int64
}

func (c *cli) credentialUpdateCommand() *cobra.Command {
	var u credentialChange
	cmd := &cobra.Command{
		Use: "update NAME", Short: "Change a credential's secret, user name or scope; what no flag names stays as it is", Args: takes("NAME"),
		Long: `Change a credential's secret, user name or scope; what no flag names stays as it is.
A secret comes from a file or standard input, never from an argument. Names of
assets, tags and protocols that are given replace those that the scope has, and a
new private key has neither the passphrase nor the certificate of the old one. The
change is refused when somebody else changes the credential at the same time, or
when it has another version than --if-match says.`,
	}
	flags := cmd.Flags()
	flags.StringVar(&u.username, "username", "", "new user name")
	u.secrets.add(cmd)
	flags.StringArrayVar(&u.remove, "remove", nil, "a part to take away: password, passphrase, certificate, public_key, one_time_seed or answers")
	flags.StringArrayVar(&u.protocols, "protocol", nil, "a protocol that may use it")
	flags.StringArrayVar(&u.assets, "asset", nil, `name of an asset that it may be used on; "*" is all`)
	flags.StringArrayVar(&u.tags, "tag", nil, "a tag of assets that it may be used on")
	flags.Int64Var(&u.version, "if-match", 0, "change the credential only if it has this version (as create and update tell it)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := u.secrets.check(); err != nil {
			return err
		}
		host, err := c.remote()
		if err != nil {
			return err
		}
		old, err := host.Credential(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		r := client.CredentialRequest{Username: u.username, Scope: u.scope(old.Scope), Remove: u.remove}
		if err := u.secrets.read(c, &r); err != nil {
			return err
		}
		if u.version == 0 {
			u.version = old.Version
		}
		out, err := host.UpdateCredential(cmd.Context(), args[0], r, u.version)
		if err != nil {
			return err
		}
		return c.showCredential(out)
	}
	return cmd
}

// scope is the old scope with the lists that the flags replace.
func (u *credentialChange) scope(old client.CredentialScope) client.CredentialScope {
	if u.protocols != nil {
		old.Protocols = nil
		for _, p := range u.protocols {
			old.Protocols = append(old.Protocols, client.Protocol(p))
		}
	}
	if u.assets != nil {
		old.Assets = u.assets
	}
	if u.tags != nil {
		old.Tags = u.tags
	}
	return old
}
