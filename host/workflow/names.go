package workflow

import (
	"opsconductor.dev/host/registry/schema"
	"opsconductor.dev/host/workflow/expr"
)

// stepType is what is known of a step by those that need it.
type stepType struct {
	id      string
	outputs *schema.Type
	fanOut  bool         // it has for_each
	assets  bool         // its items have an asset
	elem    *schema.Type // of its items' element; nil: not known
	size    int          // the greatest number of items
}

func object(fields map[string]*schema.Type) *schema.Type {
	return &schema.Type{Kind: schema.KindObject, Fields: fields}
}

func kind(k schema.Kind) *schema.Type { return &schema.Type{Kind: k} }

// typ returns the type of steps.ID: status, items, and outputs unless the step
// fans out.
func (s stepType) typ() *schema.Type {
	item := map[string]*schema.Type{
		"index": kind(schema.KindInteger), "status": kind(schema.KindString), "attempts": kind(schema.KindInteger),
		"outputs": s.outputs, "error": object(map[string]*schema.Type{
			"code": kind(schema.KindString), "message": kind(schema.KindString),
		}),
	}
	if s.assets {
		item["asset"] = expr.AssetType()
	}
	if s.fanOut && !s.assets {
		item["item"] = s.elem
	}
	fields := map[string]*schema.Type{
		"status": kind(schema.KindString),
		"items":  {Kind: schema.KindList, Elem: object(item)},
	}
	if !s.fanOut {
		fields["outputs"] = s.outputs
	}
	return object(fields)
}

// naming says which names a step's expressions have.
type naming struct {
	inputs *schema.Type
	steps  []stepType
	cost   uint64
}

// env returns the names of a step: asset where its items have one, item where it
// loops over a list with elements of a type. own nil: the names of its condition
// and of its for_each.
func (n naming) env(own *stepType) (*expr.Env, error) {
	steps := map[string]*schema.Type{}
	sizes := map[string]int{}
	for _, s := range n.steps {
		if s.id != "" {
			steps[s.id] = s.typ()
			sizes[s.id] = s.size
		}
	}
	names := map[string]*schema.Type{
		"inputs": n.inputs,
		"steps":  object(steps),
		"run":    runType(),
	}
	own.addTo(names)
	return expr.NewEnv(names, expr.Options{Cost: n.cost, Sizes: func(path []string) (uint64, bool) {
		if len(path) != 3 || path[0] != "steps" || path[2] != "items" {
			return 0, false
		}
		size, ok := sizes[path[1]]
		return uint64(size), ok
	}})
}

func runType() *schema.Type {
	text := kind(schema.KindString)
	return object(map[string]*schema.Type{"id": text, "workflow": text, "by": text, "scheduled_at": text})
}

// addTo adds the names that a step's items have of their own.
func (s *stepType) addTo(names map[string]*schema.Type) {
	if s != nil && s.assets {
		names["asset"] = expr.AssetType()
	}
	if s != nil && s.fanOut && s.elem != nil {
		names["item"] = s.elem
	}
}

// hasAsset reports whether a type is that of an asset, or of an item with one.
func hasAsset(t *schema.Type) bool {
	if t.KindOf() != schema.KindObject {
		return false
	}
	if a, ok := t.Fields["asset"]; ok {
		return hasAsset(a)
	}
	for _, name := range []string{"address", "id", "name", "protocol"} {
		if t.Fields[name] == nil {
			return false
		}
	}
	return true
}
