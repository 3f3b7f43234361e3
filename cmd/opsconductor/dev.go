package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"opsconductor.dev/host/app"
)

func (c *cli) devCommand() *cobra.Command {
	var printToken bool
	cmd := &cobra.Command{
		Use: "dev", Short: "Run a host for one person on this machine: SQLite in a folder, its own key and admin token",
		Args: takes(),
	}
	settings := c.settings(cmd)
	cmd.Flags().BoolVar(&printToken, "print-token", false, "print the admin token too, not only its file")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := settings()
		if err != nil {
			return err
		}
		return c.serve(cmd.Context(), app.Options{Config: cfg, Dev: true, Version: c.version, LogTo: c.err}, printToken)
	}
	return cmd
}

func (c *cli) serveCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "serve", Short: "Run a host; it needs --database-url and --key-file",
		Args: takes(),
		Long: `Run a host. It needs a database and the file with the vault's key:

  (umask 077; head -c 32 /dev/urandom | base64 >vault.key)
  opsconductor serve --database-url /var/lib/opsconductor/host.db --key-file vault.key --dir /var/lib/opsconductor

A new database gets one admin token, in the file admin.token of --dir; the log says
so. Use it to make others (opsconductor token create), then revoke it. If it is lost:
opsconductor token bootstrap.

Keep the key apart from backups of the database: without it no credential opens.`,
	}
	settings := c.settings(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := settings()
		if err != nil {
			return err
		}
		return c.serve(cmd.Context(), app.Options{Config: cfg, Version: c.version, LogTo: c.err}, false)
	}
	return cmd
}

// settings adds a flag for every setting, or for those named, and returns what
// reads them: a flag wins over its environment variable.
func (c *cli) settings(cmd *cobra.Command, only ...string) func() (app.Config, error) {
	values, lists := map[string]*string{}, map[string]*[]string{}
	defaults := app.Defaults()
	for _, s := range app.Settings() {
		if len(only) > 0 && !slices.Contains(only, s.Flag) {
			continue
		}
		if s.List {
			lists[s.Flag] = cmd.Flags().StringArray(s.Flag, strings.Split(s.Get(defaults), ","), s.Usage+" ("+s.Env+")")
			continue
		}
		values[s.Flag] = cmd.Flags().String(s.Flag, s.Get(defaults), s.Usage+" ("+s.Env+")")
	}
	return func() (app.Config, error) {
		cfg := app.Defaults()
		errs := []error{cfg.FromEnv(c.env)}
		for _, s := range app.Settings() {
			if !cmd.Flags().Changed(s.Flag) {
				continue
			}
			if value := values[s.Flag]; value != nil {
				errs = append(errs, cfg.FromFlag(s.Flag, *value))
			}
			if list := lists[s.Flag]; list != nil {
				errs = append(errs, cfg.FromFlag(s.Flag, strings.Join(*list, ",")))
			}
		}
		if err := errors.Join(errs...); err != nil {
			return cfg, &exitErr{code: exitUsage, err: err}
		}
		return cfg, nil
	}
}

// serve builds a host, says where it is, and runs it until it is told to stop.
func (c *cli) serve(ctx context.Context, o app.Options, printToken bool) error {
	var err error
	if o.Vetting, err = vetting(o.Config.Engine); err != nil {
		return err
	}
	host, err := app.Build(ctx, o)
	if err != nil {
		return err
	}
	if err := c.sayWhere(host, o, printToken); err != nil {
		return errors.Join(err, host.Close(context.WithoutCancel(ctx)))
	}
	return host.Run(ctx)
}

func (c *cli) sayWhere(host *app.App, o app.Options, printToken bool) error {
	if !o.Dev {
		return c.show(map[string]string{"url": host.URL()}, pair{"url", host.URL()})
	}
	file := filepath.Join(o.Config.Dir, "admin.token")
	data := map[string]string{"url": host.URL(), "token_file": file}
	pairs := []pair{{"url", host.URL()}, {"token file", file}}
	if printToken {
		token, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("read the admin token: %w", err)
		}
		data["token"] = strings.TrimSpace(string(token))
		pairs = append(pairs, pair{"token", data["token"]})
	}
	return c.show(data, pairs...)
}
