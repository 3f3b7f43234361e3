package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/tetratelabs/wazero"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/registry/wasmfile"
)

// Process is the engine that runs plugins in child processes of this program, which
// have no rights but to compute and to talk to this one: host functions, and all
// that they know, stay here. A process serves one module and one owner, with the
// native engine inside. It is there until it is idle for long, its room is needed,
// or it dies; a death ends the calls in it, and the next call has a new process.
type Process struct {
	*core
	driver *processDriver
}

var _ Engine = (*Process)(nil)

// NewProcess returns the process engine; the error lists every bad setting.
func NewProcess(s Settings) (*Process, error) {
	if !processes {
		return nil, errors.New("sandbox processes need Linux")
	}
	if len(s.Child) == 0 {
		s.Child = childArguments()
	}
	// What a process compiles is in its own memory: it reads and writes no file.
	s.CacheDir = ""
	d := &processDriver{settings: s, children: map[*child]struct{}{}}
	c, err := newCore(s, d)
	if err != nil {
		return nil, err
	}
	d.spawner = newSpawner()
	return &Process{core: c, driver: d}, nil
}

// Stats implements Engine.
func (p *Process) Stats() Stats {
	s := p.core.Stats()
	p.driver.mu.Lock()
	s.Processes, s.ProcessDeaths = len(p.driver.children), p.driver.deaths
	p.driver.mu.Unlock()
	return s
}

// PIDs are the numbers of the processes that have started.
func (p *Process) PIDs() []int {
	p.driver.mu.Lock()
	defer p.driver.mu.Unlock()
	var pids []int
	for ch := range p.driver.children {
		if closedNow(ch.ready) && ch.cmd != nil && ch.cmd.Process != nil {
			pids = append(pids, ch.cmd.Process.Pid)
		}
	}
	return pids
}

// Close implements Engine.
func (p *Process) Close(ctx context.Context) error {
	err := p.core.Close(ctx)
	if p.driver.close() {
		p.driver.wg.Wait()
		p.driver.spawner.close()
	}
	return err
}

// processDriver keeps the processes.
type processDriver struct {
	settings Settings
	spawner  *spawner
	wg       sync.WaitGroup // a goroutine for each process

	mu       sync.Mutex
	closed   bool
	children map[*child]struct{}
	deaths   int
}

func (*processDriver) name() string { return NameProcess }

// rewrite leaves the artifact as it is: the process's own engine rewrites it.
func (*processDriver) rewrite(_ *compiled, wasm []byte) ([]byte, wasmfile.Info, error) {
	return wasm, wasmfile.Info{}, nil
}

// compile starts a process, which compiles the module and then belongs to whoever
// comes first: it has seen nothing of anybody.
func (d *processDriver) compile(c *compiled, _ wazero.CompilationCache, wasm []byte) (program, error) {
	p := &processProgram{driver: d, module: c, owned: map[string]*child{}}
	d.mu.Lock()
	ch, err := d.start(p, func() ([]byte, error) { return wasm, nil })
	d.mu.Unlock()
	if err != nil {
		return nil, err
	}
	<-ch.ready
	if ch.err != nil {
		return nil, ch.err
	}
	p.spare = ch
	return p, nil
}

// start makes a process, in the place of an idle one if there are too many. d.mu is
// held.
func (d *processDriver) start(p *processProgram, wasm func() ([]byte, error)) (*child, error) {
	if d.closed {
		return nil, automation.Errorf(automation.CodeUnavailable, "the plugin engine is shut down")
	}
	if len(d.children) >= d.settings.Processes && !d.evict() {
		err := automation.Errorf(automation.CodeUnavailable, "all %d sandbox processes are at work", d.settings.Processes)
		err.CanRetry = true
		return nil, err
	}
	ch := newChild(d, p)
	d.children[ch] = struct{}{}
	d.wg.Go(func() { ch.live(wasm) })
	return ch, nil
}

// evict retires the process that has been idle longest. d.mu is held.
func (d *processDriver) evict() bool {
	var oldest *child
	for ch := range d.children {
		if ch.open == 0 && !ch.retired && closedNow(ch.ready) && (oldest == nil || ch.since.Before(oldest.since)) {
			oldest = ch
		}
	}
	if oldest != nil {
		d.retire(oldest)
		delete(d.children, oldest) // its end is a matter of a moment
	}
	return oldest != nil
}

// retire ends a process that nobody uses. d.mu is held.
func (*processDriver) retire(ch *child) {
	ch.retired = true
	ch.kill(errRetired)
}

var errRetired = errors.New("it was not needed any more")

// give returns a process that an instance had.
func (d *processDriver) give(ch *child) {
	d.mu.Lock()
	defer d.mu.Unlock()
	ch.open--
	d.rest(ch)
}

// rest lets a process that nobody uses go after a while. d.mu is held.
func (d *processDriver) rest(ch *child) {
	if ch.open > 0 || ch.retired {
		return
	}
	ch.since = time.Now()
	if ch.timer == nil {
		ch.timer = time.AfterFunc(d.settings.Pool.Idle, func() { d.expire(ch) })
		return
	}
	ch.timer.Reset(d.settings.Pool.Idle)
}

func (d *processDriver) expire(ch *child) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if ch.open == 0 && !ch.retired && time.Since(ch.since) >= d.settings.Pool.Idle {
		d.retire(ch)
	}
}

// gone forgets a process that has ended; expected says that it had said why.
func (d *processDriver) gone(ch *child, expected bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.children, ch)
	if ch.timer != nil {
		ch.timer.Stop()
	}
	if ch.retired {
		return
	}
	ch.retired = true
	if !expected {
		d.deaths++
		d.settings.Log.Error("a sandbox process ended", slog.String("digest", string(ch.program.module.digest)), slog.Any("error", ch.cause))
	}
}

// close ends all processes; it reports whether it is the first to.
func (d *processDriver) close() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	first := !d.closed
	d.closed = true
	for ch := range d.children {
		d.retire(ch)
	}
	return first
}

// setup is what a process is told first.
func (d *processDriver) setup() ([]byte, error) {
	s := d.settings
	b, err := json.Marshal(childSetup{
		MaxMemoryBytes: s.MaxMemoryBytes, TableElements: s.TableElements, StackBytes: s.StackBytes, Module: s.Module, HostGrace: s.HostGrace,
		CompileTimeout: s.CompileTimeout, Pool: s.Pool,
	})
	if err != nil {
		return nil, fmt.Errorf("encode the settings of a sandbox process: %w", err)
	}
	return b, nil
}

// processProgram is a module, with the processes that serve it. The driver's lock
// guards it.
type processProgram struct {
	driver *processDriver
	module *compiled
	spare  *child            // compiled, and nobody's yet
	owned  map[string]*child // by owner
}

// enter implements program.
func (p *processProgram) enter(ctx context.Context, i *instance) error {
	ch, err := p.take(ctx, i.config.Owner)
	if err != nil {
		if e := (*automation.Error)(nil); errors.As(err, &e) {
			i.halted.CompareAndSwap(nil, e)
		}
		return err
	}
	i.admit(ch.admit(i))
	return nil
}

// take returns the owner's process, and starts it if there is none.
func (p *processProgram) take(ctx context.Context, owner string) (*child, error) {
	d := p.driver
	d.mu.Lock()
	ch, err := p.owner(owner)
	if err != nil {
		d.mu.Unlock()
		return nil, err
	}
	ch.open++
	d.mu.Unlock()
	select {
	case <-ch.ready:
		err = ch.err
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	if err != nil {
		d.give(ch)
		return nil, err
	}
	return ch, nil
}

// owner finds or starts the owner's process. The driver's lock is held.
func (p *processProgram) owner(owner string) (*child, error) {
	if ch := p.owned[owner]; ch != nil && !ch.retired && !closedNow(ch.killed) {
		return ch, nil
	}
	ch := p.spare
	p.spare = nil
	if ch == nil || ch.retired || closedNow(ch.killed) {
		var err error
		source := p.module.source
		ch, err = p.driver.start(p, func() ([]byte, error) { return source(context.Background()) })
		if err != nil {
			return nil, err
		}
	}
	p.owned[owner] = ch
	return ch, nil
}

// close implements program.
func (p *processProgram) close() {
	p.driver.mu.Lock()
	defer p.driver.mu.Unlock()
	for ch := range p.driver.children {
		if ch.program == p && !ch.retired {
			p.driver.retire(ch)
		}
	}
}

func closedNow(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
