package engine

import (
	"slices"
	"strings"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/registry/wasmfile"
)

// The modules that plugins import from.
const (
	// EnvModule is the memory that guest and host share (Extism's kernel).
	EnvModule = "extism:host/env"
	// UserModule holds the host functions, one import each.
	UserModule = "extism:host/user"
	// WASIModule is WASI preview 1: clocks, random numbers, standard output. Its files
	// and sockets answer that there are none.
	WASIModule = "wasi_snapshot_preview1"
)

// signatures in short: i is i32, I is i64; parameters, ">", results.
func sig(s string) wasmfile.FuncType {
	side := func(s string) []wasmfile.ValueType {
		out := []wasmfile.ValueType{}
		for _, c := range s {
			if c == 'i' {
				out = append(out, wasmfile.I32)
			} else {
				out = append(out, wasmfile.I64)
			}
		}
		return out
	}
	params, results, _ := strings.Cut(s, ">")
	return wasmfile.FuncType{Params: side(params), Results: side(results)}
}

// HostFunctionType is the signature of every host function: the offset of the
// request in Extism's memory, and the offset of the envelope.
func HostFunctionType() wasmfile.FuncType { return sig("I>I") }

// ActionType is the signature of every action.
func ActionType() wasmfile.FuncType { return sig(">i") }

// env lists the functions of extism:host/env that plugins may import. Extism's own
// HTTP client is not among them.
func env() map[string]string {
	return map[string]string{
		"alloc": "I>I", "free": "I>", "length": "I>I", "length_unsafe": "I>I",
		"load_u8": "I>i", "load_u64": "I>I", "store_u8": "Ii>", "store_u64": "II>",
		"input_length": ">I", "input_offset": ">I", "input_load_u8": "I>i", "input_load_u64": "I>I",
		"output_set": "II>", "error_set": "I>",
		"config_get": "I>I", "var_get": "I>I", "var_set": "II>",
		"log_trace": "I>", "log_debug": "I>", "log_info": "I>", "log_warn": "I>", "log_error": "I>", "get_log_level": ">i",
	}
}

// wasi lists the functions of wasi_snapshot_preview1.
func wasi() map[string]string {
	return map[string]string{
		"args_get": "ii>i", "args_sizes_get": "ii>i", "environ_get": "ii>i", "environ_sizes_get": "ii>i",
		"clock_res_get": "ii>i", "clock_time_get": "iIi>i", "random_get": "ii>i", "sched_yield": ">i",
		"poll_oneoff": "iiii>i", "proc_exit": "i>", "proc_raise": "i>i",
		"fd_advise": "iIIi>i", "fd_allocate": "iII>i", "fd_close": "i>i", "fd_datasync": "i>i",
		"fd_fdstat_get": "ii>i", "fd_fdstat_set_flags": "ii>i", "fd_fdstat_set_rights": "iII>i",
		"fd_filestat_get": "ii>i", "fd_filestat_set_size": "iI>i", "fd_filestat_set_times": "iIIi>i",
		"fd_pread": "iiiIi>i", "fd_prestat_get": "ii>i", "fd_prestat_dir_name": "iii>i", "fd_pwrite": "iiiIi>i",
		"fd_read": "iiii>i", "fd_readdir": "iiiIi>i", "fd_renumber": "ii>i", "fd_seek": "iIii>i",
		"fd_sync": "i>i", "fd_tell": "ii>i", "fd_write": "iiii>i",
		"path_create_directory": "iii>i", "path_filestat_get": "iiiii>i", "path_filestat_set_times": "iiiiIIi>i",
		"path_link": "iiiiiii>i", "path_open": "iiiiiIIii>i", "path_readlink": "iiiiii>i",
		"path_remove_directory": "iii>i", "path_rename": "iiiiii>i", "path_symlink": "iiiii>i", "path_unlink_file": "iii>i",
		"sock_accept": "iii>i", "sock_recv": "iiiiii>i", "sock_send": "iiiii>i", "sock_shutdown": "ii>i",
	}
}

// CheckImports reports every import that no engine serves, or that has another
// signature: code bad_plugin. Host functions are checked for their signature only.
func CheckImports(f *wasmfile.File) automation.Errors {
	known := map[string]map[string]string{EnvModule: env(), WASIModule: wasi()}
	var errs automation.Errors
	for _, im := range f.Imports {
		if err := checkImport(known, im); err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

func checkImport(known map[string]map[string]string, im wasmfile.Import) *automation.Error {
	want := HostFunctionType()
	if im.Module != UserModule {
		s, ok := known[im.Module][im.Name]
		if !ok {
			return unknownImport(im)
		}
		want = sig(s)
	}
	if im.Kind != wasmfile.Func || !im.Type.Equal(want) {
		return automation.Errorf(automation.CodeBadPlugin, "the import %s %q is not a function of the signature that the host serves", im.Module, im.Name)
	}
	return nil
}

func unknownImport(im wasmfile.Import) *automation.Error {
	err := automation.Errorf(automation.CodeBadPlugin, "the plugin imports %s %q, which this host does not have", im.Module, im.Name)
	err.Allowed = strings.Join([]string{EnvModule, UserModule, WASIModule}, ", ")
	err.Suggestion = "build it for wasip1 or wasm32-unknown-unknown with an Extism plugin kit"
	if im.Module == EnvModule && slices.Contains([]string{"http_request", "http_status_code", "http_headers"}, im.Name) {
		err.Allowed, err.Suggestion = "", "plugins have no network of their own: call a host function (probe_tcp, say) that an operator can grant"
	}
	return err
}
