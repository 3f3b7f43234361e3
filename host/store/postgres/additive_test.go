package postgres_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
)

// lastFree is the last migration that came before hosts of two versions were
// promised to work side by side.
const lastFree = "0017"

// TestMigrationsAdd: a host of the version before goes on while the next one has
// migrated, so that a migration takes away nothing that the version before uses. What
// is to go is left unused in one version, and removed in the next: then it is listed here.
func TestMigrationsAdd(t *testing.T) {
	t.Parallel()
	takes := regexp.MustCompile(`(?is)\b(DROP\s+(TABLE|COLUMN|FUNCTION|VIEW)|RENAME\s+(TO|COLUMN)|ALTER\s+COLUMN\s+\w+\s+(TYPE|SET\s+NOT\s+NULL)|TRUNCATE)\b[^;]*`)
	wanting := regexp.MustCompile(`(?i)ADD COLUMN[^,;]*NOT NULL[^,;]*`)
	hasDefault := regexp.MustCompile(`(?i)\bDEFAULT\b`)
	allowed := map[string][]string{ // file → what it takes away
		// Who numbers by the shard's or the tenant's row would give numbers twice: it has to fail instead.
		"0021_numbers.sql": {"DROP COLUMN seq", "DROP COLUMN seq, DROP COLUMN hash"},
	}
	files, err := filepath.Glob("migrations/*.sql")
	if err != nil || len(files) < 17 {
		t.Fatalf("got %d migrations, %v", len(files), err)
	}
	for _, file := range files {
		name := filepath.Base(file)
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if name[:4] <= lastFree {
			continue
		}
		for _, found := range takes.FindAllString(string(text), -1) {
			if !slices.Contains(allowed[name], found) {
				t.Errorf("%s takes away what a host of the version before may use: %s", name, found)
			}
		}
		for _, column := range wanting.FindAllString(string(text), -1) {
			if !hasDefault.MatchString(column) {
				t.Errorf("%s adds a column that a host of the version before does not fill: %s", name, column)
			}
		}
	}
}
