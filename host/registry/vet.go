package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/registry/wasmfile"
	"opsconductor.dev/host/runner/engine"
)

// Vetting says how plugins are compiled for the first time: in a process of its
// own, so that a module that takes the compiler too much time or memory ends that
// process and not the host. The zero value: in the host.
type Vetting struct {
	// Command is the program and its arguments; it reads a module and writes what
	// ServeVetting does.
	Command []string
	// Wall is how long it may take; 0: 20 seconds.
	Wall time.Duration
}

// The bounds of a vetting process.
const (
	vetWall      = 20 * time.Second
	vetAtOnce    = 2
	vetAnswer    = 64 << 10
	vetMemory    = 1 << 30 // that it may write to
	vetFiles     = 32
	vetCPU       = 2 * vetWall // of both cores
	vetWaitDelay = 2 * time.Second
)

// verdict is what a vetting process writes: nothing else of it is believed, and
// what it compiled is thrown away.
type verdict struct {
	Digest automation.Digest `json:"digest"` // of what was compiled
	Error  string            `json:"error,omitempty"`
}

// Vet is Inspect for modules that nobody has looked at: what needs a compiler
// happens in a vetting process first. bad_plugin when that ends without a good word.
func (r *Registry) Vet(ctx context.Context, wasm []byte) (automation.Manifest, error) {
	if len(r.vetting.Command) == 0 {
		return r.Inspect(ctx, wasm)
	}
	if _, _, err := r.verify(wasm); err != nil {
		return automation.Manifest{}, err
	}
	select {
	case r.vets <- struct{}{}:
	case <-ctx.Done():
		return automation.Manifest{}, fmt.Errorf("wait to vet a plugin: %w", context.Cause(ctx))
	}
	err := r.vetting.run(ctx, wasm)
	<-r.vets
	if err != nil {
		return automation.Manifest{}, err
	}
	return r.Inspect(ctx, wasm)
}

// run starts the process, gives it the module, and reads its verdict.
func (v Vetting) run(ctx context.Context, wasm []byte) error {
	wall := v.Wall
	if wall == 0 {
		wall = vetWall
	}
	timed, cancel := context.WithTimeoutCause(ctx, wall, fmt.Errorf("the time limit of %s for vetting a plugin", wall))
	defer cancel()
	out := &capped{left: vetAnswer}
	var err error
	for _, alone := range []bool{true, false} { // namespaces are not always to be had
		cmd := exec.CommandContext(timed, v.Command[0], v.Command[1:]...) //nolint:gosec // the host's own program
		cmd.Env, cmd.Dir = []string{}, "/"
		cmd.Stdin, cmd.Stdout, cmd.WaitDelay = bytes.NewReader(wasm), out, vetWaitDelay
		confine(cmd, alone)
		if err = cmd.Start(); err == nil {
			err = cmd.Wait()
			endGroup(cmd)
			return judge(timed, out, digestOf(wasm), err)
		}
	}
	return fmt.Errorf("start the vetting process: %w", err)
}

// judge believes a process that ended well and says so of this module.
func judge(ctx context.Context, out *capped, digest automation.Digest, ended error) error {
	var said verdict
	decoded := json.Unmarshal(out.buf.Bytes(), &said)
	switch {
	case ctx.Err() != nil && errors.Is(ctx.Err(), context.Canceled):
		return fmt.Errorf("vet a plugin: %w", context.Cause(ctx))
	case ctx.Err() != nil:
		return vetted("compiling the plugin was stopped: %s was over", context.Cause(ctx))
	case ended == nil && !out.over && decoded == nil && said.Digest == digest && said.Error == "":
		return nil
	case ended == nil && !out.over && decoded == nil && said.Digest == digest:
		return vetted("%s", strings.ToValidUTF8(said.Error, "\uFFFD"))
	case ended != nil:
		return vetted("compiling the plugin ended the process that tried it (%s): it takes more memory or time than there is for it", ended)
	}
	return vetted("the process that compiled the plugin gave no answer that can be used")
}

func vetted(format string, args ...any) *automation.Error {
	err := automation.Errorf(automation.CodeBadPlugin, format, args...)
	err.Suggestion = "build it with an ordinary toolchain, optimised, with smaller functions"
	return err
}

// capped keeps what a process writes, up to a number of bytes.
type capped struct {
	buf  bytes.Buffer // not embedded: its ReadFrom would know no bound
	left int
	over bool
}

// Write implements io.Writer; what is too much ends the process's output.
func (c *capped) Write(p []byte) (int, error) {
	if len(p) > c.left {
		c.over = true
		return 0, errors.New("the process writes too much")
	}
	c.left -= len(p)
	return c.buf.Write(p)
}

// giveUp leaves the vetting process what a sandbox process has, and less of it.
func giveUp() error {
	return engine.Confine(engine.Bounds{Keep: 3, Memory: vetMemory, Files: vetFiles, CPU: vetCPU, ReadOnly: true})
}

// ServeVetting is the vetting process: it gives up what it does not need, as
// engine.Confine says, so that it is the first thing that its program does; it reads a
// module, compiles it for an engine, and writes the verdict. Nothing of the module
// runs.
func ServeVetting(ctx context.Context, name string, in io.Reader, out io.Writer) error {
	return serveVetting(ctx, name, wasmfile.DefaultLimits(), in, out)
}

func serveVetting(ctx context.Context, name string, limits wasmfile.Limits, in io.Reader, out io.Writer) error {
	if err := giveUp(); err != nil {
		return fmt.Errorf("take limits: %w", err)
	}
	wasm, err := io.ReadAll(io.LimitReader(in, int64(limits.Bytes)+1))
	if err != nil {
		return fmt.Errorf("read the module: %w", err)
	}
	s := engine.DefaultSettings()
	s.Module = limits
	e, err := engine.New(name, s)
	if err != nil {
		return err
	}
	said := verdict{Digest: digestOf(wasm)}
	m, err := e.Load(ctx, said.Digest, func(context.Context) ([]byte, error) { return wasm, nil })
	if err == nil {
		m.Release()
	} else {
		said.Error = automation.AsError(err).Message
	}
	return json.NewEncoder(out).Encode(said)
}
