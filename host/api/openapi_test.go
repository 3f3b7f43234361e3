package api_test

import (
	"flag"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"opsconductor.dev/host/api"
)

var update = flag.Bool("update", false, "rewrite docs/openapi.yaml")

const document = "../../docs/openapi.yaml"

func TestTheDocumentIsTheCommittedOne(t *testing.T) {
	t.Parallel()
	got, err := documented().OpenAPI()
	if err != nil {
		t.Fatalf("make the document: %v", err)
	}
	if *update {
		if err := os.WriteFile(document, got, 0o644); err != nil { //nolint:gosec // documentation
			t.Fatalf("write the document: %v", err)
		}
	}
	want, err := os.ReadFile(document)
	if err != nil {
		t.Fatalf("read the committed document: %v", err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("docs/openapi.yaml is not what the code serves (run go test ./host/api -update):\n%s", diff)
	}
}

// Every property says what it is: programs that plan read the document.
func TestEveryPropertyIsDescribed(t *testing.T) {
	t.Parallel()
	for _, name := range documented().Undescribed() {
		t.Errorf("%s has no description", name)
	}
}

func TestTheDocumentLoadsNothingFromElsewhere(t *testing.T) {
	t.Parallel()
	got, err := documented().OpenAPI()
	if err != nil {
		t.Fatalf("make the document: %v", err)
	}
	for _, url := range regexp.MustCompile(`https?://[^\s"']+`).FindAllString(string(got), -1) {
		if !strings.Contains(url, "example") {
			t.Errorf("the document names %s", url)
		}
	}
}

func documented() *api.API {
	return api.New(api.Config{Version: "test", Metrics: http404{}})
}
