package workflow

import (
	"opsconductor.dev/host/registry/schema"
)

// Check finds what is wrong with a definition some of whose inputs get their
// values later. Those need no value, and nothing that depends on the values of
// inputs is evaluated: Build does that once they are all known. The errors are
// those of Build.
func Check(r Request, later []string) error {
	r.later = later
	_, err := Build(r)
	return err
}

// DeclaredInputs returns the names and types of the inputs that a definition
// declares; a type that the language doesn't have is any. The error is an
// *automation.Error: the definition can't be read.
func DeclaredInputs(definition []byte) (map[string]*schema.Type, error) {
	root, err := parse(definition)
	if err != nil {
		return nil, err
	}
	out := map[string]*schema.Type{}
	declared := root.field("inputs")
	if declared == nil || declared.kind != nodeObject {
		return out, nil
	}
	for _, m := range declared.members {
		out[m.name] = inputType(m.value.str("type"))
		if out[m.name] == nil {
			out[m.name] = schema.Any()
		}
	}
	return out, nil
}
