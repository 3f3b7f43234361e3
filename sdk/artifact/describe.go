package artifact

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// Module is what a plugin's module asks for and offers.
type Module struct {
	// HostFunctions are the names imported from extism:host/user, sorted: the
	// host functions that the plugin calls.
	HostFunctions []string
	// Functions are the names of the exported functions, sorted: the actions, and
	// what the toolchain adds.
	Functions []string
}

// hostModule is the import module of host functions.
const hostModule = "extism:host/user"

// Describe reads a module's imports and exports (5.5.5 and 5.5.10).
func Describe(wasm []byte) (Module, error) {
	var m Module
	var faults []error
	err := walk(wasm, func(s section) {
		r := reader{b: s.body}
		switch s.id {
		case 2:
			m.HostFunctions = append(m.HostFunctions, r.imports()...)
		case 7:
			m.Functions = append(m.Functions, r.exports()...)
		}
		if r.bad {
			faults = append(faults, fmt.Errorf("section at byte %d: %w", s.start, ErrTruncated))
		}
	})
	switch {
	case err != nil:
		return Module{}, err
	case len(faults) > 0:
		return Module{}, faults[0]
	}
	slices.Sort(m.HostFunctions)
	slices.Sort(m.Functions)
	m.HostFunctions = slices.Compact(m.HostFunctions)
	return m, nil
}

// reader reads what sections hold. After a fault bad is set and all reads give zero.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) number() uint64 {
	v, n := binary.Uvarint(r.b[:min(len(r.b), 10)])
	if n <= 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) byte() byte {
	if len(r.b) == 0 {
		r.bad = true
		return 0
	}
	c := r.b[0]
	r.b = r.b[1:]
	return c
}

func (r *reader) name() string {
	content, taken, err := sized(r.b)
	if err != nil {
		r.bad, r.b = true, nil
		return ""
	}
	r.b = r.b[taken:]
	return string(content)
}

func (r *reader) imports() (hostFunctions []string) {
	for n := r.number(); n > 0 && !r.bad; n-- {
		module, name, kind := r.name(), r.name(), r.byte()
		switch kind {
		case 0: // function: its type
			r.number()
			if module == hostModule && !r.bad {
				hostFunctions = append(hostFunctions, name)
			}
		case 1: // table: its elements' type and its limits
			r.byte()
			r.limits()
		case 2:
			r.limits()
		case 3: // global: its type and whether it changes
			r.byte()
			r.byte()
		case 4: // exception tag
			r.byte()
			r.number()
		default:
			r.bad = true
		}
	}
	return hostFunctions
}

func (r *reader) limits() {
	flags := r.byte()
	r.number()
	if flags&1 != 0 {
		r.number()
	}
}

func (r *reader) exports() (functions []string) {
	for n := r.number(); n > 0 && !r.bad; n-- {
		name, kind := r.name(), r.byte()
		r.number()
		if kind == 0 && !r.bad {
			functions = append(functions, name)
		}
	}
	return functions
}
