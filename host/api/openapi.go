package api

import (
	"net/http"
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

const apiVersion = "v1"

const about = `OpsConductor runs automation on fleets of machines: workflows whose steps call actions of sandboxed plugins.

Every request but the health checks and this document carries Authorization: Bearer TOKEN. Errors are problems (RFC 9457) with a code, the faults and a suggestion. Lists are read page by page with limit and cursor. Creations take an Idempotency-Key. Objects with an ETag are changed with If-Match. Plan, then submit: POST /v1/plans resolves a definition and names the plan by its hash, POST /v1/runs runs exactly it, and /v1/runs/{run}/events tells what happens.`

// schemaName names a type in the document: without packages, a list by what it lists.
func schemaName(t reflect.Type, hint string) string {
	name := huma.DefaultSchemaNamer(t, hint)
	if inner, ok := strings.CutPrefix(name, "List"); ok && inner != "" {
		return inner + "List"
	}
	return name
}

// finish puts the document in order once all operations are there: huma's own
// error model goes, answers may grow fields that a client doesn't know yet, and
// what the types of automation can't say of themselves is added.
func finish(doc *huma.OpenAPI) {
	schemas := doc.Components.Schemas.Map()
	delete(schemas, "ErrorModel")
	delete(schemas, "ErrorDetail")
	taken := map[string]bool{}
	for _, item := range doc.Paths {
		for _, op := range []*huma.Operation{item.Post, item.Put} {
			if op != nil && op.RequestBody != nil {
				for _, media := range op.RequestBody.Content {
					mark(doc.Components.Schemas, media.Schema, taken)
				}
			}
		}
	}
	for name, s := range schemas {
		if !taken[name] && s.AdditionalProperties == false {
			s.AdditionalProperties = nil
		}
		dress(name, s)
	}
}

// mark notes the names of all schemas that a request's schema reaches.
func mark(r huma.Registry, s *huma.Schema, taken map[string]bool) {
	if s == nil {
		return
	}
	if s.Ref != "" {
		name := s.Ref[strings.LastIndexByte(s.Ref, '/')+1:]
		if taken[name] {
			return
		}
		taken[name] = true
		s = r.SchemaFromRef(s.Ref)
	}
	for _, p := range s.Properties {
		mark(r, p, taken)
	}
	mark(r, s.Items, taken)
}

func operationOf(item *huma.PathItem, method string) *huma.Operation {
	return map[string]*huma.Operation{
		http.MethodGet: item.Get, http.MethodPost: item.Post, http.MethodPut: item.Put, http.MethodDelete: item.Delete,
	}[method]
}
