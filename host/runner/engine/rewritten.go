package engine

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"opsconductor.dev/host/registry/wasmfile"
)

// rewrittenFrom is the size of an artifact from which on what it was rewritten to
// is kept: a smaller one is rewritten in no time.
const rewrittenFrom = 64 << 10

// rewritten is a module as it is compiled, with what is known of the artifact and
// of what was done to it. In a file a SHA-256 of the rest comes first, then the
// length of the JSON in four bytes, the JSON, and the module.
type rewritten struct {
	File *wasmfile.File
	Info wasmfile.Info
	wasm []byte
}

// rewrite parses and checks an artifact and rewrites it, or takes what it was
// rewritten to before from the folder of the cache. Such a file is named by
// everything that it depends on, and is read only as it was written: a spoilt one
// is made anew. It is trusted as the compiled code beside it is: whoever can write
// there can run code in the host.
func (c *compiled) rewrite(wasm []byte) ([]byte, error) {
	path := c.rewrittenPath(wasm)
	if path != "" {
		if r, err := readRewritten(path); err == nil {
			c.file, c.info = r.File, r.Info
			c.engine.used(path)
			return r.wasm, c.checkImports()
		} else if !errors.Is(err, os.ErrNotExist) {
			c.engine.settings.Log.Warn("a file of the plugin cache is spoilt and is made anew", slog.String("path", path), slog.Any("error", err))
		}
	}
	out, err := c.rewriteAnew(wasm)
	if err != nil {
		return nil, err
	}
	if path != "" {
		if err := (rewritten{c.file, c.info, out}).write(path); err != nil {
			c.engine.settings.Log.Warn("a rewritten plugin cannot be kept", slog.String("path", path), slog.Any("error", err))
		}
		c.engine.sweep(filepath.Dir(path), time.Now())
	}
	return out, nil
}

func (c *compiled) rewriteAnew(wasm []byte) (out []byte, err error) {
	if c.file, err = wasmfile.Parse(wasm, c.engine.settings.Module); err != nil {
		return nil, err
	}
	if err := c.checkImports(); err != nil {
		return nil, err
	}
	out, c.info, err = c.engine.driver.rewrite(c, wasm)
	return out, err
}

// rewrittenPath is where the result is kept; "": nowhere.
func (c *compiled) rewrittenPath(wasm []byte) string {
	s := c.engine.settings
	keeps, ok := c.engine.driver.(interface {
		rewriteOptions(s Settings) wasmfile.Options
	})
	if !ok || s.CacheDir == "" || len(wasm) < rewrittenFrom {
		return ""
	}
	h := sha256.New()
	fmt.Fprintf(h, "%d %d %+v %+v\n", wasmfile.InstrumentVersion, len(wasm), s.Module, keeps.rewriteOptions(s))
	h.Write(wasm)
	return filepath.Join(s.CacheDir, "rewritten", hex.EncodeToString(h.Sum(nil)))
}

func readRewritten(path string) (rewritten, error) {
	b, err := readBounded(path)
	if err != nil {
		return rewritten{}, err
	}
	const head = sha256.Size + 4
	if len(b) < head {
		return rewritten{}, errors.New("the file is cut")
	}
	if sum := sha256.Sum256(b[sha256.Size:]); !bytes.Equal(sum[:], b[:sha256.Size]) {
		return rewritten{}, errors.New("the file is not what was written")
	}
	n, rest := int(binary.LittleEndian.Uint32(b[sha256.Size:])), b[head:]
	if n > len(rest) {
		return rewritten{}, errors.New("the file is cut")
	}
	var r rewritten
	if err := json.Unmarshal(rest[:n], &r); err != nil {
		return rewritten{}, fmt.Errorf("decode what is known of the module: %w", err)
	}
	if r.File == nil {
		return rewritten{}, errors.New("nothing is known of the module")
	}
	r.wasm = rest[n:]
	return r, nil
}

// readBounded reads a file of at most 512 MiB.
func readBounded(path string) ([]byte, error) {
	const most = 512 << 20
	f, err := os.Open(path) //nolint:gosec // a name that the host made, in its own folder
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // it is only read
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() > most {
		return nil, fmt.Errorf("the file has %d bytes", info.Size())
	}
	b := make([]byte, info.Size())
	_, err = io.ReadFull(f, b)
	return b, err
}

// write puts the file in place in one step, so that nobody reads half of one.
func (r rewritten) write(path string) error {
	known, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode what is known of the module: %w", err)
	}
	rest := binary.LittleEndian.AppendUint32(make([]byte, 0, 4+len(known)+len(r.wasm)), uint32(len(known)))
	rest = append(append(rest, known...), r.wasm...)
	sum := sha256.Sum256(rest)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), "new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) //nolint:errcheck // it has its own name by then
	_, err = f.Write(sum[:])
	if err == nil {
		_, err = f.Write(rest)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
