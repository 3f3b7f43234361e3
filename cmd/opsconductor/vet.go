package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"opsconductor.dev/host/app"
)

// vetWord is the command that a host starts itself with to vet a plugin.
const vetWord = "vet-plugin"

func (c *cli) vetCommand() *cobra.Command {
	return &cobra.Command{
		Use: vetWord + " ENGINE", Short: "Compile a plugin as a host's helper: module in, verdict out", Hidden: true, Args: takes("ENGINE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return app.VetPlugin(cmd.Context(), args[0], c.in, c.out)
		},
	}
}

// vetting is the command line of that process.
func vetting(engine string) ([]string, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	return []string{self, vetWord, engine}, nil
}
