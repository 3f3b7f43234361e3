package main

import (
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"opsconductor.dev/host/client"
)

func (c *cli) hostCommand() *cobra.Command {
	return group("host", "See the hosts that take part", c.hostListCommand())
}

func (c *cli) queueCommand() *cobra.Command {
	return group("queue", "See the task queues", c.queueListCommand())
}

func (c *cli) hostListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the hosts, what they serve and what they do", Args: takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			remote, err := c.remote()
			if err != nil {
				return err
			}
			hosts, err := remote.Hosts(cmd.Context())
			if err != nil {
				return err
			}
			return listing[client.Host]{
				items: hosts, head: []string{"NAME", "STATE", "LEADS", "QUEUES", "AT WORK", "SLOTS", "HEARTBEAT", "VERSION"},
				row: func(h client.Host) []string {
					leads := ""
					if h.Leader {
						leads = "yes"
					}
					age := (time.Duration(h.AgeMS) * time.Millisecond).Round(100 * time.Millisecond)
					return []string{
						h.Name, string(h.State), leads, strings.Join(h.Queues, " "), strconv.Itoa(h.AtWork), strconv.Itoa(h.Slots),
						age.String() + " ago", h.Version,
					}
				},
			}.write(c)
		},
	}
}

func (c *cli) queueListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the task queues, who serves them and what waits in them", Args: takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			remote, err := c.remote()
			if err != nil {
				return err
			}
			queues, err := remote.Queues(cmd.Context())
			if err != nil {
				return err
			}
			return listing[client.Queue]{
				items: queues, head: []string{"QUEUE", "HOSTS", "SLOTS", "WAITING", "NOTE"},
				row: func(q client.Queue) []string {
					note := ""
					if q.Hosts == 0 && q.Waiting > 0 {
						note = "no live host serves it"
					}
					return []string{q.Name, strconv.Itoa(q.Hosts), strconv.Itoa(q.Slots), strconv.Itoa(q.Waiting), note}
				},
			}.write(c)
		},
	}
}
