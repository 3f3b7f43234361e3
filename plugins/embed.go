// Package plugins holds the plugins that come with the host: their source, a
// folder each, and their artifacts, embedded from dist. Run go run
// ./plugins/build (or make plugins) to build these; without it the package
// compiles all the same and has none.
package plugins

import (
	"embed"
	"fmt"
	"io/fs"
	"path"
	"strings"
)

//go:embed all:dist
var dist embed.FS

// Builtin returns the artifacts of the built-in plugins by name ("linux"): .wasm
// files with their manifests in them. It is empty when they weren't built. The
// map and its bytes are the caller's.
func Builtin() (map[string][]byte, error) {
	artifacts := map[string][]byte{}
	files, err := fs.Glob(dist, "dist/*.wasm")
	if err != nil {
		return nil, fmt.Errorf("list the built-in plugins: %w", err)
	}
	for _, file := range files {
		b, err := dist.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("read a built-in plugin: %w", err)
		}
		artifacts[strings.TrimSuffix(path.Base(file), ".wasm")] = b
	}
	return artifacts, nil
}
