package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"

	"opsconductor.dev/host/automation"
)

// Migrations is a database's table of the migrations that it has.
type Migrations interface {
	// Applied returns the hash of the text that an applied migration had; "" for one
	// that was not applied.
	Applied(ctx context.Context, number int) (hash string, err error)
	// Apply runs a migration's text and records it, in one transaction.
	Apply(ctx context.Context, number int, name, hash, text string) error
	// Last returns the highest number in the table; 0 when it is empty.
	Last(ctx context.Context) (int, error)
}

// Migrate applies the files of the folder migrations that the database does not
// have yet, in the order of their names, which number them from 1. A database that
// was made by another text, or by a newer version, is unavailable. The caller
// keeps other processes out.
func Migrate(ctx context.Context, db Migrations, files fs.ReadFileFS) error {
	const folder = "migrations"
	entries, err := fs.ReadDir(files, folder) // sorted by name
	if err != nil {
		return err
	}
	for i, f := range entries {
		text, err := files.ReadFile(folder + "/" + f.Name())
		if err != nil {
			return err
		}
		if err := migrate(ctx, db, i+1, f.Name(), string(text)); err != nil {
			return fmt.Errorf("migration %s: %w", f.Name(), err)
		}
	}
	last, err := db.Last(ctx)
	if err != nil {
		return err
	}
	if last > len(entries) {
		return &automation.Error{
			Code: automation.CodeUnavailable, Message: fmt.Sprintf("the database has migration %d, this version knows %d", last, len(entries)),
			Suggestion: "run the newer version that made it",
		}
	}
	return nil
}

func migrate(ctx context.Context, db Migrations, number int, name, text string) error {
	sum := sha256.Sum256([]byte(text))
	hash := hex.EncodeToString(sum[:])
	applied, err := db.Applied(ctx, number)
	switch {
	case err != nil:
		return err
	case applied == "":
		return db.Apply(ctx, number, name, hash, text)
	case applied != hash:
		return &automation.Error{
			Code: automation.CodeUnavailable, Message: "the database was made by another text of migration " + name,
			Suggestion: "run the version that made it; a migration never changes once it is released",
		}
	}
	return nil
}
