package sshtest

import (
	"fmt"
	"io"
	"regexp"

	"golang.org/x/crypto/ssh"
)

// nonce is that of the wrapper around a command.
var nonce = regexp.MustCompile(`opsconductor-[0-9a-f]{32}`) //nolint:gochecknoglobals // a constant

// quick answers a command as one that exited with code 0: with the wrapper's line,
// when there is a wrapper.
func quick(ch ssh.Channel, command string) {
	if n := nonce.FindString(command); n != "" {
		_, _ = io.WriteString(ch.Stderr(), n+" 4242\n")
	}
	_, _ = ch.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{0}))
}

// Fleet is many servers in process, of which some hang.
type Fleet struct{ Servers []*Fake }

// StartFleet starts n servers of one kind, each on a port of its own; those of
// which hangs says so take connections and never say a word. hangs nil: none.
func StartFleet(n int, c FakeConfig, hangs func(i int) bool) (*Fleet, error) {
	f := &Fleet{}
	for i := range n {
		conf := c
		if hangs != nil && hangs(i) {
			conf.Stall = Banner
		}
		s, err := StartFake(conf)
		if err != nil {
			f.Stop()
			return nil, fmt.Errorf("start server %d of %d: %w", i+1, n, err)
		}
		f.Servers = append(f.Servers, s)
	}
	return f, nil
}

// Stop ends all of them and waits for them.
func (f *Fleet) Stop() {
	for _, s := range f.Servers {
		s.stop()
	}
	for _, s := range f.Servers {
		s.Stop()
	}
}

// Execs returns how many commands each server was asked to run.
func (f *Fleet) Execs() []int {
	out := make([]int, len(f.Servers))
	for i, s := range f.Servers {
		out[i] = s.Execs()
	}
	return out
}
