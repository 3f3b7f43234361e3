package wasmtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// ErrNoToolchain says that the tools to build a guest are not there
// (scripts/setup.sh installs them).
var ErrNoToolchain = errors.New("the toolchain is not installed")

// assemblyScript is where scripts/setup.sh puts the compiler, under the root.
const assemblyScript = ".cache/tools/assemblyscript/node_modules/.bin/asc"

// Compile builds a guest from one source file for the language of its extension:
// .c with Debian's clang and wasi-libc, .rs with Debian's rustc and without a
// standard library, .ts with AssemblyScript's compiler. root is the repository's.
func Compile(ctx context.Context, root, source string) ([]byte, error) {
	dir, err := os.MkdirTemp("", "wasmtest")
	if err != nil {
		return nil, fmt.Errorf("make a folder for the guest: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	out := filepath.Join(dir, "guest.wasm")
	args, err := command(root, source, out)
	if err != nil {
		return nil, err
	}
	if _, err := exec.LookPath(args[0]); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoToolchain, err)
	}
	if msg, err := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build the guest %s: %w\n%s", source, err, msg)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		return nil, fmt.Errorf("read the guest: %w", err)
	}
	return b, nil
}

func command(root, source, out string) ([]string, error) {
	switch filepath.Ext(source) {
	case ".c":
		if _, err := os.Stat("/usr/include/wasm32-wasi"); err != nil {
			return nil, fmt.Errorf("%w: wasi-libc: %w", ErrNoToolchain, err)
		}
		return []string{
			"clang", "--target=wasm32-wasi", "--sysroot=/usr", "-O2", "-mexec-model=reactor",
			"-Wl,--no-entry,--strip-all", "-o", out, source,
		}, nil
	case ".rs":
		return []string{
			"/usr/bin/rustc", "--target", "wasm32-unknown-unknown", "--crate-type=cdylib", "-O", "-C", "panic=abort",
			"-C", "strip=symbols", "-o", out, source,
		}, nil
	case ".ts":
		return []string{
			filepath.Join(root, assemblyScript), source, "-O", "--runtime", "incremental", "--use", "abort=", "--exportStart", "_initialize", "-o", out,
		}, nil
	}
	return nil, fmt.Errorf("no toolchain for %s", source)
}
