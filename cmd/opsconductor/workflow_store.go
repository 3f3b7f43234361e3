package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"opsconductor.dev/host/client"
)

func (c *cli) storeCommand() *cobra.Command {
	return &cobra.Command{
		Use: "store FILE", Short: "Store a definition as the next version of its name; the same file again gives the version that has it",
		Args: takes("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			definition, err := c.readInput(args[0], maxDefinition)
			if err != nil {
				return err
			}
			host, err := c.remote()
			if err != nil {
				return err
			}
			w, err := host.StoreWorkflow(cmd.Context(), definition)
			if err != nil {
				return &inFile{name: args[0], err: err}
			}
			return c.showWorkflow(w)
		},
	}
}

func (c *cli) workflowListCommand() *cobra.Command {
	var name string
	cmd := &cobra.Command{Use: "list", Short: "List stored workflows by name, the newest version first", Args: takes()}
	cmd.Flags().StringVar(&name, "name", "", "only versions of this workflow")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		host, err := c.remote()
		if err != nil {
			return err
		}
		var all []client.Workflow
		for w, err := range client.All(func(p client.Page) (client.List[client.Workflow], error) {
			return host.Workflows(cmd.Context(), name, p)
		}) {
			if err != nil {
				return err
			}
			all = append(all, w)
		}
		return listing[client.Workflow]{
			items: all, head: []string{"NAME", "VERSION", "STATE", "BY", "STORED", "INCLUDES", "DESCRIPTION"},
			row: func(w client.Workflow) []string {
				return []string{
					w.Name, strconv.Itoa(w.Version), string(w.State), w.By, stamp(w.Created), strings.Join(w.Includes, " "), shorten(clean(w.Description), 60),
				}
			},
		}.write(c)
	}
	return cmd
}

func (c *cli) workflowShowCommand() *cobra.Command {
	return &cobra.Command{
		Use: "show NAME[@VERSION]", Short: "Show a stored workflow with its definition; without a version the newest active one",
		Args: takes("NAME[@VERSION]"),
		RunE: func(cmd *cobra.Command, args []string) error {
			host, err := c.remote()
			if err != nil {
				return err
			}
			w, err := host.Workflow(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if err := c.showWorkflow(w); err != nil || c.format != formatTable {
				return err
			}
			_, err = fmt.Fprintf(c.out, "\n%s\n", strings.TrimRight(w.Definition, "\n"))
			return err
		},
	}
}

func (c *cli) retireCommand() *cobra.Command {
	return &cobra.Command{
		Use: "retire NAME@VERSION", Short: "Let no new plan be made of a stored version; plans that pin it go on",
		Args: takes("NAME@VERSION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			host, err := c.remote()
			if err != nil {
				return err
			}
			w, err := host.RetireWorkflow(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return c.showWorkflow(w)
		},
	}
}

func (c *cli) showWorkflow(w client.Workflow) error {
	return c.show(w, pair{"workflow", w.Ref()}, pair{"state", string(w.State)}, pair{"description", clean(w.Description)},
		pair{"includes", strings.Join(w.Includes, " ")}, pair{"digest", string(w.Digest)}, pair{"by", w.By},
		pair{"stored", stamp(w.Created)}, pair{"retired", stamp(w.Retired)})
}
