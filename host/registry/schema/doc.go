// Package schema compiles JSON Schemas (draft 2020-12) and validates documents
// by them, with OpsConductor's own errors: one for each fault, with a code, a
// JSON Pointer and what would be right, and never the offending value.
//
// Schemas come from plugins, so they are read with care: no reference leaves the
// schema itself, numbers are bounded before they are computed with, and a schema
// whose parts multiply beyond a bound is refused.
package schema
