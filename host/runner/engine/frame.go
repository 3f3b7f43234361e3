package engine

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"opsconductor.dev/host/automation"
)

// A frame is the unit of what a host and its sandbox process tell each other: a
// header (length of the payload, 4 bytes; kind, 1 byte; number of the call, 4
// bytes; all little-endian) and the payload.
type frame struct {
	kind    frameKind
	id      uint32
	payload []byte
}

type frameKind byte

// The frames. The host sends load once, and then call, answer, cancel and release;
// the process sends ready once, and then request, line and done.
const (
	frameLoad    frameKind = iota + 1 // settings and module
	frameReady                        // the module is compiled, or why not
	frameCall                         // run an export; the first of an instance makes it
	frameRequest                      // a call of a host function
	frameAnswer                       // its envelope
	frameLine                         // a line of the guest's log
	frameDone                         // the call's end
	frameCancel                       // stop the call
	frameRelease                      // the instance is not used any more
)

const frameHeader = 9

// frameSlack is what a frame may have beside the bytes that a limit bounds, and
// lineBytes what a line of a guest's log may have.
const (
	frameSlack = 16 << 10
	lineBytes  = 256 << 10
)

var errFrame = errors.New("a frame is malformed")

// appendFrame appends a frame whose payload is made of parts.
func appendFrame(b []byte, kind frameKind, id uint32, parts ...[]byte) []byte {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	b = binary.LittleEndian.AppendUint32(b, uint32(n))
	b = append(b, byte(kind))
	b = binary.LittleEndian.AppendUint32(b, id)
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

// readFrame reads a frame. most says how long the payload of a kind and call may
// be; memory is taken as bytes come in, not as the header claims.
func readFrame(r io.Reader, most func(kind frameKind, id uint32) (int, error)) (frame, error) {
	var h [frameHeader]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return frame{}, err
	}
	n := binary.LittleEndian.Uint32(h[:])
	f := frame{kind: frameKind(h[4]), id: binary.LittleEndian.Uint32(h[5:])}
	limit, err := most(f.kind, f.id)
	if err != nil {
		return f, err
	}
	if uint64(n) > uint64(limit) {
		return f, fmt.Errorf("%w: frame %d has %d bytes, more than %d", errFrame, f.kind, n, limit)
	}
	const step = 1 << 20
	for len(f.payload) < int(n) {
		at := len(f.payload)
		f.payload = append(f.payload, make([]byte, min(int(n)-at, max(step, at)))...)
		if _, err := io.ReadFull(r, f.payload[at:]); err != nil {
			return f, err
		}
	}
	return f, nil
}

// fields appends byte strings, each after its length.
func fields(b []byte, fs ...[]byte) []byte {
	for _, f := range fs {
		b = binary.AppendUvarint(b, uint64(len(f)))
		b = append(b, f...)
	}
	return b
}

// unpack reads numbers and byte strings; after the first error it reads zeros.
type unpack struct {
	b   []byte
	bad bool
}

func (u *unpack) number() int64 {
	v, n := binary.Varint(u.b)
	if n <= 0 {
		u.bad, u.b = true, nil
		return 0
	}
	u.b = u.b[n:]
	return v
}

func (u *unpack) bytes() []byte {
	v, n := binary.Uvarint(u.b)
	if n <= 0 || v > uint64(len(u.b)-n) {
		u.bad, u.b = true, nil
		return nil
	}
	f := u.b[n : n+int(v)]
	u.b = u.b[n+int(v):]
	return f
}

// end is an error unless everything was read.
func (u *unpack) end(kind frameKind) error {
	if u.bad || len(u.b) > 0 {
		return fmt.Errorf("%w: the payload of frame %d", errFrame, kind)
	}
	return nil
}

func numbers(ns ...int64) []byte {
	var b []byte
	for _, n := range ns {
		b = binary.AppendVarint(b, n)
	}
	return b
}

// callFrame is what frameCall carries.
type callFrame struct {
	limits Limits
	export string
	input  []byte
}

func (c callFrame) encode() []byte {
	l := c.limits
	b := numbers(l.MemoryBytes, int64(l.InputBytes), int64(l.OutputBytes), int64(l.HostCalls), l.Fuel, int64(l.HostCallBytes), l.RemoteBytes, int64(l.Sleep))
	return fields(b, []byte(c.export), c.input)
}

func decodeCall(payload []byte) (c callFrame, err error) {
	u := &unpack{b: payload}
	c.limits = Limits{
		MemoryBytes: u.number(), InputBytes: int(u.number()), OutputBytes: int(u.number()), HostCalls: int(u.number()),
		Fuel: u.number(), HostCallBytes: int(u.number()), RemoteBytes: u.number(), Sleep: time.Duration(u.number()),
	}
	c.export, c.input = string(u.bytes()), u.bytes()
	return c, u.end(frameCall)
}

// pairFrame is what frameRequest (name and request) and frameLine (level and
// message) carry.
func decodePair(kind frameKind, payload []byte) (name string, value []byte, err error) {
	u := &unpack{b: payload}
	name, value = string(u.bytes()), u.bytes()
	return name, value, u.end(kind)
}

// doneFrame is what frameDone carries.
type doneFrame struct {
	result Result
	err    *automation.Error
}

func (d doneFrame) encode() []byte {
	r := d.result
	b := numbers(int64(r.RC), r.Usage.MemoryBytes, r.Usage.Fuel)
	return fields(b, r.Output, []byte(r.Failure), encodeError(d.err))
}

func decodeDone(payload []byte) (d doneFrame, err error) {
	u := &unpack{b: payload}
	d.result.RC = uint32(u.number())
	d.result.Usage = Usage{MemoryBytes: max(u.number(), 0), Fuel: max(u.number(), 0)}
	d.result.Output, d.result.Failure = u.bytes(), string(u.bytes())
	text := u.bytes()
	if err := u.end(frameDone); err != nil {
		return d, err
	}
	d.err, err = decodeError(text)
	return d, err
}

// frameError is an error with the limit that was passed, which no JSON of an error has.
type frameError struct {
	*automation.Error
	Passed string `json:"passed,omitempty"`
}

func encodeError(e *automation.Error) []byte {
	if e == nil {
		return nil
	}
	b, err := json.Marshal(frameError{e, e.Limit})
	if err != nil {
		return []byte(`{"code":"internal"}`)
	}
	return b
}

// decodeError reads an error that a sandbox process reports: one that the engine
// could have come to itself, and nothing else.
func decodeError(text []byte) (*automation.Error, error) {
	if len(text) == 0 {
		return nil, nil //nolint:nilnil // no error is no error
	}
	said := frameError{Error: &automation.Error{}}
	if err := json.Unmarshal(text, &said); err != nil {
		return nil, fmt.Errorf("%w: an error that is not JSON", errFrame)
	}
	switch said.Code {
	case automation.CodeBadPlugin, automation.CodePluginCrashed, automation.CodeFuelLimit, automation.CodeDepthLimit,
		automation.CodeMemoryLimit, automation.CodeInputLimit, automation.CodeOutputLimit, automation.CodeHostCallLimit, automation.CodeRemoteLimit,
		automation.CodeQuota, automation.CodeTimeout, automation.CodeCancelled, automation.CodeUnavailable, automation.CodeInternal:
	default:
		return nil, fmt.Errorf("%w: an error that no engine makes", errFrame)
	}
	if len(said.Message) > frameSlack || len(said.Suggestion) > frameSlack {
		return nil, fmt.Errorf("%w: an error that is too long", errFrame)
	}
	if said.Passed != "" && !slices.Contains(limitNames(), said.Passed) {
		return nil, fmt.Errorf("%w: a limit that no engine has", errFrame)
	}
	return &automation.Error{Code: said.Code, Message: said.Message, Suggestion: said.Suggestion, CanRetry: said.CanRetry, Limit: said.Passed}, nil
}
