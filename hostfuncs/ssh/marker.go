package ssh

import (
	"bytes"
	"strconv"
	"strings"
)

// process is what the wrapper said of itself.
type process struct {
	pid   int
	group int    // 0: not known
	start string // ticks since boot, as /proc has it; "": not known
	shell string // name of the account's login shell; "": not known
	// within: it may be any member of its group, which is the command's alone.
	within bool
}

// leader reports whether the process leads its own group: by what it said, or
// because without /proc OpenSSH's own setsid is taken for granted.
func (p process) leader() bool { return p.group == 0 || p.group == p.pid }

// markerMax is how much a login shell may write to standard error before the
// wrapper's line.
const markerMax = 64 << 10

// taker takes a stream in parts, which it must not keep.
type taker interface{ write(part []byte) }

// marker takes the wrapper's line out of standard error. What comes before it
// (the login shell's noise) is kept back until the line has come.
type marker struct {
	nonce string
	next  taker
	held  []byte
	done  bool
	found func(process)
}

// Write takes a part of standard error.
func (m *marker) write(b []byte) {
	if m.done {
		m.next.write(b)
		return
	}
	m.held = append(m.held, b...)
	at := bytes.Index(m.held, []byte(m.nonce+" "))
	if at < 0 {
		if len(m.held) > markerMax {
			m.flush()
		}
		return
	}
	end := bytes.IndexByte(m.held[at:], '\n')
	if end < 0 {
		if len(m.held) > markerMax {
			m.flush()
		}
		return
	}
	line := string(m.held[at : at+end])
	m.held = append(m.held[:at], m.held[at+end+1:]...)
	if p, ok := parseMarker(line); ok {
		m.found(p)
	}
	m.flush()
}

// flush gives up what is held back.
func (m *marker) flush() {
	m.done = true
	m.next.write(m.held)
	m.held = nil
}

// parseMarker reads NONCE PID [PGRP SESSION … STARTTIME …] [shell=NAME], the fields
// that /proc/PID/stat has after the parent's id.
func parseMarker(line string) (process, bool) {
	line, shell, _ := strings.Cut(line, " "+shellMark)
	f := strings.Fields(line)
	if len(f) < 2 {
		return process{}, false
	}
	pid, err := strconv.Atoi(f[1])
	if err != nil || pid <= 1 {
		return process{}, false
	}
	p := process{pid: pid, shell: shell}
	const startField = 2 + 22 - 5 // the nonce and our pid stand before field 5
	if len(f) <= startField {
		return p, true
	}
	if p.group, err = strconv.Atoi(f[2]); err != nil || p.group < 0 {
		p.group = 0
	}
	if _, err := strconv.ParseUint(f[startField], 10, 64); err == nil {
		p.start = f[startField]
	}
	return p, true
}
