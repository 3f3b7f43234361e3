// Package wire reads and writes JSON (RFC 8259) for plugins. It exists because
// encoding/json and fmt add 1.4 MB to a Wasm module and this adds 0.4 MB, of
// which nothing is linked into a plugin that handles raw JSON alone.
//
// It is stricter and smaller than encoding/json: names match exactly, an
// unknown or repeated member of a struct is an error, `json:"name,omitempty"`
// tags are the only ones, and there are no Marshaler hooks. Types: bool, string,
// the integers and floats, slices, []byte (base64), maps with string keys,
// pointers, structs without embedding, any, and Raw.
//
// Everything here is a pure function, safe for concurrent use.
package wire
