package wasmfile

// A frame of wazero's compiler has a slot for every value that has to be kept in
// memory at some time; values do not share slots. The estimate counts what can
// become such a value.
const (
	frameBytes        = 64 // return address, saved registers, alignment
	slotBytes         = 8
	frameBytesPerUnit = 64 // the fuel that a frame costs, so that a slice of fuel bounds the stack's growth too
)

// slots is how many slots of eight bytes a value of the type takes.
func (t ValueType) slots() int {
	if t == v128 {
		return 2
	}
	return 1
}

func (t FuncType) slots() int {
	n := 0
	for _, side := range [][]ValueType{t.Params, t.Results} {
		for _, v := range side {
			n += v.slots()
		}
	}
	return n
}

// slots estimates how many slots the result of an instruction takes: a value that
// is new, and no constant.
func slots(i instruction) int {
	switch op := i.op; {
	case op == 0xfd:
		return 2
	case op >= 0x28 && op <= 0x35, op >= 0x45 && op <= 0xd2, op == 0xfc, op == 0x1b, op == 0x1c, op == 0x23, op == 0x25, op == 0x3f, op == 0x40:
		return 1
	}
	return 0
}
