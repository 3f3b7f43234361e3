package ssh

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// The shell texts here have no newline, backslash, single quote or exclamation
// mark, so that every login shell (csh and fish too) passes them on unchanged
// inside single quotes, and use only what POSIX gives a shell without a terminal.

// announce writes NONCE PID PGRP REST to standard error without starting a
// process. Without /proc PGRP and REST are empty. IFS may be the command's already.
const announce = `echo "%s $$ $_oc5 $_oc6" >&2; `

// announceShell is announce with the name of the account's login shell, as sshd has it.
const announceShell = `echo "%s $$ $_oc5 $_oc6 ` + shellMark + `${SHELL##*/}" >&2; `

// lookUp finds out what announce says. OpenSSH has made the shell a group leader
// already; where a server has not, setsid, if it is there, will.
const lookUp = `{ read -r _oc1 _oc2 _oc3 _oc4 _oc5 _oc6 </proc/$$/stat; } 2>/dev/null; _oc7=; ` +
	`[ "${_oc5:-$$}" = $$ ] || { _oc7=$(command -v setsid) && _oc5=$$; }; `

// become turns the shell into the command, in the same process. setsid keeps the
// process id too, as the shell leads no group.
const become = `[ -z "$_oc7" ] || exec "$_oc7" "$@"; exec "$@"`

// fetch reads a command of a known length from standard input, byte by byte so
// that what follows is left for the command, and runs it. The text is one
// compound command: a part of it does not run.
const fetch = `_oc0=$(dd ibs=1 obs=65536 count=%d 2>/dev/null) || exit 125; eval "$_oc0"`

// wrapped is a command ready to be sent.
type wrapped struct {
	exec  string // the exec request's command
	stdin []byte // what goes before the command's own standard input
}

// lookUpHere is lookUp in a terminal: setsid would take the command away from
// it, and its process group has nobody else's processes.
const lookUpHere = `_oc5=; { read -r _oc1 _oc2 _oc3 _oc4 _oc5 _oc6 </proc/$$/stat; } 2>/dev/null; _oc7=; `

// tryOut ends the shell where the target would not start a program with these
// arguments in this environment (execve: E2BIG), after saying so.
const tryOut = `/bin/sh -c : "$@" </dev/null >/dev/null 2>&1 || { echo %s >&2; exit 126; }`

// tooLongMark stands behind the nonce where arguments and environment are too long.
const tooLongMark = "-too-long"

// isReady says that the shell waits for the command's text.
const isReady = `n=%s; echo "$n` + readyMark + `" >&2; `

// wrap returns the text that runs a valid command under the nonce, in an account of
// which it is known whether its login shell is bash.
func wrap(c Command, nonce string, bash bool) wrapped {
	if c.staged() {
		return stagedWrap(c, nonce)
	}
	says := fmt.Sprintf(announceShell, nonce)
	if args := Join(c.Argv); len(c.Env) == 0 && len(args) <= inlineMax && !strings.ContainsAny(args, "\n\\!") {
		first := ""
		if bash {
			first = inBash(c.Argv, nonce)
		}
		return wrapped{exec: first + "exec /bin/sh -c " + Quote(lookUp+says+become) + " sh " + args}
	}
	text := script(c, nonce, lookUp, says+become)
	return wrapped{exec: "exec /bin/sh -c " + Quote(fmt.Sprintf(fetch, len(text))) + " sh", stdin: []byte(text)}
}

// script is the text that a shell fetches: one compound command. first runs before
// the environment is set, last after it.
func script(c Command, nonce, first, last string) string {
	var b strings.Builder
	b.WriteString("{ set -- " + Join(c.Argv) + "\n" + first)
	for _, name := range slices.Sorted(maps.Keys(c.Env)) {
		b.WriteString("\nexport " + name + "=" + Quote(c.Env[name]))
		if strings.HasPrefix(name, "LC_") || name == "LANG" {
			b.WriteString(" 2>/dev/null") // bash says on standard error that it does not know a locale
		}
	}
	if c.long() {
		b.WriteString("\n" + fmt.Sprintf(tryOut, nonce+tooLongMark))
	}
	b.WriteString("\n" + last + "\n}")
	return b.String()
}

// stagedWrap is wrap for a command in a terminal, or as another user: a shell says
// when it is ready, and only then it is sent anything. In a terminal the command's
// standard input is a here-document of the text, as a terminal changes bytes.
func stagedWrap(c Command, nonce string) wrapped {
	first, last, inner := lookUp, become, fmt.Sprintf(isReady, nonce)
	if c.terminal() {
		first, inner = cookedTerminal+lookUpHere, rawTerminal+inner
		if len(c.Stdin) > 0 {
			last = `exec "$@" <<"` + nonce + "\"\n" + strings.TrimSuffix(string(c.Stdin), "\n") + "\n" + nonce
		} else {
			last = `exec "$@"`
		}
	}
	text := script(c, nonce, first, fmt.Sprintf(announce, nonce)+last)
	inner += fmt.Sprintf(fetch, len(text))
	w := wrapped{exec: "exec /bin/sh -c " + Quote(inner) + " sh", stdin: []byte(text)}
	if c.Become != nil {
		w.exec = c.Become.exec(nonce, "unset LC_ALL; "+inner)
	}
	return w
}

// killText ends a process group (or, with "one", a single process) and says on
// standard output, after the nonce, whether it is gone. Its arguments: nonce,
// process id, start time in ticks ("-": not known), "group" or "one", twentieths
// of a second between TERM and KILL, and the group's id.
//
// alive asks /proc where it shows all processes: there a zombie counts as gone,
// and a process of another user (sudo) as alive, which kill could not tell. A
// process id that was given to another process since is known by its start time.
// The process itself is looked at first, and time is the target's own: where there
// are thousands of processes, or much to do, looking at all takes its time.
//
// Where there is no such group and the process is there, it is in another one (without
// /proc nobody knew): it is killed alone, and "leader" is said in place of "dead".
const killText = `exec 2>/dev/null; n=$1; p=$2; b=$3; m=$4; g=$5; q=${6:-$p}; t=-$q; [ $m = group ] || t=$p; ` +
	`same() { [ $b = - ] && return 0; { IFS= read -r l </proc/$p/stat; } 2>/dev/null || return 0; set -- ${l##*) }; [ "${20}" = $b ]; }; ` +
	`alive() { ` +
	`if { IFS= read -r l </proc/1/stat; } 2>/dev/null; then ` +
	`if [ $m = one ]; then { IFS= read -r l </proc/$p/stat; } 2>/dev/null || return 1; set -- ${l##*) }; case $1 in Z|X) return 1;; esac; return 0; fi; ` +
	`if { IFS= read -r l </proc/$p/stat; } 2>/dev/null; then set -- ${l##*) }; case "$3 $1" in "$q Z"|"$q X") ;; "$q "*) return 0;; esac; fi; ` +
	`for f in /proc/[0-9]*/stat; do { IFS= read -r l <$f; } 2>/dev/null || continue; set -- ${l##*) }; ` +
	`case "$3 $1" in "$q Z"|"$q X") ;; "$q "*) return 0;; esac; done; return 1; fi; ` +
	`l=$(LC_ALL=C; export LC_ALL; kill -s 0 -- $t 2>&1) && return 0; case $l in *"o such process"*) return 1;; esac; return 0; }; ` +
	`end() { echo $n $1; exit 0; }; ` +
	`now() { { read -r l u </proc/uptime; } 2>/dev/null && u=$((${l%.*}${l#*.} / 5)); }; ` +
	`await() { i=0; s=; if now; then s=$u; fi; while [ $i -lt $1 ]; do alive || end $d; sleep 0.05 2>/dev/null || { sleep 1; i=$((i+19)); }; i=$((i+1)); ` +
	`if [ $s ] && now; then i=$((u-s)); fi; done; }; ` +
	`d=dead; same || end dead; alive || { t=$p; m=one; d=leader; alive || end dead; }; ` +
	`kill -s TERM -- $t; kill -s CONT -- $t; await $g; ` +
	`kill -s KILL -- $t; await 20; end alive`

// killArgv returns the command that stops a process.
func killArgv(nonce string, p process, grace int) []string {
	mode, group := "group", p.pid
	switch {
	case p.within:
		group = p.group
	case !p.leader():
		mode = "one"
	}
	start := p.start
	if start == "" {
		start = "-"
	}
	return []string{"/bin/sh", "-c", killText, "sh", nonce, strconv.Itoa(p.pid), start, mode, strconv.Itoa(grace), strconv.Itoa(group)}
}
