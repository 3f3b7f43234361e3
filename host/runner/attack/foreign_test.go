package attack_test

import (
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/registry/wasmfile/wasmtest"
)

const wasi = "wasi_snapshot_preview1"

// wasiCalls try every function of WASI: what would touch files, sockets, arguments,
// the environment or a process has to find none.
func wasiCalls() []attack {
	const badFile, noSuch = 8, 52 // EBADF, ENOSYS
	var out []attack
	errno := func(name string, s wasmtest.Sig, code_ int64, params ...[]byte) {
		out = append(out, attack{family: "WASI", name: name, want: contained, module: func(b *builder) {
			f := b.Import(wasi, name, s)
			action(code(params...), wasmtest.Call(f), is(code_))(b)
		}})
	}
	n := func(v int64) []byte { return wasmtest.I32(v) }
	l := func(v int64) []byte { return wasmtest.I64(v) }
	const fd = 3 // the first folder that a program is given, usually
	errno("fd_advise", "iIIi>i", badFile, n(fd), l(0), l(1), n(0))
	errno("fd_allocate", "iII>i", badFile, n(fd), l(0), l(1))
	errno("fd_close", "i>i", badFile, n(fd))
	errno("fd_datasync", "i>i", badFile, n(fd))
	errno("fd_fdstat_get", "ii>i", badFile, n(fd), n(64))
	errno("fd_fdstat_set_flags", "ii>i", badFile, n(fd), n(0))
	errno("fd_fdstat_set_rights", "iII>i", noSuch, n(fd), l(-1), l(-1))
	errno("fd_filestat_get", "ii>i", badFile, n(fd), n(64))
	errno("fd_filestat_set_size", "iI>i", badFile, n(fd), l(1<<40))
	errno("fd_filestat_set_times", "iIIi>i", badFile, n(fd), l(0), l(0), n(0))
	errno("fd_pread", "iiiIi>i", badFile, n(fd), n(0), n(1), l(0), n(64))
	errno("fd_prestat_get", "ii>i", badFile, n(fd), n(64))
	errno("fd_prestat_dir_name", "iii>i", badFile, n(fd), n(64), n(100))
	errno("fd_pwrite", "iiiIi>i", badFile, n(fd), n(0), n(1), l(0), n(64))
	errno("fd_read", "iiii>i", badFile, n(fd), n(0), n(1), n(64))
	errno("fd_readdir", "iiiIi>i", badFile, n(fd), n(64), n(100), l(0), n(64))
	errno("fd_renumber", "ii>i", badFile, n(fd), n(1))
	errno("fd_seek", "iIii>i", badFile, n(fd), l(0), n(0), n(64))
	errno("fd_sync", "i>i", badFile, n(fd))
	errno("fd_tell", "ii>i", badFile, n(fd), n(64))
	errno("fd_write", "iiii>i", badFile, n(fd), n(0), n(1), n(64))
	errno("path_create_directory", "iii>i", badFile, n(fd), n(0), n(1))
	errno("path_filestat_get", "iiiii>i", badFile, n(fd), n(0), n(0), n(1), n(64))
	errno("path_filestat_set_times", "iiiiIIi>i", badFile, n(fd), n(0), n(0), n(1), l(0), l(0), n(0))
	errno("path_link", "iiiiiii>i", badFile, n(fd), n(0), n(0), n(1), n(fd), n(0), n(1))
	errno("path_open", "iiiiiIIii>i", badFile, n(fd), n(0), n(0), n(1), n(0), l(-1), l(-1), n(0), n(64))
	errno("path_readlink", "iiiiii>i", badFile, n(fd), n(0), n(1), n(0), n(1), n(64))
	errno("path_remove_directory", "iii>i", badFile, n(fd), n(0), n(1))
	errno("path_rename", "iiiiii>i", badFile, n(fd), n(0), n(1), n(fd), n(0), n(1))
	errno("path_symlink", "iiiii>i", badFile, n(0), n(1), n(fd), n(0), n(1))
	errno("path_unlink_file", "iii>i", badFile, n(fd), n(0), n(1))
	errno("sock_accept", "iii>i", badFile, n(fd), n(0), n(64))
	errno("sock_recv", "iiiiii>i", badFile, n(fd), n(0), n(1), n(0), n(64), n(68))
	errno("sock_send", "iiiii>i", badFile, n(fd), n(0), n(1), n(0), n(64))
	errno("sock_shutdown", "ii>i", badFile, n(fd), n(1))
	errno("proc_raise", "i>i", noSuch, n(9))
	errno("args_get", "ii>i", 0, n(0), n(0))
	errno("environ_get", "ii>i", 0, n(0), n(0))
	errno("clock_res_get", "ii>i", 28, n(99), n(64))  // EINVAL
	errno("random_get", "ii>i", 21, n(65530), n(100)) // EFAULT, over the edge
	return append(out, wasiWhole()...)
}

// wasiWhole are those whose answer is not in the errno.
func wasiWhole() []attack {
	var out []attack
	add := func(name string, want automation.Code, module func(*builder)) {
		out = append(out, attack{family: "WASI", name: name, want: want, module: module})
	}
	for _, name := range []string{"args_sizes_get", "environ_sizes_get"} {
		add(name, contained, func(b *builder) { // there is none of them
			f := b.Import(wasi, name, "ii>i")
			action(wasmtest.I32(64), wasmtest.I32(68), wasmtest.Call(f), wasmtest.I32(64), []byte{0x28, 2, 0, 0x72})(b)
		})
	}
	add("fd_read of the standard input", contained, func(b *builder) { // nothing in it
		f := b.Import(wasi, "fd_read", "iiii>i")
		vector := code(wasmtest.I32(0), wasmtest.I32(128), []byte{0x36, 2, 0}, wasmtest.I32(4), wasmtest.I32(100), []byte{0x36, 2, 0})
		action(vector, zero, zero, wasmtest.I32(1), wasmtest.I32(64), wasmtest.Call(f), wasmtest.I32(64), []byte{0x28, 2, 0, 0x72})(b)
	})
	add("proc_exit", automation.CodePluginCrashed, func(b *builder) {
		f := b.Import(wasi, "proc_exit", "i>")
		action(zero, wasmtest.Call(f), zero)(b)
	})
	add("proc_exit with 1", automation.CodePluginCrashed, func(b *builder) {
		f := b.Import(wasi, "proc_exit", "i>")
		action(wasmtest.I32(1), wasmtest.Call(f), zero)(b)
	})
	add("sched_yield for ever", automation.CodeTimeout, func(b *builder) {
		f := b.Import(wasi, "sched_yield", ">i")
		action(forever(wasmtest.Call(f), drop), zero)(b)
	})
	add("clock_time_get for ever", automation.CodeTimeout, func(b *builder) {
		f := b.Import(wasi, "clock_time_get", "iIi>i")
		action(forever(zero, wasmtest.I64(0), wasmtest.I32(64), wasmtest.Call(f), drop), zero)(b)
	})
	add("random_get for ever", automation.CodeTimeout, func(b *builder) {
		f := b.Import(wasi, "random_get", "ii>i")
		action(forever(zero, wasmtest.I32(65536), wasmtest.Call(f), drop), zero)(b)
	})
	add("a sleep of an hour", automation.CodeTimeout, func(b *builder) { sleeper(b, 3_600_000_000_000, false) })
	add("a sleep of 292 years", automation.CodeTimeout, func(b *builder) { sleeper(b, 1<<63-1, false) })
	out = append(out, attack{ // it wakes when the cap is over, and finds that less time has passed
		family: "WASI", name: "a sleep past the cap", want: contained, tune: func(s *settings) { s.limits.Sleep = time.Millisecond },
		module: func(b *builder) { sleeper(b, 3_600_000_000_000, false) },
	})
	add("short sleeps for ever", automation.CodeTimeout, func(b *builder) { sleeper(b, 1_000_000, true) })
	return out
}

// sleeper makes a module that waits by poll_oneoff.
func sleeper(b *builder, ns int64, again bool) {
	f := b.Import(wasi, "poll_oneoff", "iiii>i")
	// A subscription: userdata, the tag of a clock, its id, the timeout, precision, flags.
	set := code(wasmtest.I32(16), wasmtest.I32(1), []byte{0x36, 2, 0}, wasmtest.I32(24), wasmtest.I64(ns), []byte{0x37, 3, 0})
	wait := code(zero, wasmtest.I32(256), wasmtest.I32(1), wasmtest.I32(512), wasmtest.Call(f))
	if again {
		action(set, forever(wait, drop), zero)(b)
		return
	}
	action(set, wait)(b)
}

// foreign import what the host does not have, or not so.
func foreign() []attack {
	var out []attack
	add := func(name string, module func(*builder)) {
		out = append(out, attack{family: "foreign import", name: name, want: automation.CodeBadPlugin, module: module})
	}
	for _, im := range []struct {
		module, name string
		sig          wasmtest.Sig
	}{
		{"env", "system", "i>i"},
		{"env", "memory", ">"},
		{"", "", ">"},
		{"extism:host/env", "http_request", "II>I"},
		{"extism:host/env", "http_status_code", ">i"},
		{"extism:host/env", "reset", ">"},
		{"extism:host/env", "input_set", "II>"},
		{"extism:host/env", "alloc", "i>i"},
		{"extism:host/env\x00", "alloc", "I>I"},
		{"Extism:host/env", "alloc", "I>I"},
		{"extism:host/user", "look", "i>i"},
		{"extism:host/user", "look", "I>"},
		{"extism:host/user", "rm_rf", "I>I"},
		{"extism:host/user", "look\x00", "I>I"},
		{"extism:host/user", "loo\u212a", "I>I"},
		{"opsconductor:host", "tick", ">"},
		{"opsconductor:host", "deep", ">"},
		{"wasi_unstable", "fd_write", "iiii>i"},
		{"wasi_snapshot_preview2", "fd_write", "iiii>i"},
		{wasi, "sock_open", "iii>i"},
		{wasi, "path_open", "i>i"},
		{"wasi:filesystem/types@0.2.0", "open-at", "i>i"},
		{"wasix_32v1", "proc_fork", "ii>i"},
	} {
		add(im.module+" "+im.name+" "+string(im.sig), func(b *builder) {
			b.Import(im.module, im.name, im.sig)
			action(zero)(b)
		})
	}
	add("257 of them", func(b *builder) {
		for range 257 {
			b.Import("extism:host/user", "look", "I>I")
		}
		action(zero)(b)
	})
	return out
}
