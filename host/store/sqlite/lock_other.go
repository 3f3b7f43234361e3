//go:build !unix

package sqlite

import (
	"os"

	"opsconductor.dev/host/automation"
)

// lockFile refuses: without a lock that ends with its process, two hosts could
// share a file.
func lockFile(string) (*os.File, error) {
	return nil, &automation.Error{
		Code:       automation.CodeUnavailable,
		Message:    "SQLite is served on Unix systems only",
		Suggestion: "give the URL of a PostgreSQL database",
	}
}
