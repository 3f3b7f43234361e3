// Command zonegen writes the names of the time zones that Go's own database has,
// a line each, sorted. It is run by go generate.
package main

import (
	"archive/zip"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "zonegen:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("usage: zonegen FILE")
	}
	root, err := exec.Command("go", "env", "GOROOT").Output() //nolint:noctx // a generator, run by hand
	if err != nil {
		return fmt.Errorf("ask for GOROOT: %w", err)
	}
	archive, err := zip.OpenReader(filepath.Join(strings.TrimSpace(string(root)), "lib", "time", "zoneinfo.zip"))
	if err != nil {
		return fmt.Errorf("open Go's time zones: %w", err)
	}
	defer archive.Close()
	var names []string
	for _, f := range archive.File {
		if !strings.HasSuffix(f.Name, "/") && f.Name != "Factory" { // Factory stands for a zone that was never set
			names = append(names, f.Name)
		}
	}
	slices.Sort(names)
	return os.WriteFile(args[0], []byte(strings.Join(names, "\n")+"\n"), 0o600) //nolint:gosec // the file that go generate names
}
