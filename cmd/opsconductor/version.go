package main

import (
	"runtime"

	"github.com/spf13/cobra"
)

func (c *cli) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version of this binary",
		Args: takes(),
		RunE: func(*cobra.Command, []string) error {
			v := map[string]string{"version": c.version, "go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH}
			return c.show(v, pair{"version", c.version}, pair{"go", v["go"]}, pair{"platform", v["platform"]})
		},
	}
}
