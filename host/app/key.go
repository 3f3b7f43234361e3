package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
	"opsconductor.dev/host/vault"
)

// openVault opens the vault under the key in a file, and makes sure that it is
// the key of this deployment. make allows a key to be made where there is none and
// nothing was sealed yet.
func openVault(ctx context.Context, st store.Credentials, path string, mayMake bool) (*vault.Vault, error) {
	sealedBy, err := keyInUse(ctx, st)
	if err != nil {
		return nil, err
	}
	key, err := vault.LoadKey(path)
	if mayMake && errors.Is(err, fs.ErrNotExist) {
		if sealedBy != "" {
			return nil, &automation.Error{
				Code: automation.CodeInvalid, Message: fmt.Sprintf("the key file %s is gone, and credentials are sealed under its key %s", path, sealedBy),
				Err: err, Suggestion: "restore the file from your backup, or begin anew in another folder",
			}
		}
		key, err = vault.CreateKey(path)
	}
	if err != nil {
		return nil, err
	}
	if sealedBy != "" && sealedBy != key.ID() {
		return nil, &automation.Error{
			Code:       automation.CodeInvalid,
			Message:    fmt.Sprintf("the key file %s holds key %s, and the stored credentials are sealed under key %s", path, key.ID(), sealedBy),
			Suggestion: "name the key file of this deployment with --key-file",
		}
	}
	return vault.New(key)
}

// keyInUse returns the name of the key that sealed the stored credentials; "" when
// there is none.
func keyInUse(ctx context.Context, st store.Credentials) (string, error) {
	list, err := st.ListCredentials(ctx, automation.DefaultTenant, automation.Page{Limit: 1})
	if err != nil {
		return "", fmt.Errorf("look at the stored credentials: %w", err)
	}
	if len(list) == 0 {
		return "", nil
	}
	return list[0].KeyID, nil
}

// hostName is what the host calls itself in lists.
func hostName(set string) string {
	if set != "" {
		return set
	}
	name, err := os.Hostname()
	if err != nil {
		return "host"
	}
	return name
}
