// Package schemas holds the JSON Schemas (draft 2020-12) that OpsConductor reads
// its documents by: the workflow language, the plugin manifest, and the requests
// and results of the host functions. It imports nothing but embed.
package schemas

import "embed"

// Files holds every schema: NAME.schema.json here, and the host functions' under
// hostfuncs/. It is read-only and safe for concurrent use.
//
//go:embed *.json hostfuncs/*.json
var Files embed.FS
