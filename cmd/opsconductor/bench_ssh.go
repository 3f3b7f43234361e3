package main

import (
	"github.com/spf13/cobra"

	"opsconductor.dev/host/app"
)

func (c *cli) benchSSHCommand() *cobra.Command {
	return c.benchmark("ssh", "Commands on SSH servers, cold and warm, beside a bare loop over x/crypto/ssh and Ansible; and one run on many servers in process",
		app.BenchSSH, func(cmd *cobra.Command, o *app.BenchOptions) {
			cmd.Flags().IntVar(&o.Targets, "targets", 50, "real SSH servers (OpenSSH's sshd), each on an address of its own: 127.0.1.1 and on")
			cmd.Flags().IntVar(&o.Fakes, "fakes", 10_000, "SSH servers in process")
			cmd.Flags().BoolVar(&o.Ansible, "ansible", true, "measure Ansible too, where it is installed")
			cmd.Flags().IntVar(&o.Times, "times", 6, "how often everything but Ansible is measured; the median counts")
		})
}
