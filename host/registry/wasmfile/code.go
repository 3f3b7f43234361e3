package wasmfile

// code walks the instructions of one function (WebAssembly Core Specification
// 2.0, section 5.4), counting blocks and depth.
type code struct {
	*reader
	limits                         Limits
	depth, deepest, blocks, locals int
	slots                          int // of eight bytes, that the locals take
	now                            instruction

	// branched: a branch or a call was seen, so that what follows may not be
	// reached; calls: the function calls; guarded: a loop is reached before that.
	branched, calls, guarded bool
	// lasting: it changes a table, or drops a segment.
	lasting bool
	body    body
}

// instruction is the one that was read last.
type instruction struct {
	op byte
	// sub is the number after the prefixes 0xfc and 0xfd; a and b are the first
	// index immediates (a block's type, a memory access' offset and alignment too).
	sub, a, b uint32
	at        int      // offset in the reader's bytes, of op
	block     int64    // the type of a block, loop or if: negative, or an index
	labels    []uint32 // of br_table; reused for the next one
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
	c.declarations()
	c.body.code = c.base + c.pos
	c.expression()
	if c.calls && !c.guarded {
		c.body.checkpoints = append([]int{c.body.code}, c.body.checkpoints...)
	}
	if c.err == nil && c.pos != len(c.b) {
		c.fail("bytes are left over after a function's end")
	}
}

func (c *code) declarations() {
	total := uint64(0)
	for n := c.count("groups of locals", c.limits.Locals); n > 0 && c.err == nil; n-- {
		same := uint64(c.u32())
		total += same
		c.slots += int(min(same, uint64(c.limits.Locals))) * ValueType(c.byte()).slots()
		if total > uint64(c.limits.Locals) {
			c.limit("locals in one function", total, uint64(c.limits.Locals))
		}
	}
	c.locals = int(total)
}

// expression reads instructions to the end that closes it.
func (c *code) expression() {
	for c.depth = 1; c.depth > 0 && c.err == nil; {
		c.next()
	}
}

// next reads one instruction.
func (c *code) next() {
	c.now = instruction{at: c.pos, labels: c.now.labels[:0]}
	c.now.op = c.byte()
	c.instruction(c.now.op)
}

func (c *code) open() {
	c.now.block = c.sleb(33)
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
		c.now.a = c.u32()
	case op == 0x0e: // br_table
		for n := c.count("branches", len(c.b)) + 1; n > 0 && c.err == nil; n-- {
			c.now.labels = append(c.now.labels, c.u32())
		}
	case op == 0x11: // call_indirect
		c.indexes()
	case op == 0x1c: // select with types
		c.valueTypes()
	case op == 0xd0: // ref.null
		c.byte()
	case op >= 0x28 && op <= 0x3e: // loads and stores
		c.indexes()
	case op == 0x3f || op == 0x40: // memory.size, memory.grow
		c.now.a = uint32(c.byte())
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
		c.now.sub = c.u32()
		c.bulk(c.now.sub, c.base+c.now.at)
	case op == 0xfd:
		c.now.sub = c.u32()
		c.vector(c.now.sub)
	default:
		c.fail("instruction 0x%02x is not in WebAssembly 2.0", op)
	}
}

// indexes reads two immediates.
func (c *code) indexes() { c.now.a, c.now.b = c.u32(), c.u32() }

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
		c.now.a = c.u32()
	case 8, 10, 12, 14: // memory.init, memory.copy, table.init, table.copy
		c.indexes()
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
