package expr

import (
	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/registry/schema"
)

// AssetType returns the type of `asset`: id, name, address, port, protocol, os,
// tags and vars. It never holds credentials or host keys.
func AssetType() *schema.Type {
	text := &schema.Type{Kind: schema.KindString}
	return &schema.Type{Kind: schema.KindObject, Fields: map[string]*schema.Type{
		"id": text, "name": text, "address": text, "protocol": text, "os": text,
		"port": {Kind: schema.KindInteger},
		"tags": {Kind: schema.KindList, Elem: text},
		"vars": {Kind: schema.KindMap},
	}}
}

// Asset returns a plan's target as the value of `asset`.
func Asset(t *automation.Target) Value {
	return Record(assetNames(), func(name string) (Value, bool) {
		switch name {
		case "address":
			return Text(t.Address), true
		case "id":
			return Text(string(t.ID)), true
		case "name":
			return Text(t.Name), true
		case "os":
			return Text(t.OS), true
		case "port":
			return Integer(int64(t.Port)), true
		case "protocol":
			return Text(string(t.Protocol)), true
		case "tags":
			return texts(t.Tags), true
		case "vars":
			return vars(t.Vars), true
		}
		return Value{}, false
	})
}

func assetNames() []string {
	return []string{"address", "id", "name", "os", "port", "protocol", "tags", "vars"}
}

func texts(ss []string) Value {
	out := make([]Value, len(ss))
	for i, s := range ss {
		out[i] = Text(s)
	}
	return List(out)
}

// vars returns an asset's variables; those decoded as float64 keep their value.
func vars(m map[string]any) Value {
	if m == nil {
		m = map[string]any{}
	}
	return JSON(nil, m)
}

// Selector decides which assets an expression selects. It is immutable and safe
// for concurrent use.
type Selector struct {
	prg    *Program
	inputs Value
}

// NewSelector compiles an expression over `asset`, and over `inputs` of a type
// and with a value; nil: there are no inputs. The errors have code expression or
// limit.
func NewSelector(src string, inputs *schema.Type, value Value, o Options) (*Selector, automation.Errors) {
	names := map[string]*schema.Type{"asset": AssetType()}
	if inputs != nil {
		names["inputs"] = inputs
	}
	env, err := NewEnv(names, o)
	if err != nil {
		return nil, automation.Errors{automation.AsError(err)}
	}
	prg, errs := env.Compile(src, &schema.Type{Kind: schema.KindBoolean})
	if errs != nil {
		return nil, errs
	}
	return &Selector{prg: prg, inputs: value}, nil
}

// Reads returns the names, with their fields, that the expression reads.
func (s *Selector) Reads() [][]string {
	var out [][]string
	for _, r := range s.prg.Refs() {
		out = append(out, r.Path)
	}
	return out
}

// Selects reports whether an asset is selected.
func (s *Selector) Selects(a automation.Asset) (bool, error) {
	t := TargetOf(a)
	return s.prg.True(selecting{Asset(&t), s.inputs})
}

type selecting struct{ asset, inputs Value }

func (s selecting) Name(name string) (Value, bool) {
	switch name {
	case "asset":
		return s.asset, true
	case "inputs":
		return s.inputs, true
	}
	return Value{}, false
}

// AssetSelector compiles a selector over assets alone, as lists of the inventory
// use it. The error is automation.Errors with code expression or limit; the
// function is safe for concurrent use.
func AssetSelector(src string) (func(automation.Asset) (bool, error), error) {
	s, errs := NewSelector(src, nil, Value{}, Options{})
	if errs != nil {
		return nil, errs
	}
	return s.Selects, nil
}

// TargetOf returns what a plan pins of an asset.
func TargetOf(a automation.Asset) automation.Target {
	return automation.Target{
		ID: a.ID, Name: a.Name, Address: a.Address, Port: a.Port, Protocol: a.Protocol,
		OS: a.OS, Tags: a.Tags, Credential: a.Credential, Queue: a.Queue, Vars: a.Vars,
	}
}
