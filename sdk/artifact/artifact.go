// Package artifact puts a plugin's manifest into its WebAssembly module and
// reads it back. An artifact is one .wasm file; the manifest (JSON, see
// schemas/plugin.schema.json) is the content of its custom section
// opsconductor.plugin, which engines ignore and toolchains know nothing of.
//
// The package looks at the module's outer layer alone, the list of sections
// (WebAssembly Core Specification 5.5); whether the module inside is a valid
// one is not its question. Its functions are pure, have no memory of their own,
// and never read past what they were given: they are safe on hostile bytes and
// for concurrent use.
package artifact

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// Section is the custom section's name.
const Section = "opsconductor.plugin"

// The reasons why bytes are not an artifact. Errors of this package wrap one of them.
var (
	ErrNotWasm    = errors.New("not a WebAssembly module")
	ErrComponent  = errors.New("a WebAssembly component, not a core module")
	ErrTruncated  = errors.New("the module ends in the middle of a section")
	ErrNoManifest = errors.New("the module has no custom section " + Section)
	ErrTwice      = errors.New("the module has more than one custom section " + Section)
)

// section is one section as it lies in the module: body is its payload, and
// [start, end) all of it with its header.
type section struct {
	id         byte
	name       string // of a custom section
	body       []byte
	start, end int
}

// Read returns the manifest in a module. It shares the module's memory. No
// manifest is ErrNoManifest, two are ErrTwice.
func Read(wasm []byte) ([]byte, error) {
	var manifest []byte
	found := 0
	err := walk(wasm, func(s section) {
		if s.id == 0 && s.name == Section {
			manifest = s.body
			found++
		}
	})
	switch {
	case err != nil:
		return nil, err
	case found == 0:
		return nil, ErrNoManifest
	case found > 1:
		return nil, ErrTwice
	}
	return manifest, nil
}

// Embed returns a copy of the module with the manifest in its custom section,
// as the last section; a manifest that was there before is replaced. The
// manifest's bytes are taken as they are.
func Embed(wasm, manifest []byte) ([]byte, error) {
	out := make([]byte, 0, len(wasm)+len(manifest)+len(Section)+16)
	kept := 0
	err := walk(wasm, func(s section) {
		if s.id == 0 && s.name == Section {
			out = append(out, wasm[kept:s.start]...)
			kept = s.end
		}
	})
	if err != nil {
		return nil, err
	}
	out = append(out, wasm[kept:]...)
	body := binary.AppendUvarint(nil, uint64(len(Section)))
	body = append(body, Section...)
	out = append(out, 0)
	out = binary.AppendUvarint(out, uint64(len(body)+len(manifest)))
	return append(append(out, body...), manifest...), nil
}

// walk calls visit for every section of a module, in order.
func walk(wasm []byte, visit func(section)) error {
	if err := header(wasm); err != nil {
		return err
	}
	for at := 8; at < len(wasm); {
		s := section{id: wasm[at], start: at}
		body, taken, err := sized(wasm[at+1:])
		if err != nil {
			return fmt.Errorf("section at byte %d: %w", at, err)
		}
		s.body, s.end = body, at+1+taken
		if s.id == 0 {
			name, taken, err := sized(body)
			if err != nil {
				return fmt.Errorf("name of the custom section at byte %d: %w", at, err)
			}
			s.name, s.body = string(name), body[taken:]
		}
		visit(s)
		at = s.end
	}
	return nil
}

// header checks the magic number and the version (5.5.16). A component has
// another version and layer in the same eight bytes.
func header(wasm []byte) error {
	if len(wasm) < 8 || !bytes.Equal(wasm[:4], []byte("\x00asm")) {
		return ErrNotWasm
	}
	switch {
	case binary.LittleEndian.Uint16(wasm[6:]) == 1:
		return ErrComponent
	case binary.LittleEndian.Uint32(wasm[4:]) != 1:
		return fmt.Errorf("%w of version 1", ErrNotWasm)
	}
	return nil
}

// sized reads a length (LEB128 of at most 32 bits, 5.2.2) and that many bytes:
// those, and how many bytes both took.
func sized(b []byte) (content []byte, taken int, err error) {
	length, n := binary.Uvarint(b[:min(len(b), 5)])
	if n <= 0 || length > uint64(len(b)-n) {
		return nil, 0, ErrTruncated
	}
	taken = n + int(length)
	return b[n:taken], taken, nil
}
