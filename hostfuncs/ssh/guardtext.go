package ssh

// The shell texts of guarded execution. Like those of wrapper.go they have no
// newline, backslash, single quote or exclamation mark. Their variables begin with
// _g, as the command inherits each name that its environment already had.
//
// A journal is a folder BASE/TOKEN. In it:
//
//	go             a symbolic link that leads nowhere: its text says who has the
//	               command. Making it is the one atomic step that gives the right to
//	               run the command, and it is never replaced. "1,killed": nobody ever
//	               has it; "1,removed": somebody has, and removed the journal meanwhile.
//	exit           the same: how the command ended
//	out.N, err.N   what it wrote; N is the recorder's process id. With .pid, who
//	               keeps it; with .all, how much came
//	in.N           the command's text and standard input, until it has begun

// guardCommon are functions of all texts. _gstart says when a process that lives
// began, in ticks.
const guardCommon = `_gstart() { { IFS= read -r _gl </proc/$1/stat; } 2>/dev/null || return 1; set -- ${_gl##*) }; case $1 in Z|X) return 1;; esac; echo "${20}"; }; ` +
	`_gboot() { { IFS= read -r _gl </proc/sys/kernel/random/boot_id; } 2>/dev/null || _gl=-; echo "$_gl"; }; `

// guardChild becomes the command once it has the right to: it makes the link go
// with its own identity, forgets the input's name, and turns into the command. Its
// arguments: journal, input, the command's hash, recorder's id and start, umask.
// The text that fetches the command follows.
const guardChild = guardCommon + `_gs=$(_gstart $$); ln -s "1,$$,${_gs:--},$(_gboot),$3,$4,$5" "$1/go" 2>/dev/null || exit 125; ` +
	`rm -f "$1"/in.*; umask "$6"; unset _gs _gl; unset -f _gstart _gboot; set --; `

// guardRecorder runs the command and writes down how it ended. It leads a session
// of its own, so the connection's end does not reach it. Its arguments: journal,
// input, hash, umask, blocks of 512 bytes kept of each stream, bytes that may come, the child's text, the base, and journals whose output nobody needs.
//
// The shell says on its own standard error when a signal ended the command, which
// the exit code alone does not tell.
const guardRecorder = guardCommon + `umask 077; _gj=$1; _gk=$5; _gd=$6; _gs=$(_gstart $$); _gs=${_gs:--}; ` +
	`_gmine() { case $(readlink "$_gj/go") in *",$$,$_gs") return 0;; esac; return 1; }; ` +
	`_gkeep() { _gf=$_gj/$1.$$; _gm=$( (trap "" XFSZ; ulimit -f $_gk; read -r _gp _gm </proc/self/stat || _gp=-; echo $_gp >"$_gf.pid"; exec tee "$_gf" 2>/dev/null) | head -c $_gd | wc -c); ` +
	`if [ $_gm -ge $_gd ]; then : >"$_gj/flood"; _gp=$(readlink "$_gj/go"); _gp=${_gp#*,}; kill -s KILL -- -${_gp%%,*}; fi; echo $_gm >"$_gf.all"; }; ` +
	`{ { (exec setsid /bin/sh -c "$7" sh "$_gj" "$2" "$3" $$ "$_gs" "$4" <"$2" 2>&4 3>&- 4>&-); _gr=$?; ` +
	`if _gmine; then _gw=; [ -s "$_gj/said.$$" ] && _gw=s; ln -s "$_gr,$_gw" "$_gj/exit"; fi; } ` +
	`2>"$_gj/said.$$" 4>&1 >&3 | _gkeep err >/dev/null 3>&-; } 3>&1 2>/dev/null | _gkeep out; ` +
	`rm -f "$_gj/said.$$" "$2"; _gmine || rm -f "$_gj"/*.$$ "$_gj"/*.$$.*; ` + guardClean

// guardClean removes what is no longer of use: the output of journals that the
// host names, and of those that ended a day ago; after a week all of a journal
// whose command does not run. What is left until then keeps a command from running
// again.
const guardClean = `_gb=$8; shift 8; _gwipe() { if [ -L "$1/exit" ]; then rm -f "$1"/out.* "$1"/err.*; fi; }; ` +
	`for _gt in "$@"; do _gwipe "$_gb/$_gt"; done; ` +
	`find "$_gb" -type l -name exit -mtime +0 2>/dev/null | while read -r _gt; do _gwipe "${_gt%/exit}"; done; ` +
	`find "$_gb" -type d -name "g-*" -mtime +6 2>/dev/null | while read -r _gt; do ` +
	`if [ -L "$_gt/go" ] && [ "$(_gboot)" = "$(readlink "$_gt/go" | cut -d , -f 4)" ] && _gstart "$(readlink "$_gt/go" | cut -d , -f 2)" >/dev/null; then continue; fi; ` +
	`mv "$_gt" "$_gb/old.$$" && rm -rf "$_gb/old.$$"; done`

// guardBase makes the base and looks whether it is ours alone. Arguments: nonce,
// base, journal's name.
const guardBase = `exec 2>/dev/null; _gn=$1; _gb=$2; _gj=$2/$3; _gsay() { echo "$_gn $*"; exit 0; }; ` +
	`_gu=$(umask); umask 077; _ge=$(LC_ALL=C mkdir "$_gb" 2>&1); ` +
	`[ -L "$_gb" ] && _gsay alien; [ -d "$_gb" ] || _gsay base "$_ge"; [ -O "$_gb" ] || _gsay alien; chmod 700 "$_gb"; ` +
	`_gf=; _ge=$(LC_ALL=C mkdir "$_gj" 2>&1) && _gf=new; [ -L "$_gj" ] && _gsay alien; [ -d "$_gj" ] || _gsay base "$_ge"; `

// guardLeft says in go that a journal was removed where it is new and a recorder of it
// lives: it would be made again, and the command run again. A recorder is known by its
// text and the journal's path in its arguments, of which /proc shows one line without NUL. _gage says whether the target, which may have
// lost journals when it was restarted, has been up for so many seconds.
const guardLeft = `_gage() { { read -r _gl _gs </proc/uptime; } || return 1; _gs=$(_gstart 1) || return 1; _gs=$((${_gl%%.*} - _gs / 100)); [ $_gs -ge $1 ]; }; ` +
	`_gleft() { [ -n "$_gf" ] || return 0; for _gf in /proc/[0-9]*/cmdline; do { IFS= read -r _gl <"$_gf"; } 2>/dev/null; ` +
	`case $_gl in *_gkeep*"$_gj"*) ln -s 1,removed "$_gj/go"; return;; esac; done; }; `

// guardStart begins the command, where none has begun; guardFollow finds it, and
// waits for its end, and says on standard output how it ended and what it wrote. Arguments beyond those of
// guardBase: hash, bytes of input, blocks and bytes kept, bytes that may
// come, seconds since an earlier attempt may have begun the command (0: none), how many
// journals there may be, the texts of recorder and child, the claim that the host has seen
// there ("": none), and journals whose output nobody needs. A claim that was seen is made
// again where the journal has lost it.
//
// Where an earlier attempt may have begun it and no journal says so, a target that
// was restarted since may have lost the journal: what has process id 1 is younger.
const guardStart = guardCommon + guardBase + guardLeft +
	`_gh=$4; _gz=$5; _gk=$6; _gc=$7; _gd=$8; _ga=$9; shift 9; _gq=$1; _gr=$2; _gx=$3; _gy=$4; shift 4; ` +
	`if [ -n "$_gy" ]; then ln -s "$_gy" "$_gj/go"; elif [ $_ga = 0 ]; then :; else _gleft; fi; ` +
	`if [ -n "$_gy" ] || [ -L "$_gj/go" ]; then :; else ` +
	`command -v setsid >/dev/null || _gsay lacks setsid; command -v readlink >/dev/null || _gsay lacks readlink; ` +
	`[ $_ga = 0 ] || _gage $_ga || _gsay young; ` +
	`[ $(ls "$_gb" | wc -l) -le $_gq ] || { rmdir "$_gj"; _gsay many; }; ` +
	`_gi=$_gj/in.$$; _ge=$( { LC_ALL=C cat >"$_gi"; } 2>&1); ` +
	`[ $(($(wc -c <"$_gi"))) -ge $_gz ] || { rm -f "$_gi"; rmdir "$_gj"; _gsay short "$_ge"; }; ` +
	`setsid /bin/sh -c "$_gr" sh "$_gj" "$_gi" "$_gh" "$_gu" $_gk $_gd "$_gx" "$_gb" "$@" </dev/null >/dev/null 2>&1`

// guardText is the whole. The recorder does not hold the place open that is told to. It
// waits nowhere until the command has ended, without /proc neither. Where the output is
// told, it is every third turn: each costs processes.
const guardText = guardTells + guardStart + ` 9>&- & ` +
	`_gp=$!; _gt=0; until [ -L "$_gj/exit" ]; do ` +
	`if [ -n "$(_gstart $$)" ]; then [ -n "$(_gstart $_gp)" ] || break; else kill -s 0 $_gp || break; fi; ` +
	`if [ $_gt -gt 20 ] && [ -L "$_gj/go" ]; then break; fi; sleep 0.01 || { sleep 1; _gt=20; }; _gt=$((_gt+1)); done; fi; ` +
	guardFollow + guardTell + `_gw=0; while :; do ` + guardLook +
	`if [ $_gw = 0 ]; then _gtell $6; _gw=3; fi; _gw=$((_gw-1)); sleep 0.1 || { sleep 1; _gw=0; }; done`

// guardFollow finds the claim of a command that has begun, and can report. What
// keeps a stream has a second to come to its end: then something that the command
// left behind holds the stream open. Whoever keeps it and does not sleep has more to
// write, and is waited for.
const guardFollow = `_glive() { if [ "$2" = - ]; then kill -s 0 $1; else [ "$(_gstart $1)" = $2 ]; fi; }; ` +
	`_gsize() { if [ -f "$1" ]; then _gl=$(($(wc -c <"$1"))); else _gl="- 0"; return; fi; ` +
	`_gm=$_gl; if [ -f "$1.all" ]; then read -r _gm <"$1.all"; fi; if [ $_gl -gt $_gc ]; then _gl=$_gc; fi; _gl="$_gl $_gm"; }; ` +
	`_gbusy() { [ -s "$1.all" ] && return 1; [ $_gt -lt 20 ] && return 0; ` +
	`{ IFS= read -r _gm <"$1.pid" || _gm=; } 2>/dev/null; [ "$_gm" = - ] && return 1; ` +
	`{ IFS= read -r _gl </proc/${_gm:-x}/stat; } 2>/dev/null || { [ $_gt -lt 200 ] && _glive $2 $3; return; }; case ${_gl##*) } in S*) return 1;; esac; }; ` +
	`_greport() { _gt=0; while _gbusy "$_gj/out.$1" $1 $2 || _gbusy "$_gj/err.$1" $1 $2; do sleep 0.05 || { sleep 1; _gt=20; }; _gt=$((_gt+1)); done; ` +
	`_gsize "$_gj/out.$1"; _go=$_gl; _gsize "$_gj/err.$1"; _ge=$_gl; _gf=; [ -f "$_gj/flood" ] && _gf=f; ` +
	`_gx=$(readlink "$_gj/exit"); echo "$_gn ended $_gx,$_gf $_go $_ge"; ` +
	`[ "$_go" = "- 0" ] || head -c ${_go% *} "$_gj/out.$1"; [ "$_ge" = "- 0" ] || head -c ${_ge% *} "$_gj/err.$1"; exit 0; }; ` +
	`_gg=$(readlink "$_gj/go") || _gsay unclaimed; case $_gg,$_gy in 1,killed,) _gsay killed;; 1,removed,) _gsay removed;; 1,killed,*|1,removed,*) _gg=$_gy;; esac; ` +
	`IFS=,; set -- $_gg; unset IFS; [ "$5" = "$_gh" ] || _gsay other; echo "$_gn-began $_gg" >&9; `

// guardLook looks once whether the command has ended.
const guardLook = `[ -L "$_gj/exit" ] && _greport $6 $7; [ "$4" = "$(_gboot)" ] || _gsay restarted $2; ` +
	`_glive $2 $3 || _glive $6 $7 || { [ -L "$_gj/exit" ] && _greport $6 $7; _gsay gone $2; }; `

// guardKill sees to it that the command does not run any more: one that has not
// begun never can. Arguments beyond those of guardBase: twentieths of a second
// between TERM and KILL, killText, seconds as guardStart has them, and the claim that the
// host has seen, by which the process is known where the journal has lost it.
const guardKill = guardCommon + guardBase + guardLeft +
	`if [ -z "$7" ]; then _gleft; [ -L "$_gj/go" ] || [ $6 = 0 ] || _gage $6 || _gsay young; ln -s 1,killed "$_gj/go" && _gsay unborn; fi; ` +
	`_gg=$(readlink "$_gj/go") || _gg=$7; case $_gg,$7 in ,) _gsay unclaimed;; 1,killed,) _gsay unborn;; 1,removed,) _gsay removed;; 1,killed,*|1,removed,*) _gg=$7;; esac; ` +
	`_gy=$4; _gx=$5; IFS=,; set -- $_gg; unset IFS; [ "$4" = "$(_gboot)" ] || _gsay dead; ` +
	`exec /bin/sh -c "$_gx" sh "$_gn" $2 $3 group $_gy $2`
