package main

import (
	"time"

	"github.com/spf13/cobra"

	"opsconductor.dev/host/app"
	"opsconductor.dev/host/client"
)

func (c *cli) tokenCommand() *cobra.Command {
	return group("token", "Keep API tokens", c.tokenCreateCommand(), c.tokenListCommand(), c.tokenRevokeCommand(),
		c.tokenBootstrapCommand())
}

func (c *cli) tokenCreateCommand() *cobra.Command {
	var role string
	var ttl time.Duration
	cmd := &cobra.Command{Use: "create NAME", Short: "Make a token; its secret is shown this once", Args: takes("NAME")}
	cmd.Flags().StringVar(&role, "role", "submitter", "admin or submitter")
	cmd.Flags().DurationVar(&ttl, "ttl", 0, "how long it is valid; 0: 90 days")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := oneOf("role", role, "admin", "submitter"); err != nil {
			return err
		}
		host, err := c.remote()
		if err != nil {
			return err
		}
		t, err := host.CreateToken(cmd.Context(), client.TokenRequest{Name: args[0], Role: client.Role(role), TTL: ttl})
		if err != nil {
			return err
		}
		return c.showToken(t.Token, t.Secret)
	}
	return cmd
}

// showToken shows a new token with its secret: that is what the commands are for.
func (c *cli) showToken(t client.Token, s client.Secret) error {
	secret := string(s.Reveal())
	return c.show(struct {
		client.Token
		Secret string `json:"secret"`
	}{t, secret}, pair{"token", t.Name}, pair{"id", string(t.ID)}, pair{"role", string(t.Role)},
		pair{"expires", stamp(t.Expires)}, pair{"secret", secret})
}

func (c *cli) tokenBootstrapCommand() *cobra.Command {
	var ttl time.Duration
	cmd := &cobra.Command{
		Use: "bootstrap NAME", Short: "Make an admin token without a token, with the database and the key file", Args: takes("NAME"),
		Long: `Make an admin token without a token, in the database itself: for a deployment
whose first token was lost. It needs what the host has, --database-url and
--key-file, and not the host. A host has its SQLite database for itself: stop it
before. With PostgreSQL it may go on. The audit log records the token.`,
	}
	settings := c.settings(cmd, "database-url", "key-file")
	cmd.Flags().DurationVar(&ttl, "ttl", 0, "how long it is valid; 0: 90 days")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		cfg, err := settings()
		if err != nil {
			return err
		}
		t, secret, err := app.Bootstrap(cmd.Context(), cfg, app.TokenRequest{Name: args[0], Role: "admin", TTL: ttl})
		if err != nil {
			return err
		}
		return c.showToken(t, secret)
	}
	return cmd
}

func (c *cli) tokenListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List tokens, without their secrets", Args: takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			host, err := c.remote()
			if err != nil {
				return err
			}
			var tokens []client.Token
			for t, err := range client.All(func(p client.Page) (client.List[client.Token], error) { return host.Tokens(cmd.Context(), p) }) {
				if err != nil {
					return err
				}
				tokens = append(tokens, t)
			}
			return listing[client.Token]{
				items: tokens, head: []string{"ID", "NAME", "ROLE", "CREATED", "EXPIRES", "REVOKED"},
				row: func(t client.Token) []string {
					return []string{string(t.ID), t.Name, string(t.Role), stamp(t.Created), stamp(t.Expires), stamp(t.Revoked)}
				},
			}.write(c)
		},
	}
}

func (c *cli) tokenRevokeCommand() *cobra.Command {
	return &cobra.Command{
		Use: "revoke ID", Short: "End a token at once", Args: takes("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			host, err := c.remote()
			if err != nil {
				return err
			}
			return host.RevokeToken(cmd.Context(), client.TokenID(args[0]))
		},
	}
}
