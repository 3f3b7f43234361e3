package schema

import (
	"slices"
	"strconv"
	"strings"

	"opsconductor.dev/host/automation"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// index notes every part of the schema by its location.
func (s *Schema) index(p *jsonschema.Schema) {
	if p == nil || s.at[p.Location] != nil {
		return
	}
	s.at[p.Location] = p
	for _, c := range inPlace(p) {
		s.index(c)
	}
	for _, c := range p.Properties {
		s.index(c)
	}
	for _, c := range p.PatternProperties {
		s.index(c)
	}
	for _, c := range p.PrefixItems {
		s.index(c)
	}
	for _, c := range []*jsonschema.Schema{p.PropertyNames, p.Contains, p.Items2020, p.UnevaluatedItems, p.UnevaluatedProperties, additional(p)} {
		s.index(c)
	}
}

func additional(p *jsonschema.Schema) *jsonschema.Schema {
	a, _ := p.AdditionalProperties.(*jsonschema.Schema)
	return a
}

// inPlace returns the parts that apply to the same value as p.
func inPlace(p *jsonschema.Schema) []*jsonschema.Schema {
	out := slices.Concat(p.AllOf, p.AnyOf, p.OneOf)
	for _, c := range []*jsonschema.Schema{p.Ref, p.Not, p.If, p.Then, p.Else} {
		if c != nil {
			out = append(out, c)
		}
	}
	if p.DynamicRef != nil && p.DynamicRef.Ref != nil {
		out = append(out, p.DynamicRef.Ref)
	}
	for _, c := range p.DependentSchemas {
		out = append(out, c)
	}
	return out
}

// paths counts how often parts of p are applied to one value, up to just over
// maxPaths. A cycle counts once: the library finds those that do not end.
func paths(p *jsonschema.Schema, seen map[*jsonschema.Schema]int) int {
	if n, ok := seen[p]; ok {
		return n
	}
	seen[p] = 1
	n := 1
	for _, c := range inPlace(p) {
		n = min(n+paths(c, seen), maxPaths+1)
	}
	seen[p] = n
	return n
}

// names returns the properties that a part of the schema has, sorted.
func (r *report) names(location string) []string {
	p := r.schema.at[location]
	if p == nil {
		return nil
	}
	out := make([]string, 0, len(p.Properties))
	for name := range p.Properties {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// describe returns the description of a property of a part of the schema.
func (r *report) describe(location, property string) string {
	p := r.schema.at[location]
	if p == nil || p.Properties[property] == nil {
		return ""
	}
	return r.describePart(p.Properties[property])
}

func (r *report) description(location string) string {
	p := r.schema.at[location]
	if p == nil {
		return ""
	}
	return r.describePart(p)
}

func (r *report) describePart(p *jsonschema.Schema) string {
	if p.Description == "" && p.Ref != nil {
		return p.Ref.Description
	}
	return p.Description
}

// pointer returns the JSON Pointer (RFC 6901) of a location, after a prefix.
func pointer(prefix string, location []string) string {
	var b strings.Builder
	b.WriteString(prefix)
	for _, token := range location {
		b.WriteByte('/')
		b.WriteString(automation.Escape(token))
	}
	return b.String()
}

// lookup returns the value at a JSON Pointer, nil if there is none.
func lookup(doc any, at string) any {
	if at == "" {
		return doc
	}
	for token := range strings.SplitSeq(strings.TrimPrefix(at, "/"), "/") {
		switch v := doc.(type) {
		case map[string]any:
			doc = v[automation.Unescape(token)]
		case []any:
			i, err := strconv.Atoi(token)
			if err != nil || i < 0 || i >= len(v) {
				return nil
			}
			doc = v[i]
		default:
			return nil
		}
	}
	return doc
}
