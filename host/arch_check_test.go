package host_test

import (
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// TestLawCanFail breaks each rule of the law once in a made-up tree.
func TestLawCanFail(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, file, src, want string
	}{
		{"an unlisted room", "host/shed/a.go", `package shed`, "host/shed is no room of the law"},
		{"a room at the root", "a.go", `package opsconductor`, "is no room of the law"},
		{"an import of an unlisted room", "host/app/a.go", `package app; import _ "opsconductor.dev/host/shed"`, "host/shed is no room of the law"},
		{"an import upwards", "host/store/a.go", `package store; import _ "opsconductor.dev/host/service"`, "host/store may not import host/service"},
		{"the command past app", "cmd/opsconductor/a.go", `package main; import _ "opsconductor.dev/host/store"`, "may not import host/store"},
		{"hostfuncs into host", "hostfuncs/ssh/a.go", `package ssh; import _ "opsconductor.dev/host/automation"`, "may not import host/automation"},
		{"hostfuncs' test into host", "hostfuncs/ssh/a_test.go", `package ssh_test; import _ "opsconductor.dev/host/automation"`, "may not import host/automation"},
		{"a plugin into the host", "plugins/core/a.go", `package main; import _ "opsconductor.dev/host/automation"`, "may not import"},
		{"schemas import nothing", "schemas/a.go", `package schemas; import _ "opsconductor.dev/host/automation"`, "may not import"},
		{"a module in the wrong room", "host/api/a.go", `package api; import _ "github.com/jackc/pgx/v5/pgxpool"`, "belongs to host/store/postgres"},
		{"a sub-package of an owner's room", "host/store/sqlite/a.go", `package sqlite; import _ "github.com/jackc/pgx/v5"`, "belongs to host/store/postgres"},
		{"an unlisted module", "host/api/a.go", `package api; import _ "github.com/gorilla/mux"`, "a module that the law does not list"},
		{"a module whose name only begins alike", "host/api/a.go", `package api; import _ "github.com/danielgtaylor/huma/v22"`, "does not list"},
		{"a test module outside tests", "host/api/a.go", `package api; import _ "github.com/google/go-cmp/cmp"`, "does not list"},
		{"net/http in service", "host/service/a.go", `package service; import _ "net/http"`, "HTTP belongs to the edges"},
		{"net/http/httptest in workflow", "host/workflow/a.go", `package workflow; import _ "net/http/httptest"`, "HTTP belongs to the edges"},
		{"os in workflow", "host/workflow/a.go", `package workflow; import _ "os"`, "is pure"},
		{"chance in the machine", "host/scheduler/machine/a.go", `package machine; import _ "math/rand/v2"`, "is pure"},
		{"the clock in the machine", "host/scheduler/machine/a.go", `package machine; import "time"; var _ = time.Now`, "time.Now in a pure room"},
		{"the clock under another name", "host/workflow/a.go", `package workflow; import c "time"; func f() { _ = c.Since(c.Time{}) }`, "time.Since in a pure room"},
		{"a sandbox without defences", "host/app/a.go", `package app; import "opsconductor.dev/host/runner/engine"; var _ = engine.Settings{Undefended: engine.Undefended{Edges: true}}`, "Undefended is for tests alone"},
		{"the clock by a dot import", "host/workflow/a.go", `package workflow; import . "time"; var _ = Now`, "dot import of time"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			tree := fstest.MapFS{c.file: &fstest.MapFile{Data: []byte(strings.ReplaceAll(c.src, "; ", "\n"))}}
			got, _, err := theLaw().check(tree)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.ContainsFunc(got, func(s string) bool { return strings.Contains(s, c.want) }) {
				t.Errorf("got %q, want a breach that says %q", got, c.want)
			}
		})
	}
}

// TestLawAllows shows that the checker does not refuse everything.
func TestLawAllows(t *testing.T) {
	t.Parallel()
	tree := fstest.MapFS{
		"host/api/a.go":                      {Data: []byte("package api\nimport (\n_ \"net/http\"\n_ \"opsconductor.dev/host/service\"\n_ \"github.com/danielgtaylor/huma/v2/humachi\"\n)")},
		"host/scheduler/machine/a.go":        {Data: []byte("package machine\nimport \"time\"\nvar _ time.Duration")},
		"host/scheduler/machine/a_test.go":   {Data: []byte("package machine_test\nimport (\n_ \"time\"\n_ \"math/rand/v2\"\n_ \"opsconductor.dev/host/scheduler/machine\"\n_ \"github.com/google/go-cmp/cmp\"\n)")},
		"hostfuncs/a_test.go":                {Data: []byte("package hostfuncs_test\nimport _ \"opsconductor.dev/host/automation\"")},
		"host/workflow/testdata/broken/a.go": {Data: []byte("not Go at all")},
		"examples/own-module/go.mod":         {Data: []byte("module example.com/own")},
		"examples/own-module/main.go":        {Data: []byte("package main\nimport _ \"example.com/anything\"")},
	}
	got, files, err := theLaw().check(tree)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 0 {
		t.Errorf("got breaches %q, want none", got)
	}
	if files != 4 {
		t.Errorf("read %d files, want 4", files)
	}
}

// TestLawIsSound holds every name in the table to be a room.
func TestLawIsSound(t *testing.T) {
	t.Parallel()
	l := theLaw()
	known := func(name string) bool {
		tree, all := strings.CutSuffix(name, "/...")
		if _, ok := l.rooms[tree]; ok {
			return true
		}
		for r := range l.rooms {
			if all && under(r, tree) {
				return true
			}
		}
		return false
	}
	for name, r := range l.rooms {
		for _, other := range slices.Concat(r.may, r.tests) {
			if !known(other) {
				t.Errorf("room %s names %s, which is no room", name, other)
			}
		}
	}
	for m, owners := range l.modules {
		for _, o := range owners {
			if o != "*" && !known(o) {
				t.Errorf("module %s names %s, which is no room", m, o)
			}
		}
	}
}
