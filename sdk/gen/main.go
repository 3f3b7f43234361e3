// Command gen writes what the SDKs share with the host: the types and stubs of
// the host functions and the error codes, from schemas/hostfuncs. Run it through
// go generate ./sdk/...; its output is committed, and a test sees that the
// schemas and the output agree.
//
// The Go rules: NAME.json becomes the method Name of step.Context with the types
// NameRequest and NameResult; other $defs become types that carry the function's
// name. A property that is not required is left out when it has its zero value;
// in a result, where its absence says something, a number or boolean is a
// pointer, and so is an object in a request. A string with contentEncoding base64 is bytes.
package main

import (
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	if err := write(filepath.Join("..", "..", "schemas"), filepath.Join("..", "go")); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

// write generates the Go SDK's files into its folder, and removes those of functions
// that are no more.
func write(schemas, folder string) error {
	functions, err := Load(os.DirFS(schemas))
	if err != nil {
		return err
	}
	files, err := Go(functions)
	if err != nil {
		return err
	}
	old, err := filepath.Glob(filepath.Join(folder, callFile("*")))
	if err != nil {
		return err
	}
	for _, path := range old {
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o644); err != nil {
			return err
		}
	}
	return nil
}
