package main

import (
	"strconv"

	"github.com/spf13/cobra"

	"opsconductor.dev/host/client"
)

func (c *cli) whyCommand() *cobra.Command {
	return &cobra.Command{
		Use: "why RUN", Short: "Say what each item of a run that has not ended waits for", Args: takes("RUN"),
		RunE: func(cmd *cobra.Command, args []string) error {
			host, err := c.remote()
			if err != nil {
				return err
			}
			reasons, err := host.Why(cmd.Context(), client.RunID(args[0]))
			if err != nil {
				return err
			}
			return listing[client.Reason]{
				items: reasons, head: []string{"STEP", "KIND", "ITEMS", "UNTIL", "WHY"},
				row: func(r client.Reason) []string {
					return []string{r.Step, r.Kind, strconv.Itoa(r.Count), stamp(r.Until), r.Text}
				},
			}.write(c)
		},
	}
}
