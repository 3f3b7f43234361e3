package ssh

import (
	"context"
	"errors"
	"strings"
	"time"
	"unicode/utf8"

	"opsconductor.dev/hostfuncs"
)

// ExecRequest is the request of ssh_exec (schemas/hostfuncs/ssh_exec.json).
type ExecRequest struct {
	Target         string            `json:"target,omitempty"`
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
	Rows           int               `json:"rows,omitempty"`
	Cols           int               `json:"cols,omitempty"`
	Term           string            `json:"term,omitempty"`
	Become         *BecomeRequest    `json:"become,omitempty"`
	Stream         bool              `json:"stream,omitempty"`
}

// ExecResult is the result of ssh_exec.
type ExecResult struct {
	Target          string `json:"target"`
	ExitCode        *int   `json:"exit_code,omitempty"`
	Signal          string `json:"signal,omitempty"`
	Stdout          string `json:"stdout"`
	StdoutBase64    []byte `json:"stdout_base64,omitempty"`
	StdoutTruncated bool   `json:"stdout_truncated"`
	StdoutBytes     int64  `json:"stdout_bytes"`
	Stderr          string `json:"stderr"`
	StderrBase64    []byte `json:"stderr_base64,omitempty"`
	StderrTruncated bool   `json:"stderr_truncated"`
	StderrBytes     int64  `json:"stderr_bytes"`
	DurationMS      int64  `json:"duration_ms"`
	PTY             bool   `json:"pty"`
	OutputCut       bool   `json:"output_cut"`
}

// cutWords say to who reads a log what OutputCut means.
const cutWords = "the command has ended, and the end of its output did not come: the connection was lost in between, or the rest took too long; what came is marked as truncated"

// The bounds of ssh_exec's requests, as the schema has them.
const (
	maxTimeout = 24 * time.Hour
	maxOutput  = 64 << 20
	maxEnv     = 256
	maxArgs    = 16384
)

// Functions returns the host functions that run on the pool.
func Functions(p *Pool) []hostfuncs.Func {
	return []hostfuncs.Func{
		hostfuncs.New("ssh_exec", "Runs a program or a script on a target over SSH.", true, p.exec).Guarded(),
		hostfuncs.New("ssh_exec_many", "Runs a program or a script on many targets over SSH at once.", true, p.execMany),
		hostfuncs.New("ssh_put", "Writes a file on a target over SFTP, whole or not at all.", true, p.put),
		hostfuncs.New("ssh_get", "Reads a file of a target over SFTP.", false, p.get),
		hostfuncs.New("ssh_stat", "Says what is at a path of a target.", false, p.stat),
		hostfuncs.New("ssh_list", "Says what is in a folder of a target.", false, p.list),
		hostfuncs.New("ssh_mkdir", "Makes a folder on a target.", true, p.mkdir),
		hostfuncs.New("ssh_remove", "Removes a file or a folder of a target.", true, p.remove),
		hostfuncs.New("ssh_chmod", "Sets mode and owner of a file or folder of a target.", true, p.chmod),
		hostfuncs.New("ssh_open", "Opens an interactive session with a target that has a command line, like a network device.", false, p.openDialog),
		hostfuncs.New("ssh_send", "Sends a line in an interactive session and waits for the prompt.", true, p.sendDialog),
		hostfuncs.New("ssh_close", "Closes an interactive session.", false, p.closeDialog),
	}
}

// exec is the host function ssh_exec.
func (p *Pool) exec(ctx context.Context, s *hostfuncs.Session, req ExecRequest) (ExecResult, error) {
	const name = "ssh_exec"
	cmd, err := req.command(s.MaxOutput)
	if err != nil {
		return ExecResult{}, hostfuncs.Errorf(hostfuncs.BadRequest, hostfuncs.Before, "%s: %w", name, err)
	}
	e, err := target(ctx, s, name, req.Target, req.Credential)
	if err != nil {
		return ExecResult{}, err
	}
	if cmd.Become, err = req.Become.open(ctx, s, name, e); err != nil {
		return ExecResult{}, err
	}
	if err := cmd.Validate(); err != nil {
		return ExecResult{}, hostfuncs.Errorf(hostfuncs.BadRequest, hostfuncs.Before, "%s: %w", name, err)
	}
	cmd.Redact, cmd.Slack, cmd.Unfinished = s.Redact, s.LongestSecret(), s.Unfinished
	if req.Stream {
		cmd.Live = told(s, "")
	}
	cmd.Begin = noted(s, e.Name)
	res, err := p.carryOut(ctx, s, e, cmd)
	if err != nil {
		return ExecResult{}, err
	}
	if res.Cut && s.Log != nil {
		s.Log("warn", e.Name+": "+cutWords)
	}
	return newExecResult(e.Name, res), nil
}

// target returns the endpoint that a call is about, as the session's broker gives
// it, and lets the session know the secrets.
func target(ctx context.Context, s *hostfuncs.Session, function, name, credential string) (Endpoint, error) {
	t, err := s.Broker.Target(ctx, s, function, name)
	if err != nil {
		return Endpoint{}, err
	}
	hostfuncs.Note(ctx, t.Name, "")
	if t.Protocol != "" && t.Protocol != "ssh" {
		return Endpoint{}, hostfuncs.Errorf(hostfuncs.BadRequest, hostfuncs.Before, "%s: target %s speaks %s, not ssh; set its protocol in the inventory", function, t.Name, t.Protocol)
	}
	cred, err := s.Broker.Credential(ctx, s, function, t, credential)
	if err != nil {
		return Endpoint{}, err
	}
	e := newEndpoint(s, t, cred, s.Check(function, t.Address))
	if !t.Jump {
		return e, nil
	}
	hops, err := s.Broker.Route(ctx, s, t)
	for _, h := range hops {
		e.Via = append(e.Via, newEndpoint(s, h.Target, h.Credential, h.Check))
	}
	return e, err
}

// newEndpoint is a target as the pool takes it. The session gets to know the
// secrets.
func newEndpoint(s *hostfuncs.Session, t hostfuncs.Target, cred hostfuncs.Credential, check hostfuncs.Check) Endpoint {
	s.Opened(cred.Secrets()...)
	return Endpoint{
		Tenant: s.Tenant, Name: t.Name, Host: t.Address, Port: t.Port, HostKeys: t.HostKeys, Profile: Profile(t.SSH.Profile),
		Trust:      Trust{Authorities: t.SSH.Authorities, Revoked: t.SSH.Revoked, KRL: t.SSH.KRL, FirstUse: t.SSH.FirstUse, Rotate: t.SSH.Rotate},
		Credential: cred, Check: check, Revision: t.Revision,
		Learn: func(ctx context.Context, keys hostfuncs.HostKeys) ([]string, error) {
			return s.Broker.LearnHostKeys(ctx, s, t, keys)
		},
	}
}

// noted returns what commits the intent to act on a target.
func noted(s *hostfuncs.Session, name string) func(context.Context, string) error {
	return func(ctx context.Context, hash string) error {
		hostfuncs.Note(ctx, name, hash)
		return s.Begin(ctx, hash)
	}
}

// faults gathers what is wrong with a request.
type faults []error

func (f *faults) add(bad bool, text string) {
	if bad {
		*f = append(*f, errors.New(text))
	}
}

// call checks what the requests of all functions have.
func (f *faults) call(target, credential string, timeoutMS int64) {
	f.add(len(target) > 253 || len(credential) > 253, "target or credential is longer than 253 characters")
	f.add(timeoutMS < 0 || timeoutMS > maxTimeout.Milliseconds(), "timeout_ms is not between 0 and 86400000")
}

func (f faults) err(function string) error {
	if len(f) == 0 {
		return nil
	}
	return hostfuncs.Errorf(hostfuncs.BadRequest, hostfuncs.Before, "%s: %w", function, errors.Join(f...))
}

// command checks a request against the schema's bounds and returns the command.
func (r ExecRequest) command(limit int) (Command, error) {
	var f faults
	script, argv := r.Script != "", len(r.Argv) > 0
	f.add(script == argv, "give exactly one of argv and script")
	f.add(argv && (len(r.Args) > 0 || len(r.Interpreter) > 0), "args and interpreter belong to script; put all into argv")
	f.add(script && (r.Stdin != "" || len(r.StdinBase64) > 0), "a script has its standard input for itself; stdin belongs to argv")
	f.add(r.Stdin != "" && len(r.StdinBase64) > 0, "give one of stdin and stdin_base64")
	f.add(strings.ContainsRune(r.Script, 0), "the script has a NUL character")
	f.add(len(r.Argv) > maxArgs || len(r.Args) > maxArgs || len(r.Interpreter) > 64, "too many arguments: 16384 is the most, and 64 for interpreter")
	f.add(len(r.Env) > maxEnv, "too many environment variables: 256 is the most")
	f.call(r.Target, r.Credential, r.TimeoutMS)
	f.add(r.MaxOutputBytes < 0 || r.MaxOutputBytes > maxOutput, "max_output_bytes is not between 0 and 67108864")
	c := Command{Argv: r.Argv, Stdin: []byte(r.Stdin), Env: r.Env, Timeout: time.Duration(r.TimeoutMS) * time.Millisecond}
	if len(r.StdinBase64) > 0 {
		c.Stdin = r.StdinBase64
	}
	if script {
		c.Argv, c.Stdin = append(r.interpreter(), r.Args...), []byte(r.Script)
	}
	c.PTY, c.IdleTimeout = r.terminal(&f), time.Duration(r.IdleTimeoutMS)*time.Millisecond
	f.add(r.IdleTimeoutMS < 0 || r.IdleTimeoutMS > maxTimeout.Milliseconds(), "idle_timeout_ms is not between 0 and 86400000")
	c.Become = r.Become.plan(&f)
	c.MaxOutput = outputCap(r.MaxOutputBytes, limit)
	if err := errors.Join(f...); err != nil {
		return c, err
	}
	return c, c.Validate()
}

// interpreter returns a copy, which the caller may append to.
func (r ExecRequest) interpreter() []string {
	if len(r.Interpreter) == 0 {
		return []string{"/bin/sh", "-s", "--"}
	}
	return append([]string(nil), r.Interpreter...)
}

// outputCap is the smaller of what is asked for and what the session allows,
// where either is given.
func outputCap(asked, allowed int) int {
	if allowed <= 0 {
		allowed = defaultMaxOutput
	}
	if asked <= 0 {
		return allowed
	}
	return min(asked, allowed)
}

func newExecResult(target string, r Result) ExecResult {
	out := ExecResult{
		Target: target, ExitCode: r.ExitCode, Signal: r.Signal, DurationMS: r.Duration.Milliseconds(), PTY: r.Terminal, OutputCut: r.Cut,
		StdoutTruncated: r.Stdout.Truncated, StdoutBytes: r.Stdout.Total,
		StderrTruncated: r.Stderr.Truncated, StderrBytes: r.Stderr.Total,
	}
	out.Stdout, out.StdoutBase64 = textOrBytes(r.Stdout.Bytes)
	out.Stderr, out.StderrBase64 = textOrBytes(r.Stderr.Bytes)
	return out
}

func textOrBytes(b []byte) (text string, raw []byte) {
	if utf8.Valid(b) {
		return string(b), nil
	}
	return "", b
}
