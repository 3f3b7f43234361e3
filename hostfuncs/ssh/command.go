package ssh

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Command is what to run.
type Command struct {
	// Argv is the program and its arguments; no shell reads them. A script is
	// run by an interpreter that reads it from Stdin (/bin/sh -s).
	Argv []string
	// Stdin is the program's standard input; it ends after these bytes.
	Stdin []byte
	// Env is added to the environment that the target gives.
	Env map[string]string
	// Timeout bounds the whole call; 0: ctx alone does.
	Timeout time.Duration
	// IdleTimeout ends the command when it has written nothing for so long; 0: it
	// may be silent.
	IdleTimeout time.Duration
	// PTY: the command has a terminal; nil: none. Its two streams are one then, and
	// Stdin, where there is any, is a pipe all the same: it cannot have a NUL
	// character, and ends with a line feed.
	PTY *Terminal
	// Become: it runs as another user; nil: as the one that logs in.
	Become *Become
	// MaxOutput is how many bytes of stdout and of stderr each are kept; 0: 1 MiB.
	MaxOutput int
	// Redact takes secrets out of an output before it is cut to MaxOutput, and
	// Slack is the length in bytes of the longest text that it looks for. nil:
	// outputs are returned as they are.
	Redact func([]byte) []byte
	Slack  int
	// Unfinished says how many bytes at the end of an output whose end did not come may be
	// the beginning of a secret, so that they are left out. nil: Slack bytes are.
	Unfinished func([]byte) int
	// Live is who is told the output as it comes; nil: nobody.
	Live *Live
	// Begin is called when connection and channel stand, right before the request
	// to run the command leaves, with the command's Hash. When it fails nothing is
	// sent and its error is returned. nil: nothing is called.
	Begin func(ctx context.Context, hash string) error

	// follows: it only looks after another one, and ends by itself.
	follows bool
	// telling takes what it tells of the other's output out of its own; nil: it tells
	// nothing.
	telling *telling
}

// Result is how a command ended. One of ExitCode and Signal is set, or none when
// the server closed the session without a word of how the command ended.
type Result struct {
	ExitCode *int   // nil when a signal ended it
	Signal   string // without SIG: TERM, KILL
	Stdout   Output
	Stderr   Output
	Duration time.Duration
	// Terminal: the command had a terminal, so both streams are in Stdout.
	Terminal bool
	// Cut: the command has ended as it says here, and what it wrote did not come to its
	// end, or may not have: the connection was lost in between, or the rest was not waited
	// for any longer (Options.DrainMost, or the call was over). Both outputs are
	// Truncated then.
	Cut bool
}

// Output is what a command wrote to one stream.
type Output struct {
	Bytes     []byte // what is kept, from the beginning
	Total     int64  // bytes that came
	Truncated bool   // not all is kept, or not all came (Result.Cut)
}

// defaultMaxOutput is what is kept of a stream when nobody says.
const defaultMaxOutput = 1 << 20

// inlineMax is how long a command may be to travel in the exec request. Longer
// ones, those with an environment (which ps would show) and those with characters
// that some login shells change even in quotes go through standard input.
const inlineMax = 32 << 10

// safeMax is what every target takes of arguments and environment, beside the
// account's own; more is tried out there before the command is begun.
const safeMax = 64 << 10

// long reports whether a target may not take the arguments and the environment.
func (c Command) long() bool { return c.size() > safeMax }

// size is how many bytes arguments and environment are.
func (c Command) size() (n int) {
	for _, a := range c.Argv {
		n += len(a) + 1
	}
	for name, value := range c.Env {
		n += len(name) + len(value) + 2
	}
	return n
}

// Hash returns the SHA-256, in hexadecimal, of the command's arguments, standard
// input and environment, and of the user that it becomes.
func (c Command) Hash() string {
	h := sha256.New()
	put := func(s string) { fmt.Fprintf(h, "%d:%s,", len(s), s) }
	put(strconv.Itoa(len(c.Argv)))
	for _, a := range c.Argv {
		put(a)
	}
	put(string(c.Stdin))
	for _, name := range slices.Sorted(maps.Keys(c.Env)) {
		put(name)
		put(c.Env[name])
	}
	if b := c.Become; b != nil {
		put("become " + string(b.method()) + " " + b.user())
	}
	if c.PTY != nil {
		put("pty")
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Validate returns all that is wrong with the command. Values are not in its errors.
func (c Command) Validate() error {
	var errs []error
	switch {
	case len(c.Argv) == 0 || c.Argv[0] == "":
		errs = append(errs, errors.New("no program to run: the first argument is its name"))
	case strings.HasPrefix(c.Argv[0], "-"):
		errs = append(errs, errors.New("the program's name begins with a hyphen; give its path instead, like ./-x"))
	}
	for i, a := range c.Argv {
		if strings.ContainsRune(a, 0) {
			errs = append(errs, fmt.Errorf("argument %d has a NUL character, which no program can be given", i))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Env)) {
		errs = append(errs, checkEnv(name, c.Env[name])...)
	}
	if c.Timeout < 0 || c.IdleTimeout < 0 || c.MaxOutput < 0 {
		errs = append(errs, errors.New("a timeout or an output limit is negative"))
	}
	if c.Become != nil {
		errs = append(errs, c.Become.validate()...)
	}
	if c.PTY != nil {
		errs = append(errs, c.PTY.validate()...)
	}
	if c.terminal() && bytes.IndexByte(c.Stdin, 0) >= 0 {
		errs = append(errs, errors.New("standard input has a NUL character, which cannot be passed on where there is a terminal"))
	}
	return errors.Join(errs...)
}

// terminal reports whether the command gets a terminal, asked for or not.
func (c Command) terminal() bool { return c.PTY != nil || c.Become != nil && c.Become.terminal() }

// staged reports whether a shell has to be waited for before it is sent anything.
func (c Command) staged() bool { return c.PTY != nil || c.Become != nil }

// shells is what a shell does not pass on as it was set: it counts there, keeps lists
// there, or reads a number from the value, which may run commands ("a[$(id)]").
var shells = regexp.MustCompile(`^(_|_oc.*|PPID|E?UID|SHELLOPTS|SHLVL|BASH.*|OPTIND|LINENO|S?RANDOM|SECONDS|EPOCHSECONDS|EPOCHREALTIME|DIRSTACK|FUNCNAME|GROUPS|HISTCMD|PIPESTATUS)$`) //nolint:gochecknoglobals // a constant

func checkEnv(name, value string) []error {
	var errs []error
	switch {
	case !regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`).MatchString(name):
		errs = append(errs, fmt.Errorf("%.64q is not a name for an environment variable: letters, digits and _, no digit first", name))
	case shells.MatchString(name) && name != "BASH_ENV":
		errs = append(errs, fmt.Errorf("environment variable %s belongs to the shell and cannot be set", name))
	}
	if strings.ContainsRune(value, 0) {
		errs = append(errs, fmt.Errorf("the value of environment variable %.64q has a NUL character", name))
	}
	return errs
}
