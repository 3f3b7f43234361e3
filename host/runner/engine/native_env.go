package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/tetratelabs/wazero/api"

	"opsconductor.dev/host/registry/wasmfile"
)

// envFunction carries out a function of extism:host/env: parameters and result
// are in the stack, from 0 on. It ends the guest by a panic.
type envFunction func(g *nativeGuest, stack []uint64)

// envFunctions are the functions of extism:host/env, as Extism's kernel and go-sdk
// have them. Config is always empty: plugins get what they need with their input.
func envFunctions() map[string]envFunction {
	return map[string]envFunction{
		"alloc":          func(g *nativeGuest, s []uint64) { s[0] = g.arena.alloc(s[0]) },
		"free":           func(g *nativeGuest, s []uint64) { g.arena.release(s[0]) },
		"length":         func(g *nativeGuest, s []uint64) { s[0] = g.arena.lengthOf(s[0]) },
		"length_unsafe":  func(g *nativeGuest, s []uint64) { s[0] = g.arena.lengthOf(s[0]) },
		"load_u8":        func(g *nativeGuest, s []uint64) { s[0] = uint64(g.arena.loadByte(s[0])) },
		"load_u64":       func(g *nativeGuest, s []uint64) { s[0] = g.arena.load64(s[0]) },
		"store_u8":       func(g *nativeGuest, s []uint64) { g.arena.storeByte(s[0], byte(s[1])) },
		"store_u64":      func(g *nativeGuest, s []uint64) { g.arena.store64(s[0], s[1]) },
		"input_length":   func(g *nativeGuest, s []uint64) { s[0] = g.arena.inputLength },
		"input_offset":   func(g *nativeGuest, s []uint64) { s[0] = g.arena.input },
		"input_load_u8":  func(g *nativeGuest, s []uint64) { s[0] = uint64(g.arena.inputByte(s[0])) },
		"input_load_u64": func(g *nativeGuest, s []uint64) { s[0] = g.arena.load64(s[0] + g.arena.input) },
		"output_set":     func(g *nativeGuest, s []uint64) { g.arena.setOutput(s[0], s[1]) },
		"error_set":      func(g *nativeGuest, s []uint64) { g.arena.setFailure(s[0]) },
		"config_get":     func(g *nativeGuest, s []uint64) { g.text("config name", s[0]); s[0] = 0 },
		"var_get":        func(g *nativeGuest, s []uint64) { s[0] = g.getVar(s[0]) },
		"var_set":        func(g *nativeGuest, s []uint64) { g.setVar(s[0], s[1]) },
		"log_trace":      func(g *nativeGuest, s []uint64) { g.arena.release(s[0]) },
		"log_debug":      func(g *nativeGuest, s []uint64) { g.arena.release(s[0]) },
		"log_info":       func(g *nativeGuest, s []uint64) { g.log("info", s[0]) },
		"log_warn":       func(g *nativeGuest, s []uint64) { g.log("warn", s[0]) },
		"log_error":      func(g *nativeGuest, s []uint64) { g.log("error", s[0]) },
		"get_log_level":  func(_ *nativeGuest, s []uint64) { s[0] = 2 }, // info
	}
}

// text reads a block that a function was given.
func (g *nativeGuest) text(what string, at uint64) string {
	b, err := g.arena.read(at)
	if err != nil {
		panic(fmt.Errorf("%s: %w", what, err))
	}
	return string(b)
}

func (g *nativeGuest) log(level string, at uint64) {
	message := g.text("log message", at)
	g.current.Load().log(level, message)
	g.arena.release(at)
}

func (g *nativeGuest) getVar(at uint64) uint64 {
	name := g.text("var name", at)
	g.arena.release(at)
	value := g.vars[name]
	if len(value) == 0 {
		return 0
	}
	to, ok := g.arena.put(value)
	if !ok {
		i := g.current.Load()
		i.halt(i.memoryLimit())
	}
	return to
}

// setVar keeps a value until the attempt ends; without one the variable goes. All
// together, with 40 bytes for each, stay below varBytes.
func (g *nativeGuest) setVar(at, from uint64) {
	const each = 40
	name := g.text("var name", at)
	g.arena.release(at)
	if from == 0 {
		delete(g.vars, name)
		return
	}
	value := g.text("var value", from)
	g.arena.release(from)
	size := each + len(name) + len(value)
	for k, v := range g.vars {
		size += each + len(k) + len(v)
	}
	if size >= varBytes {
		panic(errors.New("Variable store is full")) //nolint:revive,staticcheck // go-sdk's words
	}
	if g.vars == nil {
		g.vars = map[string][]byte{}
	}
	g.vars[name] = []byte(value)
}

func wazeroTypes(types []wasmfile.ValueType) []api.ValueType {
	out := make([]api.ValueType, len(types))
	for i, t := range types {
		out[i] = api.ValueType(t)
	}
	return out
}

func (p *nativeProgram) buildEnv(ctx context.Context) error {
	b, functions := p.runtime.NewHostModuleBuilder(EnvModule), envFunctions()
	for name, signature := range env() {
		f, ok := functions[name]
		if !ok {
			return fmt.Errorf("the engine has no function %s", name)
		}
		t := sig(signature)
		b.NewFunctionBuilder().WithGoFunction(api.GoFunc(func(ctx context.Context, stack []uint64) {
			g := guestOf(ctx)
			g.serve()
			f(g, stack)
		}), wazeroTypes(t.Params), wazeroTypes(t.Results)).Export(name)
	}
	if _, err := b.Instantiate(ctx); err != nil {
		return fmt.Errorf("make %s: %w", EnvModule, err)
	}
	return nil
}

func (p *nativeProgram) buildUser(ctx context.Context) error {
	names := p.module.hostFunctions()
	if len(names) == 0 {
		return nil
	}
	b, t := p.runtime.NewHostModuleBuilder(UserModule), HostFunctionType()
	for _, name := range names {
		b.NewFunctionBuilder().WithGoFunction(api.GoFunc(func(ctx context.Context, stack []uint64) {
			g := guestOf(ctx)
			g.serve()
			stack[0] = g.current.Load().hostCall(ctx, &g.arena, name, stack[0])
		}), wazeroTypes(t.Params), wazeroTypes(t.Results)).Export(name)
	}
	if _, err := b.Instantiate(ctx); err != nil {
		return fmt.Errorf("make %s: %w", UserModule, err)
	}
	return nil
}
