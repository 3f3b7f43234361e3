package workflow

import "opsconductor.dev/host/automation"

// Summary is what is known of a definition that was checked to be stored.
type Summary struct {
	Name        string
	Description string
	// Includes are the stored workflows that its steps use, NAME@VERSION, sorted.
	Includes []string
}

// Inspect checks a definition as far as it can be without its inputs and targets:
// r.Inputs and r.Assets are not looked at. The error is automation.Errors, as
// Build's.
func Inspect(r Request) (Summary, error) {
	b := newBuilder(r)
	b.mode.template, b.mode.open = true, true
	b.Inputs, b.Assets = nil, nil
	if _, err := b.run(); err != nil {
		return Summary{}, err
	}
	return Summary{Name: b.root.str("name"), Description: b.root.str("description"), Includes: b.included()}, nil
}

// NameOf returns the name that a definition gives itself; "" when it can't be read.
func NameOf(definition []byte) string {
	root, err := parse(definition)
	if err != nil {
		return ""
	}
	return root.str("name")
}

// newBuilder is a builder before it has read the definition.
func newBuilder(r Request) *builder {
	if r.Limits == (Limits{}) {
		r.Limits = DefaultLimits()
	}
	b := &builder{Request: r, catalog: newCatalog(r.Plugins)}
	b.nest = &nesting{open: map[string]*child{}, templates: map[automation.Digest]*Plan{}}
	return b
}
