package ssh_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"opsconductor.dev/hostfuncs/ssh"
)

// Each option has the default that its comment names.
func TestDefaults(t *testing.T) {
	t.Parallel()
	f, err := parser.ParseFile(token.NewFileSet(), "options.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	got := reflect.ValueOf(ssh.Defaults(ssh.Options{}))
	seen := 0
	ast.Inspect(f, func(n ast.Node) bool {
		field, ok := n.(*ast.Field)
		if !ok || len(field.Names) != 1 || got.FieldByName(field.Names[0].Name).Kind() == reflect.Invalid {
			return true
		}
		name := field.Names[0].Name
		v := got.FieldByName(name)
		said := strings.TrimSpace(field.Comment.Text())
		if said == "" {
			said = strings.TrimSpace(field.Doc.Text())
		}
		said = strings.TrimSuffix(said[max(0, strings.LastIndexAny(said, ":\n")+1):], ".")
		if want, ok := amount(t, said); ok && v.CanInt() {
			seen++
			if v.Int() != want {
				t.Errorf("%s is %d, want %d, as its comment says: %q", name, v.Int(), want, said)
			}
		} else if v.CanInt() {
			t.Errorf("the comment of %s does not end with its default: %q", name, said)
		}
		return true
	})
	if seen < 20 {
		t.Errorf("%d options have a number, want 20 and more", seen)
	}
	set := ssh.Defaults(ssh.Options{MaxIdle: 3, KillGrace: time.Minute, Discard: 7})
	if set.MaxIdle != 3 || set.KillGrace != time.Minute || set.Discard != 7 {
		t.Errorf("what was set has become %d, %s, %d", set.MaxIdle, set.KillGrace, set.Discard)
	}
}

// amount reads a number with a unit, or without one.
func amount(t *testing.T, text string) (int64, bool) {
	t.Helper()
	m := regexp.MustCompile(`^\s*(\d+) ?(ms|s|min|MiB|)$`).FindStringSubmatch(text)
	if m == nil {
		return 0, false
	}
	n, err := strconv.ParseInt(m[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	unit := map[string]int64{"": 1, "ms": int64(time.Millisecond), "s": int64(time.Second), "min": int64(time.Minute), "MiB": 1 << 20}
	return n * unit[m[2]], true
}
