package attack_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/registry"
	"opsconductor.dev/host/registry/wasmfile/wasmtest"
)

const (
	envModule  = "extism:host/env"
	userModule = "extism:host/user"
)

// numbers have too many of something, or something too large.
func numbers() []attack {
	var out []attack
	add := func(name string, want automation.Code, module func(*builder)) {
		a := attack{family: "too many", name: name, want: want, module: module}
		if strings.Contains(name, "named opsconductor.") { // names of the metering, which extism does not have
			a.other = contained
		}
		out = append(out, a)
	}
	add("10000 exports", automation.CodeBadPlugin, func(b *builder) {
		action(zero)(b)
		for i := range 10_000 {
			b.Export(fmt.Sprint("x", i), 0)
		}
	})
	add("5000 globals", automation.CodeBadPlugin, func(b *builder) {
		for range 5000 {
			b.Global(0x7f, zero)
		}
		action(zero)(b)
	})
	add("4000 globals", contained, func(b *builder) {
		for range 4000 {
			b.Global(0x7f, zero)
		}
		action(zero)(b)
	})
	add("1001 parameters", automation.CodeBadPlugin, func(b *builder) {
		b.Func(wasmtest.Sig(strings.Repeat("i", 1001) + ">"))
		action(zero)(b)
	})
	add("5000 types", automation.CodeBadPlugin, func(b *builder) {
		for i := range 5000 {
			kinds := ""
			for j := range 13 {
				kinds += string("iI"[i>>j&1])
			}
			b.Func(wasmtest.Sig(kinds + ">"))
		}
		action(zero)(b)
	})
	add("300 custom sections", automation.CodeBadPlugin, func(b *builder) {
		action(zero)(b)
		for range 300 {
			b.Custom("x", nil)
		}
	})
	add("a custom section of 20 MB", contained, func(b *builder) {
		action(zero)(b)
		b.Custom("x", make([]byte, 20<<20))
	})
	add("a file of 25 MB", automation.CodeBadPlugin, func(b *builder) {
		action(zero)(b)
		b.Custom("x", make([]byte, 25<<20))
	})
	add("65537 data segments", automation.CodeBadPlugin, func(b *builder) {
		for range 65_537 {
			b.Data(0, nil)
		}
		action(zero)(b)
	})
	add("a data segment behind the memory", automation.CodePluginCrashed, func(b *builder) {
		action(zero)(b)
		b.Data(65_536, []byte("x"))
	})
	add("a data segment at 4 GiB", automation.CodePluginCrashed, func(b *builder) {
		action(zero)(b)
		b.Data(1<<64-1, []byte("x"))
	})
	add("elements behind the table", contained, // wazero leaves them out
		func(b *builder) {
			b.Table(1)
			b.Elements(1, b.Func(">"))
			action(zero)(b)
		})
	add("data without a memory", automation.CodeBadPlugin, func(b *builder) {
		b.Action("run", zero...)
		b.Data(0, []byte("x"))
	})
	add("a start that does not exist", automation.CodeBadPlugin, func(b *builder) {
		action(zero)(b)
		b.Start(77)
	})
	add("an export that does not exist", automation.CodeBadPlugin, func(b *builder) {
		action(zero)(b)
		b.Export("x", 77)
	})
	add("the same export twice", automation.CodeBadPlugin, func(b *builder) {
		action(zero)(b)
		b.Export("run", 0)
	})
	for name, text := range map[string]string{
		"opsconductor.fuel": "opsconductor.fuel", "opsconductor.g0": "opsconductor.g0", "opsconductor.depth": "opsconductor.depth",
		"broken UTF-8": "\xff\xfe", "terminal escapes": "\x1b[2J\x1b]0;x\x07",
	} {
		want := automation.CodeBadPlugin
		if name == "terminal escapes" { // a name that nothing uses
			want = contained
		}
		add("an export named "+name, want, func(b *builder) {
			action(zero)(b)
			b.Export(text, 0)
		})
	}
	return out
}

// env imports functions of Extism's memory; the indexes are in the order of names.
func env(b *builder, names ...string) (f []int) {
	sigs := map[string]wasmtest.Sig{
		"alloc": "I>I", "free": "I>", "length": "I>I", "load_u8": "I>i", "load_u64": "I>I", "store_u8": "Ii>", "store_u64": "II>",
		"input_load_u8": "I>i", "input_load_u64": "I>I", "output_set": "II>", "error_set": "I>", "config_get": "I>I", "var_get": "I>I",
		"var_set": "II>", "log_info": "I>", "log_error": "I>", "length_unsafe": "I>I",
	}
	for _, n := range names {
		f = append(f, b.Import(envModule, n, sigs[n]))
	}
	return f
}

// exchanges misuse the memory that guest and host share: offsets behind it, blocks
// that were freed, lengths that are lies.
func exchanges() []attack {
	var out []attack
	add := func(name string, want, other automation.Code, module func(*builder)) {
		out = append(out, attack{family: "host's buffers", name: name, want: want, other: other, module: module})
	}
	for name, at := range map[string]int64{"zero": 0, "into nothing": 1 << 20, "4 GiB": 1 << 32, "minus one": -1, "2^63": -1 << 63} {
		crash := contained
		if name == "into nothing" || name == "minus one" {
			crash = automation.CodePluginCrashed
		}
		add("request at "+name, atMinusOne(name), onlyExtism(name), func(b *builder) {
			f := b.Import(userModule, "look", "I>I")
			action(wasmtest.I64(at), wasmtest.Call(f), drop, zero)(b)
		})
		add("load at "+name, intoNothing(name), "", func(b *builder) {
			f := env(b, "load_u8")
			action(wasmtest.I64(at), wasmtest.Call(f[0]), drop, zero)(b)
		})
		add("store at "+name, crash, "", func(b *builder) {
			f := env(b, "store_u64")
			action(wasmtest.I64(at), wasmtest.I64(-1), wasmtest.Call(f[0]), zero)(b)
		})
		add("free at "+name, contained, onlyExtism(name), func(b *builder) {
			f := env(b, "free")
			action(wasmtest.I64(at), wasmtest.Call(f[0]), zero)(b)
		})
		add("output at "+name, contained, "", func(b *builder) {
			f := env(b, "output_set")
			action(wasmtest.I64(at), wasmtest.I64(16), wasmtest.Call(f[0]), zero)(b)
		})
		add("error at "+name, contained, "", func(b *builder) {
			f := env(b, "error_set")
			action(wasmtest.I64(at), wasmtest.Call(f[0]), zero)(b)
		})
		add("alloc of "+name, contained, "", func(b *builder) {
			f := env(b, "alloc")
			action(wasmtest.I64(at), wasmtest.Call(f[0]), drop, zero)(b)
		})
	}
	add("request in a freed block", contained, "", func(b *builder) {
		f := env(b, "alloc", "free")
		look := b.Import(userModule, "look", "I>I")
		at := code(zero, []byte{0x29, 3, 0})
		action(zero, wasmtest.I64(100), wasmtest.Call(f[0]), []byte{0x37, 3, 0}, at, wasmtest.Call(f[1]), at, wasmtest.Call(look), drop, zero)(b)
	})
	add("an output of 4 GiB", contained, "", func(b *builder) {
		f := env(b, "alloc", "output_set")
		action(wasmtest.I64(8), wasmtest.Call(f[0]), wasmtest.I64(1<<32-1), wasmtest.Call(f[1]), zero)(b)
	})
	return out
}

// Where an offset traps: what lies behind the memory does, on both engines or on
// the kernel that is a module alone.
func intoNothing(name string) automation.Code {
	if name == "into nothing" {
		return automation.CodePluginCrashed
	}
	return contained
}

func atMinusOne(name string) automation.Code {
	if name == "minus one" {
		return automation.CodePluginCrashed
	}
	return contained
}

func onlyExtism(name string) automation.Code {
	if name == "into nothing" {
		return automation.CodePluginCrashed
	}
	return ""
}

// quotas are passed: output, input, host calls, logs, blocks, variables.
func quotas() []attack {
	out := []attack{
		{family: "quota", name: "host calls", want: automation.CodeHostCallLimit, module: func(b *builder) { storm(b, "look") }},
		{
			family: "quota", name: "bytes moved by host functions", want: automation.CodeRemoteLimit, module: func(b *builder) { storm(b, "look") },
			tune: func(s *settings) { s.limits.RemoteBytes = 1000 },
		},
		{family: "quota", name: "a host function that waits", want: automation.CodeTimeout, module: func(b *builder) { storm(b, "nap") }},
		{
			family: "quota", name: "an answer of 2 MB", want: automation.CodeOutputLimit, module: func(b *builder) { storm(b, "flood") },
			tune: func(s *settings) { s.limits.HostCallBytes = 1 << 20 },
		},
		{family: "quota", name: "a request of 13 MB", want: automation.CodeQuota, module: func(b *builder) {
			alloc := b.Import(envModule, "alloc", "I>I")
			f := b.Import(userModule, "look", "I>I")
			action(wasmtest.I64(13<<20), wasmtest.Call(alloc), wasmtest.Call(f), drop, zero)(b)
		}},
		{family: "quota", name: "blocks", want: automation.CodeMemoryLimit, module: func(b *builder) {
			f := env(b, "alloc")
			action([]byte{0x03, 0x40}, wasmtest.I64(1<<16), wasmtest.Call(f[0]), []byte{0x50, 0x45, 0x0d, 0, 0x0b, 0x00})(b)
		}},
		{family: "quota", name: "small blocks for ever", want: automation.CodeMemoryLimit, other: automation.CodeTimeout, module: func(b *builder) {
			f := env(b, "alloc")
			action([]byte{0x03, 0x40}, wasmtest.I64(1), wasmtest.Call(f[0]), []byte{0x50, 0x45, 0x0d, 0, 0x0b, 0x00})(b)
		}},
		{family: "quota", name: "output", want: automation.CodeOutputLimit, module: func(b *builder) {
			f := env(b, "alloc", "output_set")
			action(wasmtest.I64(9<<20), wasmtest.Call(f[0]), wasmtest.I64(9<<20), wasmtest.Call(f[1]), zero)(b)
		}},
		{
			family: "quota", name: "input", want: automation.CodeInputLimit, module: action(zero, drop, zero),
			input: json.RawMessage(`{"x":"` + strings.Repeat("x", 1<<20) + `"}`),
		},
		{family: "quota", name: "log lines for ever", want: automation.CodeTimeout, module: func(b *builder) {
			f := env(b, "alloc", "log_info")
			action(forever(wasmtest.I64(1000), wasmtest.Call(f[0]), wasmtest.Call(f[1])), zero)(b)
		}},
		{family: "quota", name: "log lines", want: contained, check: logsAreCut, module: func(b *builder) {
			f := env(b, "alloc", "log_info")
			action(times(1500, wasmtest.I64(1000), wasmtest.Call(f[0]), wasmtest.Call(f[1])), zero)(b)
		}},
		{family: "quota", name: "a log line of 2 MB", want: contained, check: logsAreCut, module: func(b *builder) {
			f := env(b, "alloc", "log_error")
			action(times(2, wasmtest.I64(2<<20), wasmtest.Call(f[0]), wasmtest.Call(f[1])), zero)(b)
		}},
		{family: "quota", name: "standard output for ever", want: automation.CodeTimeout, module: func(b *builder) {
			f := b.Import(wasi, "fd_write", "iiii>i")
			action(wasmtest.I32(4), wasmtest.I32(60_000), []byte{0x36, 2, 0},
				forever(wasmtest.I32(1), zero, wasmtest.I32(1), wasmtest.I32(65_000), wasmtest.Call(f), drop), zero)(b)
		}},
		{family: "quota", name: "variables", want: automation.CodePluginCrashed, module: func(b *builder) {
			f := env(b, "alloc", "var_set")
			action(wasmtest.I64(1), wasmtest.Call(f[0]), wasmtest.I64(65<<10), wasmtest.Call(f[0]), wasmtest.Call(f[1]), zero)(b)
		}},
		{family: "quota", name: "an error text of 9 MB", want: automation.CodePluginFailed, module: func(b *builder) {
			f := env(b, "alloc", "error_set")
			action(wasmtest.I64(9<<20), wasmtest.Call(f[0]), wasmtest.Call(f[1]), wasmtest.I32(1))(b)
		}},
		{family: "quota", name: "a return code without an error", want: automation.CodePluginFailed, module: action(wasmtest.I32(-1))},
	}
	return out
}

// storm asks a host function for ever.
func storm(b *builder, name string) {
	alloc := b.Import(envModule, "alloc", "I>I")
	store := b.Import(envModule, "store_u8", "Ii>")
	f := b.Import(userModule, name, "I>I")
	again := forever(zero, []byte{0x29, 3, 0}, wasmtest.Call(f), drop)
	b.Memory(1)
	b.Action("run", requestTo(b, alloc, store, f, drop, again, zero)...)
}

func logsAreCut(o automation.Outcome) error {
	total := 0
	for _, l := range o.Logs {
		total += len(l.Message)
	}
	if total > 300<<10 || len(o.Logs) == 0 {
		return fmt.Errorf("%d log lines with %d bytes were kept", len(o.Logs), total)
	}
	if !strings.Contains(o.Logs[len(o.Logs)-1].Message, "dropped") && !strings.Contains(o.Logs[0].Message, "cut") {
		return errors.New("nothing says that log lines were cut")
	}
	return nil
}

// manifests are not what a manifest should be.
func manifests() []attack {
	var out []attack
	with := func(name string, want automation.Code, texts ...string) {
		out = append(out, attack{family: "manifest", name: name, want: want, raw: func() []byte {
			var b builder
			action(zero)(&b)
			for _, text := range texts {
				b.Custom(registry.Section, []byte(text))
			}
			return b.Bytes()
		}})
	}
	with("none", automation.CodeBadPlugin)
	with("two", automation.CodeBadPlugin, manifest, manifest)
	with("empty", automation.CodeSyntax, "")
	with("of 2 MB", automation.CodeBadPlugin, manifest+strings.Repeat(" ", 2<<20))
	with("nested 100000 deep", automation.CodeSyntax, strings.Repeat("[", 100_000))
	with("with a name that is none", automation.CodeInvalid, strings.Replace(manifest, `"hostile"`, `"\u001b[2J"`, 1))
	with("with a path as a name", automation.CodeInvalid, strings.Replace(manifest, `"hostile"`, `"../../etc/passwd"`, 1))
	with("with a field twice", automation.CodeInvalid, strings.Replace(manifest, `"abi": 1`, `"abi": 1, "abi": 2`, 1))
	with("that wants what is not there", automation.CodeUnknownName, strings.Replace(manifest, `"look"`, `"ssh_exec"`, 1))
	with("with an action that is not exported", automation.CodeBadPlugin, strings.Replace(manifest, `"run"`, `"walk"`, 1))
	with("for the scheduler", automation.CodeInvalid, strings.Replace(manifest, `"effect"`, `"scheduler": true, "effect"`, 1))
	with("of an abi to come", automation.CodeInvalid, strings.Replace(manifest, `"abi": 1`, `"abi": 99`, 1))
	with("with a schema from the network", automation.CodeInvalid, strings.Replace(manifest, `"input": {"type": "object"}`, `"input": {"type": "object", "$ref": "http://169.254.169.254/"}`, 1))
	return out
}
