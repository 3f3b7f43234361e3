package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/config"
	"opsconductor.dev/host/service"
)

// TokenRequest asks for an API token.
type TokenRequest = service.TokenRequest

// Bootstrap makes a token without a token, in the database itself: for a
// deployment whose first token was lost, or never came to light. Whoever calls it
// has the database and the key file, and so could read everything already; the
// key has to be the one that the stored credentials are sealed under. The audit
// log has it. A SQLite database that a host has open is unavailable.
func Bootstrap(ctx context.Context, cfg Config, r TokenRequest) (token automation.Token, secret automation.Secret, err error) {
	if err := cfg.Validate(); err != nil {
		return token, secret, err
	}
	if err := databaseThere(cfg.Database); err != nil {
		return token, secret, err
	}
	opened, err := OpenStore(ctx, cfg.Database, cfg.Direct)
	if err != nil {
		return token, secret, fmt.Errorf("open the store %s: %w", cfg.Database, err)
	}
	defer func() { err = errors.Join(err, opened.Close()) }()
	seal, err := openVault(ctx, opened, cfg.KeyFile, false)
	if err != nil {
		return token, secret, err
	}
	s := service.New(service.Deps{Store: opened, Vault: seal})
	return s.CreateToken(ctx, operator("opsconductor token bootstrap"), r)
}

// operator stands for whoever runs the program on the host's own files.
func operator(name string) automation.Principal {
	return automation.Principal{
		Tenant: automation.DefaultTenant, Name: name, Role: automation.RoleAdmin, Token: automation.NewID[automation.TokenID](),
	}
}

// databaseThere refuses to make a database where a mistyped path names none.
func databaseThere(dsn config.DSN) error {
	if dsn.Postgres() {
		return nil
	}
	_, err := os.Stat(dsn.Path())
	if !errors.Is(err, fs.ErrNotExist) {
		return nil // what else may be wrong, opening it says
	}
	return &automation.Error{
		Code: automation.CodeNotFound, Message: "there is no database " + dsn.Path(), Err: err,
		Suggestion: "name the database of the deployment with --database-url",
	}
}
