package wasmfile

// Parse reads a core module. Errors are *automation.Error with code bad_plugin:
// what is wrong, at which byte, and what to do.
func Parse(b []byte, l Limits) (*File, error) {
	if err := header(b, l); err != nil {
		return nil, err
	}
	f := &File{limits: l}
	r := &reader{b: b, pos: 8}
	last := 0
	for !r.done() {
		s := section{start: r.pos}
		s.id = r.byte()
		n := r.u32()
		at := r.pos
		body := r.skip(uint64(n))
		s.body, s.end = at, r.pos
		if r.err != nil {
			break
		}
		if s.id != 0 {
			rank := order(s.id)
			if rank <= last {
				r.fail("section %d is unknown, repeated or out of order", s.id)
				break
			}
			last = rank
		}
		in := &reader{b: body, base: at}
		f.section(in, &s)
		if in.err == nil && s.id != 0 && in.pos != len(body) {
			in.fail("bytes are left over in section %d", s.id)
		}
		if in.err != nil {
			return nil, in.err
		}
		f.sections = append(f.sections, s)
	}
	if r.err != nil {
		return nil, r.err
	}
	if f.bodies != f.defined {
		return nil, bad("build the plugin again", "the module declares %d functions but has %d bodies", f.defined, f.bodies)
	}
	f.Functions = f.defined
	return f, nil
}

func header(b []byte, l Limits) error {
	const rebuild = "upload the .wasm file that the toolchain wrote"
	switch {
	case len(b) == 0:
		return bad(rebuild, "the file is empty")
	case len(b) > l.Bytes:
		return bad("strip debug information (-ldflags='-s -w' for Go, --strip-all for C), or raise the host's upload limit",
			"the file has %d bytes, more than the limit of %d", len(b), l.Bytes)
	case len(b) < 4 || string(b[:4]) != "\x00asm":
		return bad(rebuild, "the file does not begin with the WebAssembly magic number: it is not a WebAssembly module")
	case len(b) < 8:
		return bad(rebuild, "the file is truncated: it ends inside the WebAssembly header")
	case b[6] == 1 && b[7] == 0:
		return bad("build a core module: for Go GOOS=wasip1 GOARCH=wasm -buildmode=c-shared, for Rust the target wasm32-unknown-unknown or wasm32-wasip1, without wasm-tools component new",
			"the file is a WebAssembly component, not a core module")
	case string(b[4:8]) != "\x01\x00\x00\x00":
		return bad("build for WebAssembly version 1", "the file has an unknown WebAssembly version")
	}
	return nil
}

// order gives the place of a section among the others (0: unknown); the data
// count section (12) stands before the code.
func order(id byte) int {
	switch {
	case id >= 1 && id <= 9:
		return int(id)
	case id == 12:
		return 10
	case id == 10 || id == 11:
		return int(id) + 1
	}
	return 0
}

func (f *File) section(r *reader, s *section) {
	switch s.id {
	case 0:
		s.name = r.name()
		s.body += r.pos
		f.customs = append(f.customs, *s)
		if len(f.customs) > 256 {
			r.limit("custom sections", uint64(len(f.customs)), 256)
		}
	case 1:
		f.typeSection(r)
	case 2:
		f.importSection(r)
	case 3:
		f.funcSection(r)
	case 4:
		f.Tables = f.extents(r, "tables", f.limits.Tables, true)
	case 5:
		f.Memories = f.extents(r, "memories", 1, false)
	case 6:
		f.globalSection(r)
	case 7:
		f.exportSection(r)
	case 8:
		f.HasStart = true
		r.u32()
	case 9:
		r.count("element segments", f.limits.Segments)
		r.skip(uint64(len(r.b) - r.pos))
	case 10:
		f.codeSection(r)
	case 11:
		f.DataBytes = len(r.b)
		r.count("data segments", f.limits.Segments)
		r.skip(uint64(len(r.b) - r.pos))
	case 12:
		r.u32()
	}
}

func (f *File) typeSection(r *reader) {
	for n := r.count("types", f.limits.Types); n > 0 && r.err == nil; n-- {
		if r.byte() != 0x60 {
			r.fail("a type is not a function type")
		}
		f.types = append(f.types, FuncType{Params: r.valueTypes(), Results: r.valueTypes()})
	}
}

func (r *reader) valueTypes() []ValueType {
	n := r.count("parameters or results", 1000)
	out := make([]ValueType, n)
	for i := range out {
		out[i] = ValueType(r.byte())
	}
	return out
}

func (f *File) typeAt(r *reader, i uint32) FuncType {
	if uint64(i) >= uint64(len(f.types)) {
		r.fail("type %d does not exist", i)
		return FuncType{}
	}
	return f.types[i]
}

func (f *File) importSection(r *reader) {
	for n := r.count("imports", f.limits.Imports); n > 0 && r.err == nil; n-- {
		im := Import{Module: r.name(), Name: r.name(), Kind: Kind(r.byte())}
		switch im.Kind {
		case Func:
			t := r.u32()
			im.Type = f.typeAt(r, t)
			f.funcs = append(f.funcs, t)
		case Table:
			r.byte()
			r.extent()
		case Memory:
			r.extent()
		case Global:
			r.skip(2)
		default:
			r.fail("an import of unknown kind %d", im.Kind)
		}
		f.Imports = append(f.Imports, im)
	}
}

func (f *File) funcSection(r *reader) {
	f.defined = r.count("functions", f.limits.Functions)
	for n := f.defined; n > 0 && r.err == nil; n-- {
		t := r.u32()
		f.typeAt(r, t)
		f.funcs = append(f.funcs, t)
	}
}

func (f *File) extents(r *reader, what string, limit int, table bool) []Extent {
	var out []Extent
	for n := r.count(what, limit); n > 0 && r.err == nil; n-- {
		if table {
			r.byte() // the element type
		}
		e := r.extent()
		if table && uint64(e.Min) > uint64(f.limits.TableElements) {
			r.limit("elements in a table", uint64(e.Min), uint64(f.limits.TableElements))
		}
		if !table && uint64(e.Min) > uint64(f.limits.MemoryPages) {
			r.limit("pages of memory at the start", uint64(e.Min), uint64(f.limits.MemoryPages))
		}
		out = append(out, e)
	}
	return out
}

func (r *reader) extent() Extent {
	flags := r.byte()
	if flags > 1 {
		r.fail("shared or 64-bit memories and tables are not supported")
		return Extent{}
	}
	e := Extent{Min: r.u32(), HasMax: flags == 1}
	if e.HasMax {
		e.Max = r.u32()
	}
	return e
}

func (f *File) globalSection(r *reader) {
	for n := r.count("globals", f.limits.Globals); n > 0 && r.err == nil; n-- {
		f.Globals = append(f.Globals, GlobalType{Type: ValueType(r.byte()), Mutable: r.byte() == 1})
		c := &code{reader: r, limits: f.limits}
		c.expression()
	}
}

func (f *File) exportSection(r *reader) {
	for n := r.count("exports", f.limits.Exports); n > 0 && r.err == nil; n-- {
		e := Export{Name: r.name(), Kind: Kind(r.byte())}
		i := r.u32()
		if e.Kind == Func {
			if uint64(i) >= uint64(len(f.funcs)) {
				r.fail("export %q is function %d, which does not exist", e.Name, i)
				return
			}
			e.Type = f.typeAt(r, f.funcs[i])
		}
		f.Exports = append(f.Exports, e)
	}
}

func (f *File) codeSection(r *reader) {
	f.CodeBytes = len(r.b)
	f.bodies = r.count("function bodies", f.limits.Functions)
	for n := f.bodies; n > 0 && r.err == nil; n-- {
		start := r.base + r.pos
		size := r.u32()
		if uint64(size) > uint64(f.limits.FunctionBytes) {
			r.limit("bytes in one function", uint64(size), uint64(f.limits.FunctionBytes))
			return
		}
		at := r.base + r.pos
		content := r.skip(uint64(size))
		if r.err != nil {
			return
		}
		f.LargestBody = max(f.LargestBody, int(size))
		c := &code{reader: &reader{b: content, base: at}, limits: f.limits}
		c.function()
		if c.err != nil {
			r.err = c.err
			return
		}
		c.body.start, c.body.end = start, at+int(size)
		f.code = append(f.code, c.body)
		f.Lasting = f.Lasting || c.lasting
		f.DeepestNesting = max(f.DeepestNesting, c.deepest)
		f.MostBlocks = max(f.MostBlocks, c.blocks)
		f.CompileCost += int64(c.blocks) * int64(c.blocks+c.locals)
		if f.CompileCost > f.limits.CompileCost {
			r.limit("units of compile cost (blocks times blocks and locals, summed over the functions)", uint64(f.CompileCost), uint64(f.limits.CompileCost))
			return
		}
		f.MostLocals = max(f.MostLocals, c.locals)
	}
}
