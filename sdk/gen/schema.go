package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Catalog is what schemas/hostfuncs says.
type Catalog struct {
	Functions []Function // by name
	Codes     []string   // the error codes, in the schema's order
}

// Function is one host function.
type Function struct {
	Name string
	Doc  string
	Defs []Def // request, result, and what these refer to, in the schema's order
}

// Def is one object type of a function.
type Def struct {
	Name       string
	Doc        string
	Properties []Property // in the schema's order
}

// Property is one member of a Def.
type Property struct {
	Name     string
	Required bool
	Schema   Schema
}

// Schema is the part of JSON Schema that the host functions' schemas use.
type Schema struct {
	Type                 string          `json:"type"`
	Description          string          `json:"description"`
	Ref                  string          `json:"$ref"`
	ContentEncoding      string          `json:"contentEncoding"`
	Enum                 []string        `json:"enum"`
	Items                *Schema         `json:"items"`
	Properties           ordered         `json:"properties"`
	Required             []string        `json:"required"`
	AdditionalProperties json.RawMessage `json:"additionalProperties"`
	Defs                 ordered         `json:"$defs"`
	Title                string          `json:"title"`
}

// ordered keeps the members of an object of schemas in their order.
type ordered []member

type member struct {
	name   string
	schema Schema
}

// UnmarshalJSON reads an object of schemas.
func (o *ordered) UnmarshalJSON(b []byte) error {
	dec := json.NewDecoder(bytes.NewReader(b))
	if _, err := dec.Token(); err != nil {
		return err
	}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return err
		}
		m := member{name: fmt.Sprint(name)}
		if err := dec.Decode(&m.schema); err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		*o = append(*o, m)
	}
	return nil
}

// Load reads hostfuncs/*.json of a tree.
func Load(tree fs.FS) (Catalog, error) {
	var c Catalog
	names, err := fs.Glob(tree, "hostfuncs/*.json")
	if err != nil {
		return c, err
	}
	slices.Sort(names)
	for _, name := range names {
		b, err := fs.ReadFile(tree, name)
		if err != nil {
			return c, err
		}
		var s Schema
		if err := json.Unmarshal(b, &s); err != nil {
			return c, fmt.Errorf("%s: %w", name, err)
		}
		if base := strings.TrimSuffix(path.Base(name), ".json"); base != s.Title {
			return c, fmt.Errorf("%s: its title is %q, and must be %q", name, s.Title, base)
		}
		if s.Title == "error" {
			c.Codes = codes(s)
			continue
		}
		c.Functions = append(c.Functions, function(s))
	}
	if len(c.Functions) == 0 || len(c.Codes) == 0 {
		return c, fmt.Errorf("hostfuncs: %d functions and %d error codes; both are needed", len(c.Functions), len(c.Codes))
	}
	return c, nil
}

func codes(s Schema) []string {
	for _, p := range s.Properties {
		if p.name == "code" {
			return p.schema.Enum
		}
	}
	return nil
}

func function(s Schema) Function {
	f := Function{Name: s.Title, Doc: s.Description}
	for _, d := range s.Defs {
		def := Def{Name: d.name, Doc: d.schema.Description}
		for _, p := range d.schema.Properties {
			def.Properties = append(def.Properties, Property{
				Name: p.name, Schema: p.schema, Required: slices.Contains(d.schema.Required, p.name),
			})
		}
		f.Defs = append(f.Defs, def)
	}
	return f
}
