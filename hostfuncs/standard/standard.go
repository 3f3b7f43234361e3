// Package standard is the one visible list of all host functions.
package standard

import (
	"opsconductor.dev/hostfuncs"
	"opsconductor.dev/hostfuncs/probe"
	"opsconductor.dev/hostfuncs/ssh"
)

// Options are the settings of the functions; zero fields take their defaults.
type Options struct {
	SSH   ssh.Options
	Probe probe.Options
}

// Set is the host functions of one host, and what they keep open.
type Set struct {
	funcs []hostfuncs.Func
	pool  *ssh.Pool
}

// New returns the functions; Close ends what they keep open.
func New(o Options) *Set {
	pool := ssh.NewPool(o.SSH)
	s := &Set{pool: pool}
	s.funcs = append(s.funcs, ssh.Functions(pool)...)
	s.funcs = append(s.funcs, probe.Functions(o.Probe)...)
	s.funcs = append(s.funcs, hostfuncs.New("log", "Writes to the attempt's log.", false, logLine))
	return s
}

// Functions returns all host functions. The slice is the caller's own.
func (s *Set) Functions() []hostfuncs.Func { return append([]hostfuncs.Func(nil), s.funcs...) }

// Close closes what the functions keep open and waits for it. Calls in flight
// end with an error.
func (s *Set) Close() error { return s.pool.Close() }
