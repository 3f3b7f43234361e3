package wasmfile

// unreached stands for a stretch of code that nothing reaches.
const unreached = -1

// Bounds of what a stretch takes over from those that follow it, see settle.
const (
	smallStretch  = 16
	largestPrefix = 32
)

// stretch is a part of a function that is executed from its beginning to its end,
// if no trap ends it: instructions between branches and the places where branches
// come together, not always side by side. Its fuel is charged where it begins.
type stretch struct {
	at     int // offset in the body where it begins
	parent int // the stretch that is always executed before
	cost   int // units of fuel, one an instruction
	taken  int // of these, taken over from stretches that need not follow
	inside int // the stretch of the innermost loop around, of a loop the one further out
	loop   bool
	target bool // of a loop: something branches back
	calls  bool
	called bool // of a loop: something in it calls
	gone   bool // charged with the parent
	deep   bool // the frame is counted from the beginning on
	checks bool // looks whether there is fuel left
	// level is how many controls are open around a loop; root is the outermost loop
	// around, or itself, that keeps the fuel in a local: unreached if there is none.
	level, root int
}

// control is an open block, loop or if, or (the first) the function.
type control struct {
	dominator int  // the stretch that was left for it
	loop      int  // the stretch of its body, for a loop; unreached for others
	inside    int  // the stretch of the innermost loop around what is in it
	lowest    int  // the outermost label that is branched to from inside
	joins     bool // its label is branched to, or it is an if
	sets      int  // of locals, before it was opened
}

type editKind byte

const (
	editNone  editKind = iota
	editCall           // another function instead: call, or ref.func
	editDeep           // an instruction is put in: the frame is counted
	editBack           // and taken out again
	editQuery          // a call of a helper before the instruction
	editSwap           // a call of a helper instead of the instruction
	editEnter          // before a loop: the fuel goes to a local
	editLeave          // before a branch: the fuel goes back, if it leaves the loop
	editExit           // the end of a loop: the fuel goes back
)

// edit is a change of a body, apart from the charges.
type edit struct {
	kind    editKind
	at, end int // what is replaced; the same for what is put in
	index   int // of the function, or the helper; the loop's stretch
	level   int // of editLeave: the outermost label that may be branched to
}

// meter finds the stretches and edits of one function; it is used again for the next.
type meter struct {
	in        *instrumenter
	frame     int // known from the first walk: 0 there
	stretches []stretch
	controls  []control
	edits     []edit
	current   int
	flow      int // the loop that the function flows into before it calls, or unreached
	line      int // the stretch with which this straight line begins, or unreached
	back      int // the last edit of kind editBack in this straight line, or -1

	indirect, bulk bool
	local          bool // some loop keeps the fuel in a local
	loops, slots   int
	sets, locals   int // of locals; parameters and locals
}

func (m *meter) reset(at, frame int) {
	*m = meter{in: m.in, frame: frame, stretches: m.stretches[:0], controls: m.controls[:0], edits: m.edits[:0], flow: unreached, back: -1}
	m.current = 0
	m.stretches = append(m.stretches, stretch{at: at, parent: unreached, inside: unreached, root: unreached})
	m.controls = append(m.controls, control{loop: unreached, inside: unreached})
}

// begin starts a stretch that follows parent under some condition.
func (m *meter) begin(at, parent int) int {
	if parent == unreached {
		return unreached
	}
	m.stretches = append(m.stretches, stretch{at: at, parent: parent, inside: m.inside(), root: unreached})
	return len(m.stretches) - 1
}

// inside is the stretch of the innermost loop that is open.
func (m *meter) inside() int { return m.controls[len(m.controls)-1].inside }

func (m *meter) charge(units int) {
	if m.current != unreached {
		m.stretches[m.current].cost += units
	}
}

// step takes the instruction that c read last.
func (m *meter) step(c *code) {
	if op := c.now.op; op > 0x0f || op < 0x02 && op != 0x00 {
		m.plain(c)
		return
	}
	m.control(c)
	m.back, m.line = -1, unreached
	if m.current != unreached && m.stretches[m.current].at == c.pos {
		m.line = m.current
	}
}

func (m *meter) control(c *code) {
	switch c.now.op {
	case 0x02, 0x03, 0x04:
		m.open(c)
	case 0x05: // else
		m.current = m.begin(c.pos, m.controls[len(m.controls)-1].dominator)
	case 0x0b:
		m.close(c)
	case 0x0c, 0x0d, 0x0e, 0x0f:
		m.leave(c)
	case 0x00:
		m.charge(1)
		m.current = unreached
	}
}

func (m *meter) open(c *code) {
	if c.now.block >= 0 && c.now.block >= int64(m.in.types) {
		c.fail("type %d does not exist", c.now.block)
	}
	top := control{dominator: m.current, loop: unreached, inside: m.inside(), lowest: len(m.controls), joins: c.now.op == 0x04, sets: m.sets}
	switch c.now.op {
	case 0x03:
		top.loop = m.begin(c.pos, m.current)
		if m.current == 0 && m.flow == unreached && !m.stretches[0].calls {
			m.flow = top.loop
		}
		if top.loop != unreached {
			m.current, top.inside = top.loop, top.loop
			m.stretches[top.loop].loop, m.stretches[top.loop].level = true, len(m.controls)
			m.edits = append(m.edits, edit{kind: editEnter, at: c.now.at, end: c.now.at, index: top.loop})
		}
	case 0x04:
		m.charge(1)
		m.current = m.begin(c.pos, m.current)
	}
	m.controls = append(m.controls, top)
}

func (m *meter) close(c *code) {
	last := len(m.controls) - 1
	top := m.controls[last]
	m.controls = m.controls[:last]
	if last == 0 {
		return
	}
	if top.joins { // each local that is set inside may be another value from here on
		m.slots += min(m.sets-top.sets, m.locals)
	}
	m.controls[last-1].lowest = min(m.controls[last-1].lowest, top.lowest)
	if top.loop != unreached {
		m.edits = append(m.edits, edit{kind: editExit, at: c.now.at, end: c.pos, index: top.loop})
	}
	m.current = top.dominator
	if top.lowest < last { // something inside may leave for further out
		m.current = m.begin(c.pos, top.dominator)
	}
}

// leave takes br, br_if, br_table and return.
func (m *meter) leave(c *code) {
	m.charge(1)
	to := len(m.controls)
	switch c.now.op {
	case 0x0c, 0x0d:
		to = m.branch(c, c.now.a)
	case 0x0e:
		for _, l := range c.now.labels {
			to = min(to, m.branch(c, l))
		}
	case 0x0f:
		to = m.branch(c, uint32(len(m.controls)-1))
	}
	if in := m.inside(); in != unreached && m.current != unreached {
		m.edits = append(m.edits, edit{editLeave, c.now.at, c.now.at, in, to})
	}
	if c.now.op != 0x0d {
		m.current = unreached
		return
	}
	m.current = m.begin(c.pos, m.current)
}

// branch notes a branch and returns how many controls are open around its label.
func (m *meter) branch(c *code, label uint32) int {
	if uint64(label) >= uint64(len(m.controls)) {
		c.fail("a branch to %d, where only %d labels are open", label, len(m.controls))
		return 0
	}
	to := len(m.controls) - 1 - int(label)
	if m.current == unreached {
		return to
	}
	top := &m.controls[len(m.controls)-1]
	top.lowest = min(top.lowest, to)
	m.controls[to].joins = true
	if l := m.controls[to].loop; l != unreached && !m.stretches[l].target {
		m.stretches[l].target = true
		m.loops++
	}
	return to
}

// plain takes an instruction that passes on to the next one.
func (m *meter) plain(c *code) {
	m.slots += slots(c.now)
	switch op := c.now.op; op {
	case 0x01: // nop
	case 0x21, 0x22: // local.set, local.tee
		m.sets++
		m.charge(1)
	case 0x10:
		m.call(c)
	case 0x11:
		if uint64(c.now.a) >= uint64(m.in.types) {
			c.fail("type %d does not exist", c.now.a)
			return
		}
		m.indirect = true
		m.slots += m.in.f.types[c.now.a].slots()
		m.charge(1 + indirectCost)
		m.count(c, edit{})
	case 0x23, 0x24:
		if uint64(c.now.a) >= uint64(m.in.first) {
			c.fail("global %d does not exist", c.now.a)
		}
		m.charge(1)
	case 0x40:
		m.swap(c, helperGrow)
	case 0xd2: // ref.func
		m.in.take(c.reader, c.now.a)
		m.edits = append(m.edits, edit{kind: editCall, at: c.now.at + 1, end: c.pos, index: m.in.shifted(c.now.a)})
		m.charge(1)
	case 0xfc:
		m.prefixed(c)
	default:
		m.charge(1)
	}
}

func (m *meter) call(c *code) {
	if uint64(c.now.a) >= uint64(len(m.in.f.funcs)) {
		c.fail("function %d does not exist", c.now.a)
		return
	}
	e := edit{kind: editCall, at: c.now.at + 1, end: c.pos, index: m.in.shifted(c.now.a)}
	m.slots += m.in.f.types[m.in.f.funcs[c.now.a]].slots()
	callee := m.in.callees[c.now.a]
	m.charge(1 + callee.prefix)
	if callee.light { // an import, or a function that calls nothing and is small
		m.edits = append(m.edits, e)
		m.calls()
		return
	}
	m.count(c, e)
}

func (m *meter) calls() {
	if m.current != unreached {
		m.stretches[m.current].calls = true
	}
}

// count adds a call under which the stack may grow: the frame counts from the
// first one in a straight line to the last.
func (m *meter) count(c *code, call edit) {
	m.calls()
	if m.current == unreached {
		m.edits = append(m.edits, call)
		return
	}
	switch {
	case m.back >= 0:
		m.edits[m.back].kind = editNone
	case m.line == m.current:
		m.charge(m.frame / frameBytesPerUnit)
		m.stretches[m.current].deep = true
	default:
		m.charge(m.frame / frameBytesPerUnit)
		m.edits = append(m.edits, edit{kind: editDeep, at: c.now.at, end: c.now.at})
	}
	m.edits = append(m.edits, call, edit{kind: editBack, at: c.pos, end: c.pos})
	m.back = len(m.edits) - 1
}

func (m *meter) swap(c *code, h helper) {
	m.bulk = true
	m.charge(1)
	m.calls()
	m.in.helpers[h] = true
	for _, b := range c.b[c.now.at+1 : c.pos] {
		if c.now.op == 0x40 && b != 0 {
			c.fail("memory %d does not exist", b)
		}
	}
	m.edits = append(m.edits, edit{kind: editSwap, at: c.now.at, end: c.pos, index: int(h)})
}

func (m *meter) query(c *code, h helper) {
	m.bulk = true
	m.charge(1)
	m.calls()
	m.in.helpers[h] = true
	m.edits = append(m.edits, edit{kind: editQuery, at: c.now.at, end: c.now.at, index: int(h)})
}

// prefixed takes an instruction after 0xfc.
func (m *meter) prefixed(c *code) {
	switch c.now.sub {
	case 8: // memory.init
		m.query(c, helperBytes)
	case 10, 11: // memory.copy, memory.fill
		if c.pos-c.now.at != 14-int(c.now.sub) || c.now.a != 0 || c.now.b != 0 {
			c.fail("a memory other than the first does not exist")
			return
		}
		m.swap(c, helperCopy+helper(c.now.sub-10))
	case 12, 14, 15, 17: // table.init, table.copy, table.grow, table.fill
		m.query(c, helperElements)
	default:
		m.charge(1)
	}
}
