// Command build builds the built-in plugins: each folder beside it that has a
// plugin.json becomes dist/NAME.wasm, its manifest embedded. The same source and
// the same Go release give the same bytes. Run it from the root of the
// repository, or name the plugins' folder:
//
//	go run ./plugins/build [-plugins plugins] [-out plugins/dist] [NAME…]
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:])
	stop()
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "build plugins:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("build", flag.ContinueOnError)
	root := flags.String("plugins", "plugins", "folder with a folder for each plugin")
	out := flags.String("out", "", "folder for the .wasm files (default: dist in the plugins' folder)")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *out == "" {
		*out = filepath.Join(*root, "dist")
	}
	names := flags.Args()
	if len(names) == 0 {
		found, err := List(*root)
		if err != nil {
			return err
		}
		names = found
	}
	return All(ctx, *root, *out, names, runtime.NumCPU())
}
