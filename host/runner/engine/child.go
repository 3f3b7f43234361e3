package engine

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/registry/wasmfile"
)

// ChildCommand is the first argument of a program that is to be a sandbox process.
const ChildCommand = "plugin-sandbox"

// childFD is where a sandbox process finds its socket.
const childFD = 3

// logBytes is how much one instance may log before the rest is dropped.
const logBytes = 1 << 20

// childSetup is what a sandbox process needs to know of the engine's settings.
type childSetup struct {
	MaxMemoryBytes int64
	TableElements  uint32
	StackBytes     uint32
	Module         wasmfile.Limits
	HostGrace      time.Duration
	CompileTimeout time.Duration
	Pool           PoolSettings
}

// ServeChild is a sandbox process: what a program does whose first argument is
// ChildCommand, with the arguments after it. It returns the exit code.
func ServeChild(args []string) int {
	if slices.Equal(args, []string{sealedArgument}) {
		// Nothing can be opened later. The map shows no more than the kernel shows anybody
		// of his own memory, since no capability is left.
		pages, err := openPageMap()
		if err != nil {
			pages = nil
		}
		sealed, err := seal(childBounds())
		if err != nil {
			return 3
		}
		f := os.NewFile(childFD, "host")
		return exitCode(serveHost(f, sealed, pages))
	}
	if len(args) > 0 {
		return 2
	}
	return exitCode(enclose(childBounds()))
}

// sealedArgument tells a sandbox process that it has no rights but its memory and
// socket left to give up.
const sealedArgument = "sealed"

func exitCode(err error) int {
	if err != nil {
		return 1
	}
	return 0
}

// childServer is the sandbox process's end: a native engine with one module.
type childServer struct {
	module Module
	pages  *pageMap
	mu     sync.Mutex // guards writing, and calls
	socket io.Writer
	calls  map[uint32]*childCall
	wg     sync.WaitGroup
}

// childCall is an instance, with the call that is under way in it.
type childCall struct {
	id       uint32
	instance Instance
	answers  chan []byte
	cancel   context.CancelFunc
	logged   int
}

// serveHost serves until the host closes the socket.
func serveHost(socket io.ReadWriter, sealed string, pages *pageMap) error {
	r := bufio.NewReaderSize(socket, 64<<10)
	s := &childServer{socket: socket, pages: pages, calls: map[uint32]*childCall{}}
	// The host is trusted: the bound is there to find mistakes.
	most := func(frameKind, uint32) (int, error) { return 1 << 30, nil }
	f, err := readFrame(r, most)
	if err != nil || f.kind != frameLoad {
		return errors.Join(errFrame, err)
	}
	loadErr := s.load(f.payload)
	if err := s.send(frameReady, 0, fields(nil, []byte(sealed), encodeError(loadErr))); err != nil || loadErr != nil {
		return errors.Join(err, asError(loadErr))
	}
	for {
		f, err := readFrame(r, most)
		if err != nil {
			return nil // the host is gone, or has no use for the process
		}
		if err := s.take(f); err != nil {
			return err
		}
	}
}

func asError(e *automation.Error) error {
	if e == nil {
		return nil
	}
	return e
}

// load compiles the module.
func (s *childServer) load(payload []byte) *automation.Error {
	u := &unpack{b: payload}
	text, wasm := u.bytes(), u.bytes()
	if err := u.end(frameLoad); err != nil {
		return automation.AsError(err)
	}
	var c childSetup
	if err := json.Unmarshal(text, &c); err != nil {
		return automation.AsError(err)
	}
	settings := DefaultSettings()
	settings.MaxMemoryBytes, settings.TableElements, settings.Module = c.MaxMemoryBytes, c.TableElements, c.Module
	settings.StackBytes = c.StackBytes
	settings.HostGrace, settings.GuestGrace, settings.CompileTimeout, settings.Pool = c.HostGrace, c.HostGrace, c.CompileTimeout, c.Pool
	settings.Log = slog.New(slog.DiscardHandler)
	e, err := newNative(settings, s.pages)
	if err != nil {
		return automation.AsError(err)
	}
	s.module, err = e.Load(context.Background(), "module", func(context.Context) ([]byte, error) { return wasm, nil })
	if err != nil {
		return automation.AsError(err)
	}
	return nil
}

func (s *childServer) send(kind frameKind, id uint32, payload []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err := s.socket.Write(appendFrame(make([]byte, 0, frameHeader+len(payload)), kind, id, payload))
	return err
}

// take carries out what the host asks for.
func (s *childServer) take(f frame) error {
	s.mu.Lock()
	c := s.calls[f.id]
	s.mu.Unlock()
	if c == nil && f.kind != frameCall {
		return fmt.Errorf("%w: frame %d for no call", errFrame, f.kind)
	}
	switch f.kind {
	case frameCall:
		return s.begin(c, f)
	case frameAnswer:
		select {
		case c.answers <- f.payload:
		default: // of a call that was stopped
		}
	case frameCancel:
		c.cancel()
	case frameRelease:
		c.cancel()
		s.mu.Lock()
		delete(s.calls, f.id)
		instance := c.instance
		s.mu.Unlock()
		if instance != nil {
			instance.Close(context.Background())
		}
	default:
		return fmt.Errorf("%w: frame %d", errFrame, f.kind)
	}
	return nil
}

// begin starts a call.
func (s *childServer) begin(c *childCall, f frame) error {
	asked, err := decodeCall(f.payload)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.mu.Lock()
	if c == nil {
		c = &childCall{id: f.id, answers: make(chan []byte, 1)}
		s.calls[f.id] = c
	}
	c.cancel = cancel
	s.mu.Unlock()
	s.wg.Go(func() {
		defer cancel()
		result, err := s.run(ctx, c, asked)
		d := doneFrame{result: result}
		if err != nil {
			d.err = automation.AsError(err)
		}
		_ = s.send(frameDone, c.id, d.encode())
	})
	return nil
}

// run makes the instance, the first time, and calls.
func (s *childServer) run(ctx context.Context, c *childCall, asked callFrame) (Result, error) {
	s.mu.Lock()
	i := c.instance
	s.mu.Unlock()
	if i == nil {
		var err error
		i, err = s.module.New(ctx, Config{
			Limits: asked.limits,
			Host:   func(ctx context.Context, name string, request []byte) []byte { return s.host(ctx, c, name, request) },
			Log:    func(level, message string) { s.line(c, level, message) },
		})
		if err != nil {
			return Result{}, err
		}
		s.mu.Lock()
		c.instance = i
		s.mu.Unlock()
	}
	return i.Call(ctx, asked.export, asked.input)
}

// host asks the host to carry a host function out.
func (s *childServer) host(ctx context.Context, c *childCall, name string, request []byte) []byte {
	if err := s.send(frameRequest, c.id, fields(nil, []byte(name), request)); err != nil {
		return nil
	}
	select {
	case a := <-c.answers:
		return a
	case <-ctx.Done():
		return nil
	}
}

// line passes on what the guest logs, up to a bound.
func (s *childServer) line(c *childCall, level, message string) {
	message = message[:min(len(message), lineBytes)]
	if c.logged += len(message) + 1; c.logged > logBytes {
		return
	}
	_ = s.send(frameLine, c.id, fields(nil, []byte(level), []byte(message)))
}
