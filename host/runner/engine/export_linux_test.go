package engine

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"unsafe"

	"opsconductor.dev/host/automation"
)

// Enclose and Seal are the steps in which a sandbox process gives up its rights.
func Enclose() error { return enclose(childBounds()) }

// Seal is the second of them.
func Seal() (string, error) { return seal(childBounds()) }

// Misdeeds are what sandbox processes of the tests do instead of their work: what
// an attempt in them ends with, by name.
func Misdeeds() map[string]automation.Code {
	crash := automation.CodeSandboxCrashed
	return map[string]automation.Code{
		"garbage": crash, "long frame": crash, "half a frame": crash, "unknown frame": crash, "another call": crash,
		"foreign function": crash, "too many host calls": crash, "nested host calls": crash, "after the end": "",
		"error of its own": crash, "claims a timeout": crash, "floods the log": crash, "ends itself": crash,
		"says nothing": automation.CodeTimeout, "long output": automation.CodeOutputLimit,
	}
}

// Misbehave is a sandbox process that greets the host as it should and then does
// one of the misdeeds.
func Misbehave(misdeed string, socket io.ReadWriter) {
	most := func(frameKind, uint32) (int, error) { return 1 << 30, nil }
	write := func(kind frameKind, id uint32, parts ...[]byte) {
		_, _ = socket.Write(appendFrame(nil, kind, id, parts...))
	}
	if _, err := readFrame(socket, most); err != nil {
		return
	}
	write(frameReady, 0, fields(nil, []byte(sealedWhole), nil))
	f, err := readFrame(socket, most)
	if err != nil {
		return
	}
	request := fields(nil, []byte("look"), []byte("{}"))
	done := doneFrame{}.encode()
	switch misdeed {
	case "garbage":
		_, _ = socket.Write(bytes.Repeat([]byte("garbage"), 100))
	case "long frame":
		_, _ = socket.Write([]byte{0xff, 0xff, 0xff, 0xff, byte(frameDone), byte(f.id), 0, 0, 0})
	case "half a frame":
		_, _ = socket.Write([]byte{100, 0, 0, 0, byte(frameDone), byte(f.id), 0, 0, 0, 1, 2, 3})
		os.Exit(0)
	case "unknown frame":
		write(77, f.id)
	case "another call":
		write(frameDone, f.id+1, done)
	case "foreign function":
		write(frameRequest, f.id, fields(nil, []byte("secret"), []byte("{}")))
	case "too many host calls":
		for {
			write(frameRequest, f.id, request)
			if _, err := readFrame(socket, most); err != nil {
				return
			}
		}
	case "nested host calls":
		write(frameRequest, f.id, request)
		write(frameRequest, f.id, request)
	case "after the end":
		write(frameDone, f.id, done)
		write(frameRequest, f.id, request)
	case "error of its own":
		write(frameDone, f.id, doneFrame{err: automation.Errorf(automation.CodeHostLost, "lies")}.encode())
	case "claims a timeout":
		write(frameDone, f.id, doneFrame{err: automation.Errorf(automation.CodeTimeout, "lies")}.encode())
	case "floods the log":
		line := fields(nil, []byte("info"), make([]byte, 100_000))
		for range 20 {
			write(frameLine, f.id, line)
		}
	case "long output":
		write(frameDone, f.id, doneFrame{result: Result{Output: make([]byte, 1<<20+1)}}.encode())
	case "ends itself":
		os.Exit(7)
	}
	for { // and nothing else
		if _, err := readFrame(socket, most); err != nil {
			return
		}
	}
}

// FromProcess reads frames as the host reads what a process sends; it returns how
// many were good.
func FromProcess(b []byte) int {
	r, n := bytes.NewReader(b), 0
	for {
		f, err := readFrame(r, func(kind frameKind, _ uint32) (int, error) {
			if kind != frameReady && kind != frameRequest && kind != frameLine && kind != frameDone {
				return 0, errFrame
			}
			return 1 << 20, nil
		})
		if err != nil {
			return n
		}
		switch f.kind {
		case frameDone:
			d, err := decodeDone(f.payload)
			if err == nil && d.err != nil && d.err.Code == automation.CodeHostLost {
				panic("a process can say that its host was lost")
			}
		case frameReady:
			u := &unpack{b: f.payload}
			_, _ = u.bytes(), u.bytes()
		default:
			if name, value, err := decodePair(f.kind, f.payload); err == nil && !bytes.Equal(fields(nil, []byte(name), value), f.payload) && len(f.payload) < 128 {
				// Only a length that is written longer than it need be reads the same.
				if len(fields(nil, []byte(name), value)) > len(f.payload) {
					panic(fmt.Sprintf("%x is read as %q, %q", f.payload, name, value))
				}
			}
		}
		n++
	}
}

// ToProcess serves what a host sends, as a process does, until it ends.
func ToProcess(b []byte) { _ = serveHost(&stream2{r: bytes.NewReader(b)}, "", nil) }

// PageMap opens the map of the process's pages and returns what asks it.
func PageMap() (func() error, error) {
	m, err := openPageMap()
	if err != nil {
		return nil, err
	}
	page := make([]byte, 3*os.Getpagesize())
	return func() error {
		return m.own(page[os.Getpagesize()-int(uintptr(unsafe.Pointer(&page[0])))%os.Getpagesize():][:os.Getpagesize()], func(span) error { return nil })
	}, nil
}

type stream2 struct{ r io.Reader }

// Read implements io.Reader.
func (s *stream2) Read(p []byte) (int, error) { return s.r.Read(p) }

// Write implements io.Writer.
func (*stream2) Write(p []byte) (int, error) { return len(p), nil }

// LoadFrame is a frame that has a process compile a module, and CallFrame one that
// has it run an export.
func LoadFrame(wasm []byte) []byte {
	s := DefaultSettings()
	setup, err := (&processDriver{settings: s}).setup()
	if err != nil {
		panic(err)
	}
	return appendFrame(nil, frameLoad, 0, fields(nil, setup, wasm))
}

// CallFrame has a process run an export, and release the instance.
func CallFrame(export string) []byte {
	b := appendFrame(nil, frameCall, 1, callFrame{limits: DefaultLimits(), export: export, input: []byte("{}")}.encode())
	return appendFrame(b, frameRelease, 1)
}

// DoneFrame ends a call.
func DoneFrame() []byte {
	d := doneFrame{result: Result{Output: []byte("{}"), Failure: "no"}, err: automation.Errorf(automation.CodeFuelLimit, "enough")}
	return appendFrame(appendFrame(nil, frameRequest, 1, fields(nil, []byte("look"), []byte("{}"))), frameDone, 1, d.encode())
}
