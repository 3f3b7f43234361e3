package ssh

import (
	"bytes"
	"context"
	"strconv"
	"strings"
	"time"

	"opsconductor.dev/hostfuncs"
)

// report is what the wrapper says of a command: a word, what belongs to it, and
// the bytes after the line.
type report struct {
	word string
	args []string
	rest []byte
}

// parseReport finds the wrapper's line in what a session gave. A login shell may
// have written before it.
func parseReport(b []byte, nonce string) (report, bool) {
	at := bytes.Index(b, []byte(nonce+" "))
	if at < 0 {
		return report{}, false
	}
	line, rest, ended := bytes.Cut(b[at+len(nonce)+1:], []byte("\n"))
	f := strings.Fields(string(line))
	if !ended || len(f) == 0 {
		return report{}, false
	}
	return report{f[0], f[1:], rest}, true
}

// short reports whether a report of a command's end does not have all the output that
// it announces: the server says that what follows the command has ended before it has
// sent all that this wrote, so the connection may be lost between.
func (said report) short() bool {
	if said.word != "ended" || len(said.args) != 5 {
		return false
	}
	out, err := strconv.Atoi(said.args[1])
	more, err2 := strconv.Atoi(said.args[3])
	return err == nil && err2 == nil && (out > len(said.rest) || more > len(said.rest)-out)
}

// judge turns the report into the call's result.
func (r *guarded) judge(ctx context.Context, said report) (Result, error) {
	place, words := r.endpoint.place(), strings.Join(said.args, " ")
	switch said.word {
	case "base", "short", "many", "alien", "lacks", "unclaimed":
		if r.telling.claim() == "" {
			return Result{}, r.noJournal(said.word, words)
		}
	}
	if r.guard.Heard != nil {
		r.guard.Heard()
	}
	doubt := func(format string, args ...any) (Result, error) {
		return Result{}, hostfuncs.Errorf(hostfuncs.Lost, hostfuncs.After, place+": "+format, args...)
	}
	switch said.word {
	case "ended":
		return r.ended(ctx, said)
	case "gone":
		return doubt("the command had begun (process %s), and is gone without an exit code: somebody killed it with what looked after it, or removed its journal, or the target ran out of memory; how far it came is not known", words)
	case "removed":
		return doubt("somebody removed the command's journal while it ran: what becomes of it is not known, and it is not begun again")
	case "base", "short", "many", "alien", "lacks", "unclaimed":
		return doubt("the command had begun, and there is no journal of it any more (%.100s): what becomes of it is not known", said.word+" "+words)
	case "restarted":
		return doubt("the target was restarted while the command ran (process %s): how far it came is not known", words)
	case "young":
		return doubt("the target was restarted after the command may have been begun there, and its journal may have been lost with that: whether it ran is not known")
	case "killed":
		e := hostfuncs.Errorf(hostfuncs.Cancelled, hostfuncs.After, "%s: the command was cancelled before it had begun", place)
		e.Stopped = true
		return Result{}, e
	case "other":
		return Result{}, hostfuncs.Errorf(hostfuncs.Protocol, hostfuncs.After, "%s: an earlier attempt has begun another command in this one's place: the action has to call the same commands in the same order each time", place)
	}
	return Result{}, hostfuncs.Errorf(hostfuncs.Protocol, hostfuncs.After, "%s: the journal's state is not one that is known", place)
}

// noJournal is the error of a target that can't keep a journal, so that the
// command was not begun by this call.
func (r *guarded) noJournal(word, words string) *hostfuncs.Error {
	base := r.base() + "-UID"
	code, why := hostfuncs.Protocol, ""
	switch {
	case word == "many":
		code, why = hostfuncs.Quota, "there are more than "+strconv.Itoa(maxJournals)+" journals already; those that have ended go after a week, or remove old ones"
	case word == "alien":
		why = "it is a symbolic link or belongs to another user; remove it, and find out who made it"
	case word == "lacks":
		why = "there is no " + words + " on the account's PATH, which guarded commands need; install it, or give the step another effect"
	case strings.Contains(words, "No space left") || strings.Contains(words, "quota exceeded"):
		code, why = hostfuncs.Quota, "its disk is full; make room"
	case strings.Contains(words, "Read-only"):
		why = "its file system is mounted read-only; mount it to be written, or give the step another effect"
	case word == "unclaimed":
		why = "what was to run the command ended before it had; look for a full disk, or a limit on processes"
	default:
		why = "it can't be written there"
	}
	if words != "" && word != "lacks" {
		why += " (it said " + strconv.Quote(words[:min(len(words), 200)]) + ")"
	}
	return hostfuncs.Errorf(code, hostfuncs.Before, "%s: a guarded command needs a journal in %s: %s. The command was not begun by this", r.endpoint.place(), base, why)
}

// ended reads CODE,SIGNALLED,FLOODED and, for each stream, how many bytes
// follow and how many came.
func (r *guarded) ended(ctx context.Context, said report) (Result, error) {
	r.pool.finished(r.endpoint, "g-"+r.guard.Token)
	place := r.endpoint.place()
	broken := hostfuncs.Errorf(hostfuncs.Lost, hostfuncs.After, "%s: the report of how the command ended is cut off or not what it should be", place)
	broken.Journaled = true
	if len(said.args) != 5 {
		return Result{}, broken
	}
	how := strings.Split(said.args[0], ",")
	code, err := strconv.Atoi(how[0])
	if err != nil || len(how) != 3 {
		return Result{}, broken
	}
	if said.args[1] == "-" || said.args[3] == "-" {
		return Result{}, hostfuncs.Errorf(hostfuncs.Lost, hostfuncs.After, "%s: the command has ended (exit code %d), but what it wrote has been removed from its journal", place, code)
	}
	res := Result{Duration: time.Since(r.began), Terminal: false}
	if res.ExitCode = &code; how[1] != "" && code > 128 {
		res.ExitCode, res.Signal = nil, signalName(code-128)
	}
	rest := said.rest
	for i, out := range []*Output{&res.Stdout, &res.Stderr} {
		n, err := strconv.Atoi(said.args[1+2*i])
		total, err2 := strconv.ParseInt(said.args[2+2*i], 10, 64)
		if err != nil || err2 != nil || n < 0 || n > len(rest) || total < 0 {
			return Result{}, broken
		}
		c := &capture{keep: r.keep() - r.cmd.Slack - 1, slack: r.cmd.Slack}
		c.buf = rest[:min(n, c.keep+c.slack)]
		c.total = max(total, int64(n))
		*out, rest = c.output(r.cmd.Redact), rest[n:]
		r.telling.rest(i, c.buf, c.total)
	}
	if code == 126 && string(res.Stderr.Bytes) == r.hash+tooLongMark+"\n" {
		return Result{}, tooLong(place, r.cmd)
	}
	if how[2] != "" {
		e := hostfuncs.Errorf(hostfuncs.OutputLimit, hostfuncs.After, "%s: the command wrote more than %d bytes to one stream (max_output_bytes and %d more), so it was stopped; let it write less, or to a file", place, int64(r.keep())+r.pool.opt.Discard, r.pool.opt.Discard)
		return Result{}, r.kill(ctx, e, "")
	}
	return res, nil
}

// signalName is a signal as exit-signal names it (RFC 4254 section 6.10), by the
// numbers that POSIX systems share.
func signalName(n int) string {
	names := map[int]string{1: "HUP", 2: "INT", 3: "QUIT", 4: "ILL", 5: "TRAP", 6: "ABRT", 8: "FPE", 9: "KILL", 11: "SEGV", 13: "PIPE", 14: "ALRM", 15: "TERM"}
	if name, ok := names[n]; ok {
		return name
	}
	return strconv.Itoa(n)
}

// ending is a journal whose result was returned at a time.
type ending struct {
	key, journal string
	at           time.Time
}

// finished remembers that a journal's result was returned.
func (p *Pool) finished(e Endpoint, journal string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.endings) >= maxRemembered {
		p.endings = append(p.endings[:0], p.endings[1:]...)
	}
	p.endings = append(p.endings, ending{e.place(), journal, time.Now()})
}

// released takes the journals on an endpoint whose result was returned so long ago
// that it is stored, or nobody will store it.
func (p *Pool) released(e Endpoint) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []string
	kept := p.endings[:0]
	for _, f := range p.endings {
		if f.key == e.place() && len(out) < maxReleased && time.Since(f.at) > releaseAfter {
			out = append(out, f.journal)
			continue
		}
		kept = append(kept, f)
	}
	p.endings = kept
	return out
}
