package wasmfile

// code walks the instructions of one function (WebAssembly Core Specification
// 2.0, section 5.4), counting blocks and depth.
type code struct {
	*reader
	limits                         Limits
	depth, deepest, blocks, locals int

	// branched: a branch or a call was seen, so that what follows may not be
	// reached; calls: the function calls; guarded: a loop is reached before that.
	branched, calls, guarded bool
	// lasting: it changes a table, or drops a segment.
	lasting bool
	body    body
}

// body is a function in the code section, for rewriting: from its size to its
// end, where its instructions begin, and before which of them a checkpoint
// belongs. All are offsets in the file.
type body struct {
	start, code, end int
	checkpoints      []int
}

// function reads the local declarations and the body.
func (c *code) function() {
	total := uint64(0)
	for n := c.count("groups of locals", c.limits.Locals); n > 0 && c.err == nil; n-- {
		total += uint64(c.u32())
		c.byte()
		if total > uint64(c.limits.Locals) {
			c.limit("locals in one function", total, uint64(c.limits.Locals))
		}
	}
	c.locals = int(total)
	c.body.code = c.base + c.pos
	c.expression()
	if c.calls && !c.guarded {
		c.body.checkpoints = append([]int{c.body.code}, c.body.checkpoints...)
	}
	if c.err == nil && c.pos != len(c.b) {
		c.fail("bytes are left over after a function's end")
	}
}

// expression reads instructions to the end that closes it.
func (c *code) expression() {
	for c.depth = 1; c.depth > 0 && c.err == nil; {
		c.instruction(c.byte())
	}
}

func (c *code) open() {
	c.sleb(33)
	c.depth++
	c.deepest = max(c.deepest, c.depth-1)
	c.block()
	if c.depth-1 > c.limits.Nesting {
		c.limit("blocks inside each other", uint64(c.depth-1), uint64(c.limits.Nesting))
	}
}

// block counts what makes compiling slower than linear: blocks, and the
// checkpoints that Tame adds.
func (c *code) block() {
	c.blocks++
	if c.blocks > c.limits.Blocks {
		c.limit("blocks in one function", uint64(c.blocks), uint64(c.limits.Blocks))
	}
}

// follow keeps track of whether a loop is reached before anything branches.
func (c *code) follow(op byte) {
	switch op {
	case 0x03:
		c.guarded = c.guarded || !c.branched
	case 0x26: // table.set
		c.lasting = true
	case 0x10, 0x11:
		c.calls, c.branched = true, true
	case 0x00, 0x04, 0x05, 0x0c, 0x0d, 0x0e, 0x0f:
		c.branched = true
	}
}

func (c *code) instruction(op byte) {
	c.follow(op)
	switch {
	case op >= 0x02 && op <= 0x04: // block, loop, if
		c.open()
	case op == 0x0b:
		c.depth--
	case op == 0x00 || op == 0x01 || op == 0x05 || op == 0x0f || op == 0x1a || op == 0x1b || op == 0xd1:
	case op == 0x0c || op == 0x0d || op == 0x10 || op == 0xd2 || op >= 0x20 && op <= 0x26: // one index
		c.u32()
	case op == 0x0e: // br_table
		for n := c.count("branches", len(c.b)) + 1; n > 0 && c.err == nil; n-- {
			c.u32()
		}
	case op == 0x11: // call_indirect
		c.u32()
		c.u32()
	case op == 0x1c: // select with types
		c.valueTypes()
	case op == 0xd0: // ref.null
		c.byte()
	case op >= 0x28 && op <= 0x3e: // loads and stores
		c.u32()
		c.u32()
	case op == 0x3f || op == 0x40: // memory.size, memory.grow
		c.byte()
	case op == 0x41:
		c.sleb(32)
	case op == 0x42:
		c.sleb(64)
	case op == 0x43:
		c.skip(4)
	case op == 0x44:
		c.skip(8)
	case op >= 0x45 && op <= 0xc4: // numeric, without immediates
	case op == 0xfc:
		at := c.base + c.pos - 1
		c.bulk(c.u32(), at)
	case op == 0xfd:
		c.vector(c.u32())
	default:
		c.fail("instruction 0x%02x is not in WebAssembly 2.0", op)
	}
}

// bulk reads an operation on many bytes or elements, which gets a checkpoint.
func (c *code) bulk(op uint32, at int) {
	switch op {
	case 8, 10, 11, 12, 14, 15, 17:
		c.body.checkpoints = append(c.body.checkpoints, at)
		c.block()
	}
	switch op {
	case 9, 12, 13, 14, 15, 17: // all but memory.init, copy and fill, and table.size
		c.lasting = true
	}
	switch op {
	case 0, 1, 2, 3, 4, 5, 6, 7: // saturating truncations
	case 9, 11, 13, 15, 16, 17: // data.drop, memory.fill, elem.drop, table.grow, table.size, table.fill
		c.u32()
	case 8, 10, 12, 14: // memory.init, memory.copy, table.init, table.copy
		c.u32()
		c.u32()
	default:
		c.fail("instruction 0xfc %d is not in WebAssembly 2.0", op)
	}
}

func (c *code) vector(op uint32) {
	switch {
	case op <= 11 || op == 92 || op == 93: // loads, stores
		c.u32()
		c.u32()
	case op == 12 || op == 13: // v128.const, i8x16.shuffle
		c.skip(16)
	case op >= 21 && op <= 34: // lanes
		c.byte()
	case op >= 84 && op <= 91: // load and store lanes
		c.u32()
		c.u32()
		c.byte()
	case op <= 255:
	default:
		c.fail("instruction 0xfd %d is not in WebAssembly 2.0", op)
	}
}
