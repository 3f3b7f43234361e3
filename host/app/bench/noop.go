package bench

import (
	"fmt"

	"opsconductor.dev/host/registry"
)

// parkedAction is the action of the small plugin that the backlog waits behind.
const parkedAction = "parked"

// smallPlugin is a plugin of 60 bytes of code: its actions noop and parked return
// at once.
//
//	(module (memory (export "memory") 1) (func (export "noop") (export "parked") (result i32) (i32.const 0)))
func smallPlugin() ([]byte, error) {
	const (
		module = "\x00asm\x01\x00\x00\x00" +
			"\x01\x05\x01\x60\x00\x01\x7f" + // type: nothing to i32
			"\x03\x02\x01\x00" + // a function of it
			"\x05\x03\x01\x00\x01" + // a memory of one page
			"\x07\x1a\x03\x06memory\x02\x00\x04noop\x00\x00\x06parked\x00\x00" + // exports
			"\x0a\x06\x01\x04\x00\x41\x00\x0b" // the function: i32.const 0
		action = `{"name": "%s", "description": "Does nothing.", "effect": "pure", "timeout": "1h",
			"input": {"type": "object", "additionalProperties": true}, "output": {"type": "object", "additionalProperties": true}}`
		manifest = `{"abi": 1, "name": "bench", "version": "1.0.0", "description": "Measures what a step costs.", "actions": [` +
			action + `, ` + action + `]}`
	)
	wasm, err := registry.Embed([]byte(module), fmt.Appendf(nil, manifest, "noop", parkedAction))
	if err != nil {
		return nil, fmt.Errorf("make the small plugin: %w", err)
	}
	return wasm, nil
}
