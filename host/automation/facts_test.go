package automation_test

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"opsconductor.dev/host/automation"
)

var update = flag.Bool("update", false, "write the shape of facts under a format that has none yet")

// TestFactsFormat: facts have the shape that was written down for their format. Who
// changes it raises automation.FactsFormat, so that no older version leads on what
// it would misunderstand, and writes the new shape down with -update.
func TestFactsFormat(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	source, err := parser.ParseFile(token.NewFileSet(), "fact.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(source, func(n ast.Node) bool {
		if v, ok := n.(*ast.ValueSpec); ok && len(v.Values) == 1 {
			if kind, ok := v.Values[0].(*ast.BasicLit); ok {
				fmt.Fprintln(&b, v.Names[0].Name, kind.Value)
			}
		}
		return true
	})
	shape(&b, reflect.TypeFor[automation.Fact](), map[reflect.Type]bool{})
	path := fmt.Sprintf("testdata/facts-%d.txt", automation.FactsFormat)
	want, err := os.ReadFile(path)
	if os.IsNotExist(err) && *update {
		if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("facts have another shape than format %d: raise automation.FactsFormat, then run go test ./host/automation -update (-want +got)\n%s", automation.FactsFormat, diff)
	}
}

// shape writes the fields of a struct and of those in it, as JSON has them.
func shape(b *strings.Builder, t reflect.Type, seen map[reflect.Type]bool) {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || seen[t] || t.PkgPath() == "time" {
		return
	}
	seen[t] = true
	for f := range t.Fields() {
		if tag := f.Tag.Get("json"); tag != "-" && f.IsExported() {
			fmt.Fprintf(b, "%s.%s %s %s\n", t.Name(), f.Name, f.Type, tag)
			shape(b, f.Type, seen)
		}
	}
}
