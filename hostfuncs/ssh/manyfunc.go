package ssh

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"opsconductor.dev/hostfuncs"
)

// ExecManyRequest is the request of ssh_exec_many (schemas/hostfuncs/ssh_exec_many.json):
// that of ssh_exec for several targets.
type ExecManyRequest struct {
	Targets        []string          `json:"targets"`
	Parallel       int               `json:"parallel,omitempty"`
	Credential     string            `json:"credential,omitempty"`
	Argv           []string          `json:"argv,omitempty"`
	Script         string            `json:"script,omitempty"`
	Interpreter    []string          `json:"interpreter,omitempty"`
	Args           []string          `json:"args,omitempty"`
	Stdin          string            `json:"stdin,omitempty"`
	StdinBase64    []byte            `json:"stdin_base64,omitempty"`
	Env            map[string]string `json:"env,omitempty"`
	TimeoutMS      int64             `json:"timeout_ms,omitempty"`
	MaxOutputBytes int               `json:"max_output_bytes,omitempty"`
	IdleTimeoutMS  int64             `json:"idle_timeout_ms,omitempty"`
	PTY            bool              `json:"pty,omitempty"`
	Become         *BecomeRequest    `json:"become,omitempty"`
	Stream         bool              `json:"stream,omitempty"`
}

// ExecManyResult is the result of ssh_exec_many.
type ExecManyResult struct {
	Results []ExecManyEntry `json:"results"`
	Failed  int             `json:"failed"`
}

// ExecManyEntry is how the command went on one target: one of Exec and Error.
type ExecManyEntry struct {
	Target string         `json:"target"`
	Exec   *ExecResult    `json:"exec,omitempty"`
	Error  *ExecManyError `json:"error,omitempty"`
}

// ExecManyError is why a target has no result.
type ExecManyError struct {
	Code      string `json:"code"`
	Message   string `json:"message"`
	Retryable bool   `json:"retryable"`
	Phase     string `json:"phase"`
	Stopped   bool   `json:"stopped"`
}

// The bounds of ssh_exec_many.
const (
	maxTargets      = 1000
	maxParallel     = 256
	defaultParallel = 32

	openedFor = 5 * time.Second // what is older of a target is asked for again
)

// single returns the request for one target.
func (r ExecManyRequest) single(target string) ExecRequest {
	return ExecRequest{
		Target: target, Credential: r.Credential, Argv: r.Argv, Script: r.Script, Interpreter: r.Interpreter, Args: r.Args, Stdin: r.Stdin,
		StdinBase64: r.StdinBase64, Env: r.Env, TimeoutMS: r.TimeoutMS, MaxOutputBytes: r.MaxOutputBytes, IdleTimeoutMS: r.IdleTimeoutMS,
		PTY: r.PTY, Become: r.Become, Stream: r.Stream,
	}
}

// check returns what is wrong with the request, whatever the targets are.
func (r ExecManyRequest) check(limit int) (Command, error) {
	var f faults
	f.add(len(r.Targets) == 0 || len(r.Targets) > maxTargets, "targets: 1 to 1000 names are needed")
	f.add(r.Parallel < 0 || r.Parallel > maxParallel, "parallel is not between 0 and 256")
	seen := map[string]bool{}
	for _, name := range r.Targets {
		f.add(name == "" || len(name) > 253, "targets: a name is empty or longer than 253 characters")
		f.add(seen[name], "targets: a name is there twice")
		seen[name] = true
	}
	c, err := r.single("").command(limit)
	return c, errors.Join(errors.Join(f...), err)
}

// many is one call of ssh_exec_many.
type many struct {
	pool *Pool
	s    *hostfuncs.Session
	req  ExecManyRequest
	hash string

	mu             sync.Mutex
	results        []ExecManyEntry
	failed         int
	begun, doubted bool
	stdout, stderr int // bytes that may still be returned
}

// execMany is the host function ssh_exec_many.
func (p *Pool) execMany(ctx context.Context, s *hostfuncs.Session, req ExecManyRequest) (ExecManyResult, error) {
	const name = "ssh_exec_many"
	c, err := req.check(s.MaxOutput)
	if err != nil {
		return ExecManyResult{}, hostfuncs.Errorf(hostfuncs.BadRequest, hostfuncs.Before, "%s: %w", name, err)
	}
	sum := sha256.Sum256([]byte(c.Hash() + "\n" + strings.Join(req.Targets, "\n")))
	m := &many{pool: p, s: s, req: req, hash: hex.EncodeToString(sum[:])}
	hostfuncs.Note(ctx, fmt.Sprintf("%d targets", len(req.Targets)), m.hash)
	m.stdout = outputCap(0, s.MaxOutput)
	m.stderr = m.stdout
	parallel := cmp.Or(req.Parallel, defaultParallel)
	// The secrets of all targets are opened before any of them is run on, so that none
	// comes out in the output of another one.
	all := make([]opened, len(req.Targets))
	each(req.Targets, parallel, func(i int, t string) { all[i] = m.open(hostfuncs.Unnoted(ctx), t) })
	each(req.Targets, parallel, func(i int, t string) {
		res, err := m.one(hostfuncs.Unnoted(ctx), t, all[i])
		m.add(t, res, err)
	})
	if ctx.Err() != nil {
		return ExecManyResult{}, m.ended(ctx)
	}
	return ExecManyResult{Results: m.results, Failed: m.failed}, nil
}

// each calls do for each target, for so many at a time.
func each(targets []string, parallel int, do func(i int, target string)) {
	var g errgroup.Group
	g.SetLimit(parallel)
	for i, t := range targets {
		g.Go(func() error { do(i, t); return nil })
	}
	_ = g.Wait()
}

// opened is a target and who is become there, as they were at a time.
type opened struct {
	endpoint Endpoint
	become   *Become
	err      error
	at       time.Time
}

// open asks the broker for a target. The session knows its secrets from then on.
func (m *many) open(ctx context.Context, name string) opened {
	const function = "ssh_exec_many"
	o := opened{at: m.pool.opt.Now()}
	if ctx.Err() != nil {
		o.err = hostfuncs.Ended(ctx, hostfuncs.Before, "run on %s: nothing was sent", name)
		return o
	}
	if o.endpoint, o.err = target(ctx, m.s, function, name, m.req.Credential); o.err == nil {
		o.become, o.err = m.req.Become.open(ctx, m.s, function, o.endpoint)
	}
	return o
}

// one runs the command on one target.
func (m *many) one(ctx context.Context, name string, o opened) (Result, error) {
	if ctx.Err() != nil {
		return Result{}, hostfuncs.Ended(ctx, hostfuncs.Before, "run on %s: nothing was sent", name)
	}
	req := m.req.single(name)
	c, err := req.command(m.s.MaxOutput)
	if err != nil {
		return Result{}, err
	}
	if m.pool.opt.Now().Sub(o.at) > openedFor {
		o = m.open(ctx, name)
	}
	if o.err != nil {
		return Result{}, o.err
	}
	c.Become = o.become
	c.Redact, c.Slack, c.Unfinished = m.s.Redact, m.s.LongestSecret(), m.s.Unfinished
	if req.Stream {
		c.Live = told(m.s, name+" ")
	}
	c.Begin = func(ctx context.Context, _ string) error {
		if err := m.s.Begin(ctx, m.hash); err != nil {
			return err
		}
		m.mu.Lock()
		defer m.mu.Unlock()
		m.begun = true
		return nil
	}
	return m.pool.Exec(ctx, o.endpoint, c)
}

// add notes how one target ended, within what may be returned.
func (m *many) add(name string, r Result, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	entry := ExecManyEntry{Target: name}
	how := "ended without an exit code"
	if err != nil {
		e := asError(err)
		m.failed++
		entry.Error = &ExecManyError{Code: string(e.Code), Message: m.s.RedactString(e.Message), Retryable: e.Retryable, Phase: string(e.Phase), Stopped: e.Stopped}
		how = "error " + string(e.Code)
		if e.Phase == hostfuncs.After && !e.Stopped {
			m.doubted = true
			m.s.Doubt("ssh_exec_many", e)
		}
	} else {
		r.Stdout, r.Stderr = r.Stdout.cut(&m.stdout), r.Stderr.cut(&m.stderr)
		res := newExecResult(name, r)
		entry.Exec = &res
		if r.Signal != "" {
			how = "signal " + r.Signal
		} else if r.ExitCode != nil {
			how = fmt.Sprintf("exit code %d", *r.ExitCode)
		}
		if r.Cut {
			how += ", and the end of its output did not come"
		}
	}
	m.results = append(m.results, entry)
	if m.req.Stream && m.s.Log != nil {
		m.s.Log("info", fmt.Sprintf("%s: %s (%d of %d)", name, how, len(m.results), len(m.req.Targets)))
	}
}

// cut leaves of an output what there is room for.
func (o Output) cut(room *int) Output {
	if len(o.Bytes) > *room {
		o.Bytes, o.Truncated = wholeRunes(slices.Clone(o.Bytes[:*room])), true
	}
	*room -= len(o.Bytes)
	return o
}

// ended is the error of a call that was cancelled or ran out of time.
func (m *many) ended(ctx context.Context) error {
	phase := hostfuncs.Before
	if m.begun {
		phase = hostfuncs.After
	}
	e := hostfuncs.Ended(ctx, phase, "run on %d targets, of which %d had a result", len(m.req.Targets), len(m.results)-m.failed)
	e.Stopped = m.begun && !m.doubted
	return e
}
