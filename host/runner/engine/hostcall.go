package engine

import (
	"context"
	"fmt"

	"opsconductor.dev/host/automation"
)

// exchange is the memory through which guest and host pass blocks of bytes,
// Extism's. Its errors are the guest's fault.
type exchange interface {
	// length is the size of the block at an offset; 0 when there is none.
	length(offset uint64) (uint64, error)
	// read copies the block at an offset.
	read(offset uint64) ([]byte, error)
	// put makes a block; false: there is no room.
	put(b []byte) (uint64, bool)
}

// hostCall runs on the guest's goroutine. It ends the guest by a panic, which
// wazero turns into the call's error.
func (i *instance) hostCall(ctx context.Context, x exchange, name string, offset uint64) uint64 {
	limits := i.config.Limits
	if i.calls++; i.calls > limits.HostCalls {
		i.halt(overrun(automation.CodeHostCallLimit, "host_calls", "the action called host functions more often than the limit of %d", limits.HostCalls))
	}
	if ctx.Err() != nil {
		i.halt(stopped(ctx, "host function "+name))
	}
	request := i.read(x, name, offset)
	if !i.move(len(request)) {
		i.halt(i.remoteLimit())
	}
	i.inHost.Store(true)
	answer := i.config.Host(ctx, name, request)
	i.inHost.Store(false)
	if ctx.Err() != nil {
		i.halt(stopped(ctx, "host function "+name))
	}
	return i.write(x, name, answer)
}

func (i *instance) read(x exchange, name string, offset uint64) []byte {
	n, err := x.length(offset)
	if err != nil {
		panic(fmt.Errorf("%s: the request is not in the plugin's memory: %w", name, err))
	}
	if n > uint64(i.config.Limits.HostCallBytes) {
		i.halt(overrun(automation.CodeQuota, "host_call_bytes", "the request to %s has %d bytes, more than the limit of %d", name, n, i.config.Limits.HostCallBytes))
	}
	b, err := x.read(offset)
	if err != nil {
		panic(fmt.Errorf("%s: the request is not in the plugin's memory: %w", name, err))
	}
	return b
}

func (i *instance) write(x exchange, name string, answer []byte) uint64 {
	if len(answer) > i.config.Limits.HostCallBytes {
		i.halt(overrun(automation.CodeOutputLimit, "host_call_bytes", "the answer of %s has %d bytes, more than the limit of %d", name, len(answer), i.config.Limits.HostCallBytes))
	}
	if !i.move(len(answer)) {
		i.halt(i.remoteLimit())
	}
	offset, ok := x.put(answer)
	if !ok {
		i.halt(i.memoryLimit())
	}
	return offset
}

// move counts bytes that go to or come from a host function; false: too many.
func (i *instance) move(n int) bool {
	i.moved += int64(n)
	return i.moved <= i.config.Limits.RemoteBytes
}

func (i *instance) remoteLimit() *automation.Error {
	return overrun(automation.CodeRemoteLimit, "remote_bytes", "the action's calls of host functions moved more than the limit of %d bytes", i.config.Limits.RemoteBytes)
}

// halt ends the guest with an error of the engine's.
func (i *instance) halt(err *automation.Error) {
	i.halted.CompareAndSwap(nil, err)
	panic(err)
}
