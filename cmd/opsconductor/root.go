package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// cli is one call of the command: its streams, its environment, its global flags.
type cli struct {
	in      io.Reader
	out     io.Writer // data, and nothing else
	err     io.Writer // progress, notes, errors
	env     func(string) (string, bool)
	version string

	format    format
	url       string
	tokenFile string
}

// run carries out a command line and returns the exit code.
func (c *cli) run(ctx context.Context, args []string) int {
	c.format = formatTable
	root := c.root()
	root.SetArgs(args)
	root.SetIn(c.in)
	root.SetOut(c.out)
	root.SetErr(c.err)
	err := root.ExecuteContext(ctx)
	if err != nil {
		c.complain(err)
	}
	return exitCode(err)
}

func (c *cli) root() *cobra.Command {
	root := group("opsconductor", "Run IT automation on fleets of machines",
		c.devCommand(), c.serveCommand(), c.workflowCommand(), c.runCommand(), c.pluginCommand(), c.assetCommand(),
		c.credentialCommand(), c.scheduleCommand(), c.triggerCommand(), c.auditCommand(), c.approvalCommand(), c.windowCommand(), c.limitCommand(), c.hostCommand(), c.queueCommand(),
		c.tokenCommand(), c.benchCommand(), c.versionCommand())
	root.SilenceErrors = true
	root.SilenceUsage = true
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usage("%w\n\nsee: %s --help", err, cmd.CommandPath())
	})
	flags := root.PersistentFlags()
	flags.VarP(&c.format, "output", "o", "table, json or jsonl")
	flags.StringVar(&c.url, "url", "", "URL of the host (OPSCONDUCTOR_URL; else that of the dev folder)")
	flags.StringVar(&c.tokenFile, "token-file", "", "file with an API token (OPSCONDUCTOR_TOKEN has one itself; else that of the dev folder)")
	return root
}

// group is a command that only has commands below it.
func group(use, short string, below ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Args: cobra.ArbitraryArgs}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return usage("%s needs a command:\n\n%s", cmd.CommandPath(), commandList(cmd))
		}
		hint := ""
		if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
			hint = "; did you mean " + strings.Join(near, " or ") + "?"
		}
		return usage("%s has no command %q%s\n\n%s", cmd.CommandPath(), clean(args[0]), hint, commandList(cmd))
	}
	cmd.SuggestionsMinimumDistance = 2
	cmd.AddCommand(below...)
	return cmd
}

func commandList(cmd *cobra.Command) string {
	var b strings.Builder
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() {
			fmt.Fprintf(&b, "  %-12s %s\n", sub.Name(), sub.Short)
		}
	}
	return strings.TrimRight(b.String(), "\n")
}

// takes checks a command's arguments: exactly these, by name.
func takes(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == len(names) {
			return nil
		}
		if len(names) == 0 {
			return usage("%s takes no argument", cmd.CommandPath())
		}
		return usage("%s takes %s\n\nusage: %s", cmd.CommandPath(), strings.Join(names, " and "), cmd.UseLine())
	}
}

// oneOf reports a flag's value that is none of those allowed.
func oneOf(flag, got string, allowed ...string) error {
	if slices.Contains(allowed, got) {
		return nil
	}
	return usage("--%s is one of %s", flag, strings.Join(allowed, ", "))
}

// width returns the width of a terminal; 0 when w is none.
func width(w io.Writer) int {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return 0
	}
	n, _, err := term.GetSize(int(f.Fd()))
	if err != nil || n <= 0 {
		return 80
	}
	return n
}

// readInput reads a file, or standard input for "-", up to a bound.
func (c *cli) readInput(name string, limit int64) ([]byte, error) {
	var r io.Reader = c.in
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, fmt.Errorf("read the file: %w", err)
		}
		defer f.Close() //nolint:errcheck // only read
		r = f
	}
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("%s has more than %d bytes", name, limit)
	}
	return b, nil
}
