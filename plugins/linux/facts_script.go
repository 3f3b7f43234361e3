package main

// factsScript prints what Facts reads: sections that begin with mark and a name.
// It is plain POSIX, also under busybox; it only reads, leaves out what a system
// doesn't have, and does not fail. It stands here and not in a file of its own
// because package embed adds 0.3 MB to a module.
const factsScript = `LC_ALL=C
export LC_ALL
section() { printf '\n@@opsconductor %s\n' "$1"; }
section os-release
cat /etc/os-release 2>/dev/null || cat /usr/lib/os-release 2>/dev/null
section uname
uname -s
uname -r
uname -m
section hostname
uname -n
section uptime
cat /proc/uptime 2>/dev/null
section cpus
getconf _NPROCESSORS_ONLN 2>/dev/null || nproc 2>/dev/null
section loadavg
cat /proc/loadavg 2>/dev/null
section meminfo
grep -E '^(MemTotal|MemFree|MemAvailable|Buffers|Cached|SwapTotal|SwapFree):' /proc/meminfo 2>/dev/null
section df
# -l: a network file system whose server is gone would hang df.
if df -P -k -l / >/dev/null 2>&1; then
	df -P -k -l 2>/dev/null
else
	df -P -k 2>/dev/null
fi
exit 0
`
