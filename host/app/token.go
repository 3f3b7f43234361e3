package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/service"
)

// tokenFile is the file in the host's folder that holds an administrator's token.
const tokenFile = "admin.token"

// firstToken writes the first administrator's token of a new database to the
// host's folder. It returns whether it did.
func firstToken(ctx context.Context, s *service.Service, f *folder) (bool, error) {
	secret, err := s.BootstrapAdmin(ctx)
	if err != nil {
		return false, fmt.Errorf("make the first token: %w", err)
	}
	if secret.Empty() {
		return false, nil
	}
	return true, writeNew(f.file(tokenFile), string(secret.Reveal())+"\n")
}

// devToken makes sure that the token in the folder of `dev` works: a lost file or
// a database that others made tokens in gets another one.
func devToken(ctx context.Context, s *service.Service, f *folder) error {
	made, err := firstToken(ctx, s, f)
	if made || err != nil {
		return err
	}
	text, err := readSmall(f.file(tokenFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read the admin token: %w", err)
	}
	p, err := s.Authenticate(ctx, strings.TrimSpace(text))
	if err == nil && p.Role == automation.RoleAdmin {
		return nil
	}
	if err != nil && automation.CodeOf(err) != automation.CodeUnauthenticated {
		return fmt.Errorf("try the admin token: %w", err)
	}
	_, secret, err := s.CreateToken(ctx, operator("opsconductor dev"), service.TokenRequest{Name: "dev admin", Role: automation.RoleAdmin, TTL: service.MaxTokenTTL})
	if err != nil {
		return fmt.Errorf("make an admin token: %w", err)
	}
	return writeNew(f.file(tokenFile), string(secret.Reveal())+"\n")
}
