package attack_test

import (
	"bytes"
	"fmt"
	"slices"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/registry"
	"opsconductor.dev/host/registry/wasmfile/wasmtest"
)

// sections of a module that has one of each.
func sections() [][]byte {
	var b builder
	b.Import("extism:host/env", "alloc", "I>I")
	b.Table(1)
	b.Memory(1)
	b.Global(0x7f, zero)
	b.Elements(0, b.Func(">"))
	b.Action("run", zero...)
	b.Data(0, []byte("data"))
	b.Passive([]byte("more"))
	b.Custom(registry.Section, []byte(manifest))
	wasm := b.Bytes()[8:]
	var out [][]byte
	for len(wasm) > 0 {
		size, n := 0, 1
		for shift := 0; ; shift += 7 {
			c := wasm[n]
			n++
			size |= int(c&0x7f) << shift
			if c < 0x80 {
				break
			}
		}
		out = append(out, wasm[:n+size])
		wasm = wasm[n+size:]
	}
	return out
}

// file joins sections to a module.
func file(sections ...[]byte) []byte {
	return slices.Concat([]byte("\x00asm\x01\x00\x00\x00"), slices.Concat(sections...))
}

// body is the content of a section.
func body(section []byte) []byte {
	n := 1
	for section[n] >= 0x80 {
		n++
	}
	return section[n+1:]
}

func section(id byte, size uint64, content []byte) []byte {
	return slices.Concat([]byte{id}, wasmtest.U(size), content)
}

// lies say that a section is what it is not.
func lies() []attack {
	var out []attack
	whole := sections()
	for i, s := range whole {
		id, content := s[0], body(s)
		lie := func(name string, with []byte) {
			out = append(out, attack{
				family: "lie", name: fmt.Sprintf("section %d: %s", id, name), want: automation.CodeBadPlugin,
				raw: func() []byte { return file(slices.Concat(whole[:i]...), with, slices.Concat(whole[i+1:]...)) },
			})
		}
		n := uint64(len(content))
		lie("2^32-1 bytes", section(id, 1<<32-1, content))
		lie("a size of eleven bytes", slices.Concat([]byte{id}, bytes.Repeat([]byte{0x80}, 10), []byte{1}, content))
		lie("one byte less", section(id, n-1, content))
		if id != 0 {
			lie("one byte more", section(id, n+1, append(slices.Clone(content), 0)))
			lie("twice", slices.Concat(s, s))
			if id != 12 {
				lie("2^32-1 things", section(id, n+4, slices.Concat(wasmtest.U(1<<32-1), content[1:])))
				lie("one thing more", section(id, n, slices.Concat([]byte{content[0] + 1}, content[1:])))
			}
		}
	}
	for name, wasm := range map[string][]byte{
		"nothing":                {},
		"the magic alone":        []byte("\x00asm"),
		"version 2":              []byte("\x00asm\x02\x00\x00\x00"),
		"a component":            []byte("\x00asm\x0d\x00\x01\x00"),
		"text":                   []byte("(module)"),
		"an ELF file":            []byte("\x7fELF\x02\x01\x01\x00"),
		"section 13":             file(section(13, 0, nil)),
		"the last section first": file(slices.Concat(whole[len(whole)-2]), slices.Concat(whole[:len(whole)-2]...)),
		"half":                   file(whole...)[:150],
	} {
		out = append(out, attack{family: "lie", name: name, want: automation.CodeBadPlugin, raw: func() []byte { return wasm }})
	}
	return out
}
