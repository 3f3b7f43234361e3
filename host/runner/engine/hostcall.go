package engine

import (
	"context"
	"fmt"

	extism "github.com/extism/go-sdk"

	"opsconductor.dev/host/automation"
)

// hostFunction returns the import that carries a host function's request from the
// guest's memory to the instance's HostCall, and the envelope back.
func hostFunction(name string) extism.HostFunctionStackCallback {
	return func(ctx context.Context, p *extism.CurrentPlugin, stack []uint64) {
		i := ctx.Value(instanceKey{}).(*instance)
		stack[0] = i.hostCall(ctx, p, name, stack[0])
	}
}

// hostCall runs on the guest's goroutine. It ends the guest by a panic, which
// wazero turns into the call's error.
func (i *instance) hostCall(ctx context.Context, p *extism.CurrentPlugin, name string, offset uint64) uint64 {
	limits := i.config.Limits
	if i.calls++; i.calls > limits.HostCalls {
		i.halt(overrun(automation.CodeHostCallLimit, "host_calls", "the action called host functions more often than the limit of %d", limits.HostCalls))
	}
	if ctx.Err() != nil {
		i.halt(stopped(ctx, "host function "+name))
	}
	request := i.read(p, name, offset)
	i.inHost.Store(true)
	answer := i.config.Host(ctx, name, request)
	i.inHost.Store(false)
	if ctx.Err() != nil {
		i.halt(stopped(ctx, "host function "+name))
	}
	return i.write(p, name, answer)
}

func (i *instance) read(p *extism.CurrentPlugin, name string, offset uint64) []byte {
	n, err := p.Length(offset)
	if err != nil {
		panic(fmt.Errorf("%s: the request is not in the plugin's memory: %w", name, err))
	}
	if n > uint64(i.config.Limits.HostCallBytes) {
		i.halt(overrun(automation.CodeQuota, "host_call_bytes", "the request to %s has %d bytes, more than the limit of %d", name, n, i.config.Limits.HostCallBytes))
	}
	b, err := p.ReadBytes(offset)
	if err != nil {
		panic(fmt.Errorf("%s: the request is not in the plugin's memory: %w", name, err))
	}
	return b
}

func (i *instance) write(p *extism.CurrentPlugin, name string, answer []byte) uint64 {
	if len(answer) > i.config.Limits.HostCallBytes {
		i.halt(overrun(automation.CodeOutputLimit, "host_call_bytes", "the answer of %s has %d bytes, more than the limit of %d", name, len(answer), i.config.Limits.HostCallBytes))
	}
	offset, err := p.Alloc(uint64(len(answer)))
	if err != nil || offset == 0 || !p.Memory().Write(uint32(offset), answer) {
		i.halt(i.memoryLimit())
	}
	return offset
}

// halt ends the guest with an error of the engine's.
func (i *instance) halt(err *automation.Error) {
	i.halted.CompareAndSwap(nil, err)
	panic(err)
}
