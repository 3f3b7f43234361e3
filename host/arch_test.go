package host_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestLaw checks every Go file of the repository against theLaw, in process: a
// test that asks the go command would be answered from the test cache.
func TestLaw(t *testing.T) {
	t.Parallel()
	breaches, files, err := theLaw().check(os.DirFS(".."))
	if err != nil {
		t.Fatal(err)
	}
	if files < 20 {
		t.Errorf("looked at %d files; the walk does not reach the repository", files)
	}
	for _, b := range breaches {
		t.Error(b)
	}
}

// check returns the breaches of the law in a tree, and how many files it read.
func (l law) check(tree fs.FS) (breaches []string, files int, err error) {
	err = fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return l.enter(tree, name, d.Name())
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		files++
		found, err := l.checkFile(tree, name)
		breaches = append(breaches, found...)
		return err
	})
	return breaches, files, err
}

// enter skips folders whose files are not of this module's packages.
func (l law) enter(tree fs.FS, name, base string) error {
	if name == "." {
		return nil
	}
	if base == "testdata" || base == "node_modules" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") {
		return fs.SkipDir
	}
	if _, err := fs.Stat(tree, path.Join(name, "go.mod")); err == nil {
		return fs.SkipDir
	}
	return nil
}

func (l law) checkFile(tree fs.FS, name string) ([]string, error) {
	src, err := fs.ReadFile(tree, name)
	if err != nil {
		return nil, err
	}
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, name, src, parser.SkipObjectResolution)
	if err != nil {
		return nil, fmt.Errorf("parse %s: %w", name, err)
	}
	folder, test := path.Dir(name), strings.HasSuffix(name, "_test.go")
	r, ok := l.rooms[folder]
	if !ok {
		return []string{fmt.Sprintf("%s: %s is no room of the law; give it a row in host/arch_law_test.go", name, folder)}, nil
	}
	var breaches []string
	for _, imp := range file.Imports {
		p, err := strconv.Unquote(imp.Path.Value)
		if err != nil {
			return nil, fmt.Errorf("%s: import %s: %w", name, imp.Path.Value, err)
		}
		if why := l.refuse(r, folder, p, test); why != "" {
			breaches = append(breaches, fmt.Sprintf("%s: imports %q: %s", set.Position(imp.Pos()), p, why))
		}
	}
	if !test && folder != "host/runner/engine" {
		breaches = append(breaches, undefended(set, file)...)
	}
	if r.pure && !test {
		breaches = append(breaches, clockCalls(set, file)...)
	}
	return breaches, nil
}

// refuse says why a file may not import p, or "".
func (l law) refuse(r room, folder, p string, test bool) string {
	if p == l.module || strings.HasPrefix(p, l.module+"/") {
		return l.refuseRoom(r, folder, strings.TrimPrefix(strings.TrimPrefix(p, l.module), "/"), test)
	}
	if first, _, _ := strings.Cut(p, "/"); strings.Contains(first, ".") {
		return l.refuseModule(folder, p, test)
	}
	switch {
	case test:
	case r.noHTTP && (p == "net/http" || strings.HasPrefix(p, "net/http/")):
		return "HTTP belongs to the edges"
	case r.pure && slices.Contains(impure(), p):
		return folder + " is pure: no clock, no chance, no I/O, no log"
	}
	return ""
}

func (l law) refuseRoom(r room, folder, want string, test bool) string {
	if want == folder { // an external test of the room itself
		return ""
	}
	if _, ok := l.rooms[want]; !ok {
		return want + " is no room of the law"
	}
	if covers(r.may, want) || test && covers(r.tests, want) {
		return ""
	}
	return fmt.Sprintf("%s may not import %s", folder, want)
}

func (l law) refuseModule(folder, p string, test bool) string {
	if test && slices.ContainsFunc(l.testModules, func(m string) bool { return under(p, m) }) {
		return ""
	}
	for module, owners := range l.modules {
		if !under(p, module) {
			continue
		}
		if slices.Contains(owners, "*") || slices.Contains(owners, folder) {
			return ""
		}
		return fmt.Sprintf("%s belongs to %s alone", module, strings.Join(owners, ", "))
	}
	return "a module that the law does not list"
}

func covers(list []string, want string) bool {
	return slices.ContainsFunc(list, func(have string) bool {
		tree, all := strings.CutSuffix(have, "/...")
		return want == tree || all && under(want, tree)
	})
}

func under(p, prefix string) bool { return p == prefix || strings.HasPrefix(p, prefix+"/") }

// impure lists the standard packages that a pure room has no use for.
func impure() []string {
	return []string{
		"os", "os/exec", "os/signal", "io/ioutil", "net", "net/http", "syscall", "database/sql",
		"math/rand", "math/rand/v2", "crypto/rand", "log", "log/slog", "runtime/debug", "plugin", "unsafe",
	}
}

// undefended finds uses of the switches that take defences out of the sandbox.
func undefended(set *token.FileSet, file *ast.File) []string {
	var found []string
	ast.Inspect(file, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok && id.Name == "Undefended" {
			found = append(found, fmt.Sprintf("%s: Undefended is for tests alone", set.Position(id.Pos())))
		}
		return true
	})
	return found
}

// clockCalls finds uses of the clock and of timers, whatever name time was
// imported under.
func clockCalls(set *token.FileSet, file *ast.File) []string {
	name := ""
	for _, imp := range file.Imports {
		if imp.Path.Value != `"time"` {
			continue
		}
		name = "time"
		if imp.Name != nil {
			name = imp.Name.Name
		}
	}
	switch name {
	case "":
		return nil
	case ".":
		return []string{file.Name.Name + ": a dot import of time hides the clock"}
	}
	clock := []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"}
	var found []string
	ast.Inspect(file, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok || !slices.Contains(clock, sel.Sel.Name) {
			return true
		}
		if id, ok := sel.X.(*ast.Ident); ok && id.Name == name {
			found = append(found, fmt.Sprintf("%s: time.%s in a pure room: take the time as a value", set.Position(n.Pos()), sel.Sel.Name))
		}
		return true
	})
	return found
}
