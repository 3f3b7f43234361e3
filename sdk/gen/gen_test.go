package main_test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	gen "opsconductor.dev/sdk/gen"
)

// TestGeneratedFilesAreCurrent fails when a schema changed and go generate
// ./sdk/... was not run, or a generated file was edited.
func TestGeneratedFilesAreCurrent(t *testing.T) {
	t.Parallel()
	catalog, err := gen.Load(os.DirFS("../../schemas"))
	if err != nil {
		t.Fatal(err)
	}
	files, err := gen.Go(catalog)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join("..", "go", name))
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(string(want), string(got)); d != "" {
			t.Errorf("sdk/go/%s is not what the schemas say; run go generate ./sdk/... (-schemas +file):\n%s", name, d)
		}
	}
	there, err := filepath.Glob("../go/step/hostcall_*.go")
	if err != nil || len(there) == 0 {
		t.Fatalf("%d files of host functions, %v", len(there), err)
	}
	for _, path := range there {
		if files["step/"+filepath.Base(path)] == nil {
			t.Errorf("%s is of no function; run go generate ./sdk/...", path)
		}
	}
}

const (
	errorSchema = `{"title":"error","properties":{"code":{"enum":["denied","bad_request"]}}}`
	playSchema  = `{"title":"play_tcp","description":"Plays.","$defs":{
		"request":{"properties":{"b":{"type":"array","items":{"type":"string"}},"a":{"type":"object","additionalProperties":{"type":"integer"}}},"required":["b"]},
		"result":{"properties":{"n":{"type":"integer"},"data":{"type":"string","contentEncoding":"base64"},"song":{"$ref":"#/$defs/song"}},"required":["song"]},
		"song":{"properties":{"url":{"type":"string","description":"Where it is."}}}}}`
)

func tree(files map[string]string) fstest.MapFS {
	fs := fstest.MapFS{}
	for name, content := range files {
		fs["hostfuncs/"+name] = &fstest.MapFile{Data: []byte(content)}
	}
	return fs
}

func TestGo(t *testing.T) {
	t.Parallel()
	catalog, err := gen.Load(tree(map[string]string{"error.json": errorSchema, "play_tcp.json": playSchema}))
	if err != nil {
		t.Fatal(err)
	}
	files, err := gen.Go(catalog)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"step/codes_gen.go", "step/hostcall_play_tcp.go", "step/imports_native.go", "step/imports_wasip1.go", "steptest/fakes_gen.go"}
	if got := slices.Sorted(maps.Keys(files)); !slices.Equal(got, want) {
		t.Fatalf("got %q, want %q", got, want)
	}
	for name, parts := range map[string][]string{
		"step/codes_gen.go": {"BadRequest Code = \"bad_request\""},
		"step/hostcall_play_tcp.go": {
			"func (c *Context) PlayTCP(request PlayTCPRequest) (PlayTCPResult, error) {",
			"\tB []string       `json:\"b\"`\n\tA map[string]int `json:\"a,omitempty\"`", // the schema's order
			"\tN    *int        `json:\"n,omitempty\"`", "\tData []byte      `json:\"data,omitempty\"`", "\tSong PlayTCPSong `json:\"song\"`",
			"\t// Where it is.\n\tURL string `json:\"url,omitempty\"`",
		},
		"step/imports_wasip1.go": {"//go:wasmimport extism:host/user play_tcp\nfunc importPlayTCP(request uint64) (envelope uint64)"},
		"steptest/fakes_gen.go":  {`h.functions["play_tcp"] = answer(fake)`},
	} {
		for _, part := range parts {
			if !strings.Contains(string(files[name]), part) {
				t.Errorf("%s lacks %q:\n%s", name, part, files[name])
			}
		}
	}
}

func TestLoadAndGoRefuse(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ title, schema, want string }{
		"no JSON":         {"x.json", `{`, "hostfuncs/x.json"},
		"another title":   {"x.json", `{"title":"y"}`, `its title is "y", and must be "x"`},
		"type of no rule": {"x.json", `{"title":"x","$defs":{"request":{"properties":{"p":{"type":"null"}}}}}`, "request.p"},
		"array of what":   {"x.json", `{"title":"x","$defs":{"request":{"properties":{"p":{"type":"array"}}}}}`, "request.p"},
		"nothing":         {"ignored.txt", ``, "0 functions"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			catalog, err := gen.Load(tree(map[string]string{"error.json": errorSchema, c.title: c.schema}))
			if err == nil {
				_, err = gen.Go(catalog)
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
		})
	}
}
