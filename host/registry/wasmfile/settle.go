package wasmfile

// callee is what callers of a function have to know of it.
type callee struct {
	// prefix is charged by direct callers: what the function executes before it
	// calls, loops or goes on to something long. It is not charged by itself then.
	prefix int
	own    bool // the prefix is charged in the function
	// light: a call needs no room on the stack that counts: an import, or a function
	// that is all prefix.
	light bool
}

// total is the fuel that is charged where the stretch begins.
func (s *stretch) total() int { return s.cost + s.taken }

// settle decides where fuel is charged. A small stretch is charged with the one
// before it, as long as that does not become dearer than by a half or by two small
// ones: so what is charged stays in proportion to what is executed. It returns
// what the callers are to know if the function is called directly only.
func (m *meter) settle() callee {
	m.keep()
	for i := len(m.stretches) - 1; i > 0; i-- {
		s := &m.stretches[i]
		p := &m.stretches[s.parent]
		switch {
		case s.loop && s.target:
		case s.loop: // nothing branches back: a block
			p.cost += s.cost
			p.taken += s.taken
			p.calls = p.calls || s.calls
			s.gone = true
			if m.flow == i {
				m.flow = unreached
			}
		case s.total() <= smallStretch && p.taken+s.total() <= max(2*smallStretch, p.cost/2) && (!s.calls || p.calls):
			p.taken += s.total()
			s.gone = true
		}
	}
	first := &m.stretches[0]
	if first.calls || first.total() > largestPrefix {
		return callee{own: true}
	}
	light := !m.bulk && m.slots <= 4*largestPrefix
	for _, s := range m.stretches[1:] {
		light = light && (s.gone || s.total() == 0) && !s.calls
	}
	return callee{prefix: first.total(), light: light}
}

// place decides which charges look whether fuel is left: loops, and the first
// charge on each way through the function that comes before all loops.
func (m *meter) place(own bool) {
	covered := make([]bool, len(m.stretches))
	for i := range m.stretches {
		s := &m.stretches[i]
		switch {
		case i == 0:
			s.gone = !own
			s.checks = own && m.flow == unreached
			covered[i] = s.checks
			continue
		case m.flow != unreached && i >= m.flow:
			covered[i] = true
		default:
			covered[i] = covered[s.parent]
		}
		if s.gone || s.total() == 0 {
			continue
		}
		s.checks = s.loop || !covered[i]
		covered[i] = true
	}
}

// keep finds the loops that keep the fuel in a local: those in which nothing calls.
// A global would be read and written in memory in each turn.
func (m *meter) keep() {
	for i := len(m.stretches) - 1; i >= 0; i-- {
		s := &m.stretches[i]
		if s.inside != unreached {
			in := &m.stretches[s.inside]
			in.called = in.called || s.calls || s.called
		}
		s.called = s.called || s.calls
	}
	m.local = false
	for i := range m.stretches {
		s := &m.stretches[i]
		if s.inside != unreached {
			s.root = m.stretches[s.inside].root
		}
		if s.root == unreached && s.loop && s.target && !s.called {
			s.root = i
			m.local = true
		}
	}
}
