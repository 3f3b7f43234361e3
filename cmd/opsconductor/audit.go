package main

import (
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"opsconductor.dev/host/client"
)

func (c *cli) auditCommand() *cobra.Command {
	return group("audit", "Read who changed what", c.auditListCommand(), c.auditVerifyCommand())
}

func (c *cli) auditListCommand() *cobra.Command {
	var last int
	cmd := &cobra.Command{Use: "list", Short: "List the newest entries of the audit log, the oldest of them first", Args: takes()}
	cmd.Flags().IntVar(&last, "last", 100, "how many; 0: all")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if last < 0 {
			return usage("--last is a number of entries, or 0 for all")
		}
		host, err := c.remote()
		if err != nil {
			return err
		}
		var entries []client.AuditEntry
		for e, err := range client.All(func(p client.Page) (client.List[client.AuditEntry], error) { return host.Audit(cmd.Context(), p) }) {
			if err != nil {
				return err
			}
			if entries = append(entries, e); last > 0 && len(entries) >= 2*last {
				entries = append(entries[:0], entries[len(entries)-last:]...)
			}
		}
		if last > 0 && len(entries) > last {
			entries = entries[len(entries)-last:]
		}
		return listing[client.AuditEntry]{
			items: entries, head: []string{"SEQ", "AT", "BY", "ACTION", "OBJECT", "DETAIL"},
			row: func(e client.AuditEntry) []string {
				return []string{strconv.FormatInt(e.Seq, 10), stamp(e.At), e.By, e.Action, e.Object, string(e.Detail)}
			},
		}.write(c)
	}
	return cmd
}

func (c *cli) auditVerifyCommand() *cobra.Command {
	return &cobra.Command{
		Use: "verify", Short: "Read the whole audit log, and say whether an entry was changed, removed or moved", Args: takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			host, err := c.remote()
			if err != nil {
				return err
			}
			v, err := host.VerifyAudit(cmd.Context())
			if err != nil {
				return err
			}
			err = c.show(v, pair{"intact", strconv.FormatBool(v.Intact)}, pair{"entries", strconv.FormatInt(v.Entries, 10)}, pair{"head", v.Head})
			if err == nil && !v.Intact {
				return fmt.Errorf("the audit log is not intact: %s", v.Problem)
			}
			return err
		},
	}
}
