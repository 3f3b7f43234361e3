package engine

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os/exec"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"opsconductor.dev/host/automation"
)

// writeTimeout is how long a process may take to read what it is sent.
const writeTimeout = 10 * time.Second

// child is a sandbox process, seen from the host. What comes from it is not
// trusted: a frame that is out of order, too long, or about a call that is not
// under way ends it.
type child struct {
	driver  *processDriver
	program *processProgram

	// ready is closed when the module is compiled or, with err, will not be.
	ready chan struct{}
	err   error
	// life is done, and killed closed, when the process is to end; gone is closed when
	// it has, with cause.
	life       context.Context //nolint:containedctx // it is the process's
	end        context.CancelCauseFunc
	killed     <-chan struct{}
	gone       chan struct{}
	killing    sync.Once
	why, cause error
	sealed     string

	started sync.Mutex // guards cmd and conn until the process has started
	cmd     *exec.Cmd
	conn    net.Conn
	writing sync.Mutex

	mu     sync.Mutex
	last   uint32
	guests map[uint32]*remoteGuest

	// The driver's lock guards these.
	open    int
	retired bool
	since   time.Time
	timer   *time.Timer
}

func newChild(d *processDriver, p *processProgram) *child {
	ch := &child{
		driver: d, program: p, ready: make(chan struct{}), gone: make(chan struct{}),
		guests: map[uint32]*remoteGuest{}, since: time.Now(),
	}
	ch.life, ch.end = context.WithCancelCause(context.Background())
	ch.killed = ch.life.Done()
	return ch
}

// live starts the process, serves it, and returns when it has ended.
func (ch *child) live(wasm func() ([]byte, error)) {
	err := ch.begin(wasm)
	if err == nil {
		close(ch.ready)
		ch.driver.mu.Lock()
		ch.driver.rest(ch)
		ch.driver.mu.Unlock()
		err = ch.serve()
	}
	ch.kill(err)
	ch.cause = ch.ended()
	var refused *automation.Error
	ch.driver.gone(ch, errors.As(err, &refused))
	close(ch.gone)
	if !closedNow(ch.ready) {
		ch.err = ch.crashed("compiling the plugin")
		if refused != nil {
			ch.err = refused
		}
		close(ch.ready)
	}
}

// begin starts the process and has it compile the module.
func (ch *child) begin(source func() ([]byte, error)) error {
	wasm, err := source()
	if err != nil {
		return err
	}
	setup, err := ch.driver.setup()
	if err != nil {
		return err
	}
	if err := ch.spawn(); err != nil {
		refused := automation.Errorf(automation.CodeUnavailable, "%w", err)
		refused.CanRetry = true
		return refused
	}
	s := ch.driver.settings
	late := time.AfterFunc(s.CompileTimeout, func() {
		ch.kill(fmt.Errorf("compiling took longer than %s", s.CompileTimeout))
	})
	defer late.Stop()
	if err := ch.send(frameLoad, 0, fields(nil, setup, wasm)); err != nil {
		return err
	}
	f, err := readFrame(ch.conn, func(kind frameKind, _ uint32) (int, error) {
		if kind != frameReady {
			return 0, fmt.Errorf("%w: frame %d before the module is compiled", errFrame, kind)
		}
		return 4 * frameSlack, nil
	})
	if err != nil {
		return err
	}
	return ch.greeted(f.payload)
}

// greeted reads what the process says when it has compiled the module.
func (ch *child) greeted(payload []byte) error {
	u := &unpack{b: payload}
	sealed, text := u.bytes(), u.bytes()
	if err := u.end(frameReady); err != nil {
		return err
	}
	failed, err := decodeError(text)
	if err != nil {
		return err
	}
	if failed != nil {
		return failed
	}
	switch ch.sealed = string(sealed); ch.sealed {
	case sealedWhole:
	case "landlock", "seccomp", "":
		ch.driver.settings.Log.Warn("the kernel confines sandbox processes in part only",
			slog.String("by", ch.sealed), slog.String("want", sealedWhole))
	default:
		return fmt.Errorf("%w: the first one", errFrame)
	}
	return nil
}

// sealedWhole is what a process says that both of the kernel's means confine.
const sealedWhole = "landlock+seccomp"

func (ch *child) spawn() error {
	ch.started.Lock()
	defer ch.started.Unlock()
	if closedNow(ch.killed) {
		return ch.why
	}
	var err error
	ch.cmd, ch.conn, err = ch.driver.spawner.spawn(ch.driver.settings.Child)
	return err
}

// kill ends the process, for the first reason that is given.
func (ch *child) kill(why error) {
	ch.killing.Do(func() {
		ch.why = why
		ch.end(errors.New("the plugin's sandbox process ended"))
		ch.started.Lock()
		defer ch.started.Unlock()
		if ch.cmd != nil {
			_ = ch.cmd.Process.Kill()
			_ = ch.conn.Close()
		}
	})
}

// ended waits for the process and says why it ended.
func (ch *child) ended() error {
	if ch.cmd == nil {
		return ch.why
	}
	status := ch.cmd.Wait()
	for _, itself := range []error{io.EOF, io.ErrUnexpectedEOF, syscall.EPIPE, syscall.ECONNRESET} {
		if status != nil && errors.Is(ch.why, itself) {
			return status
		}
	}
	return ch.why
}

// crashed is the error of what the process's end put an end to.
func (ch *child) crashed(doing string) *automation.Error {
	err := automation.Errorf(automation.CodeSandboxCrashed, "%s: the plugin's sandbox process ended: %w", doing, ch.cause)
	err.Suggestion = "the next attempt has a new process; if this one ends too, have the plugin's author look at it, and disable it meanwhile"
	return err
}

// send writes a frame; an error ends the process.
func (ch *child) send(kind frameKind, id uint32, payload ...[]byte) error {
	n := frameHeader
	for _, p := range payload {
		n += len(p)
	}
	b := appendFrame(make([]byte, 0, n), kind, id, payload...)
	ch.writing.Lock()
	defer ch.writing.Unlock()
	_ = ch.conn.SetWriteDeadline(time.Now().Add(writeTimeout))
	if _, err := ch.conn.Write(b); err != nil {
		ch.kill(fmt.Errorf("write to the process: %w", err))
		return err
	}
	return nil
}

// serve reads frames until the process ends or breaks the rules.
func (ch *child) serve() error {
	r := bufio.NewReaderSize(ch.conn, 64<<10)
	for {
		f, err := readFrame(r, ch.most)
		if err != nil {
			return err
		}
		ch.mu.Lock()
		g := ch.guests[f.id]
		ch.mu.Unlock()
		if g == nil {
			return fmt.Errorf("%w: frame %d after its instance", errFrame, f.kind)
		}
		if err := g.hear(f); err != nil {
			return err
		}
	}
}

// most bounds the payload of what the process sends, by the limits of its call.
func (ch *child) most(kind frameKind, id uint32) (int, error) {
	ch.mu.Lock()
	g := ch.guests[id]
	ch.mu.Unlock()
	if g == nil {
		return 0, fmt.Errorf("%w: frame %d of no call", errFrame, kind)
	}
	limits := g.instance.config.Limits
	switch kind {
	case frameRequest:
		return limits.HostCallBytes + frameSlack, nil
	case frameLine:
		return lineBytes + frameSlack, nil
	case frameDone:
		return limits.OutputBytes + failureBytes + 4*frameSlack, nil
	default:
		return 0, fmt.Errorf("%w: frame %d is not a process's to send", errFrame, kind)
	}
}

// admit gives an instance a guest in the process.
func (ch *child) admit(i *instance) *remoteGuest {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	ch.last++
	g := &remoteGuest{child: ch, id: ch.last, instance: i, inbox: make(chan frame, 16), left: make(chan struct{})}
	ch.guests[g.id] = g
	return g
}

// remoteGuest is a guest in a sandbox process.
type remoteGuest struct {
	child    *child
	id       uint32
	instance *instance
	inbox    chan frame
	left     chan struct{}
	busy     atomic.Bool // a call is under way
	begun    bool        // the process knows of it
	logged   int
}

var _ guest = (*remoteGuest)(nil)

// hear takes a frame from the process's reader.
func (g *remoteGuest) hear(f frame) error {
	if !g.busy.Load() {
		return fmt.Errorf("%w: frame %d outside a call", errFrame, f.kind)
	}
	switch f.kind {
	case frameRequest:
		if g.instance.inHost.Swap(true) {
			return fmt.Errorf("%w: a host call within another", errFrame)
		}
	case frameDone:
		g.busy.Store(false)
	default:
	}
	select {
	case g.inbox <- f:
		return nil
	case <-g.left:
		return nil
	case <-g.child.killed:
		return g.child.why
	}
}

// call implements guest.
func (g *remoteGuest) call(ctx context.Context, i *instance, export string, input []byte) answer {
	g.busy.Store(true)
	g.begun = true
	if err := g.child.send(frameCall, g.id, callFrame{limits: i.config.Limits, export: export, input: input}.encode()); err != nil {
		return g.dead(ctx, i)
	}
	stop := ctx.Done()
	var late <-chan time.Time
	for {
		select {
		case f := <-g.inbox:
			a, over, err := g.heed(ctx, i, f)
			if over {
				return a
			}
			if err != nil {
				g.child.kill(err)
				return g.dead(ctx, i)
			}
		case <-g.child.killed:
			return g.dead(ctx, i)
		case <-stop:
			stop = nil
			t := time.NewTimer(i.module.engine.settings.GuestGrace / 2)
			defer t.Stop()
			late = t.C
			if err := g.child.send(frameCancel, g.id); err != nil {
				return g.dead(ctx, i)
			}
		case <-late:
			g.child.kill(errors.New("it did not stop a call when it was asked to"))
		}
	}
}

// heed carries out what a frame says; over reports that the call has ended.
func (g *remoteGuest) heed(ctx context.Context, i *instance, f frame) (a answer, over bool, err error) {
	switch f.kind {
	case frameLine:
		level, message, err := decodePair(f.kind, f.payload)
		if g.logged += len(message) + 1; g.logged > logBytes {
			err = fmt.Errorf("%w: more lines than the limit of %d bytes", errFrame, logBytes)
		}
		if err == nil {
			i.log(level, string(message))
		}
		return a, false, err
	case frameRequest:
		return a, false, g.request(ctx, i, f)
	default:
	}
	d, err := decodeDone(f.payload)
	if err != nil {
		return a, false, err
	}
	i.memory.peak.Store(d.result.Usage.MemoryBytes)
	i.fuel.Store(d.result.Usage.Fuel)
	a = answer{rc: d.result.RC, output: d.result.Output, failure: d.result.Failure}
	if d.err == nil {
		return a, true, nil
	}
	a.err = d.err
	if ctx.Err() == nil {
		if d.err.Code == automation.CodeTimeout || d.err.Code == automation.CodeCancelled {
			return a, false, fmt.Errorf("%w: a call was stopped that nobody stopped", errFrame)
		}
		i.halted.CompareAndSwap(nil, d.err)
	}
	return a, true, nil
}

// request carries a call of a host function out, if the call's limits allow it.
func (g *remoteGuest) request(ctx context.Context, i *instance, f frame) error {
	defer i.inHost.Store(false)
	name, request, err := decodePair(f.kind, f.payload)
	if err != nil {
		return err
	}
	limits := i.config.Limits
	i.calls++
	switch {
	case i.calls > limits.HostCalls, len(request) > limits.HostCallBytes, !i.move(len(request)):
		return fmt.Errorf("%w: a host call past its limit", errFrame)
	case !slices.Contains(i.module.hostFunctions(), name):
		return fmt.Errorf("%w: a call of a host function that the module does not import", errFrame)
	}
	// A host function ends with the process that asked for it.
	inner, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(g.child.life, func() { cancel(context.Cause(g.child.life)) })()
	envelope := i.config.Host(inner, name, request)
	if ctx.Err() != nil || len(envelope) > limits.HostCallBytes+1 {
		// What is too long is cut: the guest's side sees that it is.
		envelope = envelope[:min(len(envelope), limits.HostCallBytes+1)]
	}
	i.move(len(envelope)) // the guest's side ends the call when that is too much
	i.inHost.Store(false)
	if ctx.Err() != nil {
		return nil // the loop stops the call
	}
	_ = g.child.send(frameAnswer, g.id, envelope)
	return nil
}

// dead is the answer of a call whose process has ended.
func (g *remoteGuest) dead(ctx context.Context, i *instance) answer {
	<-g.child.gone
	err := g.child.crashed(i.doing)
	if ctx.Err() == nil {
		i.halted.CompareAndSwap(nil, err)
	}
	return answer{err: err}
}

// leave implements guest.
func (g *remoteGuest) leave(bool) {
	ch := g.child
	if g.begun && !closedNow(ch.killed) {
		_ = ch.send(frameRelease, g.id)
	}
	ch.mu.Lock()
	delete(ch.guests, g.id)
	ch.mu.Unlock()
	close(g.left)
	ch.driver.give(ch)
}
