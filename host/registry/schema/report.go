package schema

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"

	"opsconductor.dev/host/automation"
)

// maxSuggestions bounds the unknown fields of one object that a suggestion is
// looked for: looking for them takes time.
const maxSuggestions = 100

// report turns the library's tree of faults into our flat list.
type report struct {
	schema  *Schema
	at      string
	unknown func(string) bool
	doc     any
	errs    automation.Errors
}

func (r *report) add(v *jsonschema.ValidationError) {
	here := pointer(r.at, v.InstanceLocation)
	if r.unknown != nil && r.hidden(here, v.ErrorKind) {
		return
	}
	switch k := v.ErrorKind.(type) {
	case *kind.AdditionalProperties:
		r.unknownFields(v, here, k.Properties)
	case *kind.Required:
		for _, name := range k.Missing {
			r.put(automation.CodeMissing, here+"/"+automation.Escape(name), name+" is missing", r.describe(v.SchemaURL, name), "add "+name)
		}
	case *kind.Type:
		r.put(automation.CodeWrongType, here, "a value of type "+k.Got, typeList(k.Want), "")
	case *kind.AnyOf, *kind.OneOf:
		r.alternatives(v, here)
	case *kind.Schema, *kind.Group, *kind.AllOf, *kind.Reference:
		for _, c := range v.Causes {
			r.add(c)
		}
	default:
		r.put(automation.CodeInvalid, here, message(v.ErrorKind), r.allowed(v), r.nearestValue(v))
	}
}

// hidden reports whether a fault may be due to a value that is not known yet.
func (r *report) hidden(here string, k jsonschema.ErrorKind) bool {
	if r.unknown(here) {
		return true
	}
	switch k.(type) {
	case *kind.AnyOf, *kind.OneOf, *kind.Not, *kind.Contains, *kind.MinContains,
		*kind.MaxContains, *kind.UniqueItems, *kind.Enum, *kind.Const:
		return r.anyUnknown(here, lookup(r.doc, strings.TrimPrefix(here, r.at)))
	}
	return false
}

func (r *report) anyUnknown(at string, v any) bool {
	if r.unknown(at) {
		return true
	}
	switch v := v.(type) {
	case []any:
		for i, e := range v {
			if r.anyUnknown(fmt.Sprintf("%s/%d", at, i), e) {
				return true
			}
		}
	case map[string]any:
		for k, e := range v {
			if r.anyUnknown(at+"/"+automation.Escape(k), e) {
				return true
			}
		}
	}
	return false
}

func (r *report) unknownFields(v *jsonschema.ValidationError, here string, names []string) {
	slices.Sort(names)
	known := r.names(v.SchemaURL)
	for i, name := range names {
		e := &automation.Error{
			Code: automation.CodeUnknownField, Pointer: here + "/" + automation.Escape(name),
			Message: "unknown field " + automation.Quote(name), Allowed: strings.Join(known, ", "),
		}
		if i < maxSuggestions {
			e.Suggestion = automation.DidYouMean(name, known)
		}
		r.errs = append(r.errs, e)
	}
}

// alternatives reports on a value that fits none of several schemas: by the one
// alternative whose type fits, if there is just one, else as a whole.
func (r *report) alternatives(v *jsonschema.ValidationError, here string) {
	var types []string
	var fitting []*jsonschema.ValidationError
	for _, c := range v.Causes {
		if t, ok := typeFault(c, v.InstanceLocation); ok {
			types = append(types, t.Want...)
		} else {
			fitting = append(fitting, c)
		}
	}
	switch {
	case len(fitting) == 1:
		r.add(fitting[0])
	case len(fitting) == 0 && len(types) > 0:
		t, _ := typeFault(v.Causes[0], v.InstanceLocation)
		r.put(automation.CodeWrongType, here, "a value of type "+t.Got, typeList(types), "")
	default:
		r.put(automation.CodeInvalid, here, "a value that fits none, or more than one, of its forms", r.description(v.SchemaURL), "")
	}
}

// typeFault finds a fault about the type of the value at loc itself.
func typeFault(v *jsonschema.ValidationError, loc []string) (*kind.Type, bool) {
	if t, ok := v.ErrorKind.(*kind.Type); ok && len(v.InstanceLocation) == len(loc) {
		return t, true
	}
	switch v.ErrorKind.(type) {
	case *kind.Group, *kind.Reference, *kind.AllOf:
		for _, c := range v.Causes {
			if t, ok := typeFault(c, loc); ok {
				return t, true
			}
		}
	}
	return nil, false
}

func (r *report) put(code automation.Code, at, message, allowed, suggestion string) {
	r.errs = append(r.errs, &automation.Error{Code: code, Pointer: at, Message: message, Allowed: allowed, Suggestion: suggestion})
}

// sorted returns the faults by pointer, each once.
func (r *report) sorted() automation.Errors {
	slices.SortStableFunc(r.errs, func(a, b *automation.Error) int {
		return cmp.Or(cmp.Compare(a.Pointer, b.Pointer), cmp.Compare(a.Message, b.Message))
	})
	return slices.CompactFunc(r.errs, func(a, b *automation.Error) bool {
		return a.Pointer == b.Pointer && a.Message == b.Message
	})
}

// message says what is wrong in words that hold no part of the value.
func message(k jsonschema.ErrorKind) string {
	switch k := k.(type) {
	case *kind.Enum:
		return "not one of the allowed values"
	case *kind.Const:
		return "not the allowed value"
	case *kind.Format:
		return "not a " + k.Want
	case *kind.Pattern:
		return "not of the form that the schema asks for"
	case *kind.MinLength:
		return fmt.Sprintf("shorter than %d characters", k.Want)
	case *kind.MaxLength:
		return fmt.Sprintf("longer than %d characters", k.Want)
	case *kind.Minimum, *kind.ExclusiveMinimum:
		return "too small a number"
	case *kind.Maximum, *kind.ExclusiveMaximum:
		return "too large a number"
	case *kind.MultipleOf:
		return "not a multiple"
	case *kind.MinItems:
		return fmt.Sprintf("fewer than %d elements", k.Want)
	case *kind.MaxItems:
		return fmt.Sprintf("more than %d elements", k.Want)
	case *kind.MinProperties:
		return fmt.Sprintf("fewer than %d fields", k.Want)
	case *kind.MaxProperties:
		return fmt.Sprintf("more than %d fields", k.Want)
	case *kind.UniqueItems:
		return "an element that is there twice"
	case *kind.PropertyNames:
		return "a field whose name is not allowed"
	case *kind.DependentRequired:
		return "a field without another that it needs"
	case *kind.FalseSchema:
		return "a value where none is allowed"
	case *kind.Not:
		return "a value of a form that is not allowed"
	default:
		return "a value that the schema does not allow"
	}
}

// allowed says what would be right.
func (r *report) allowed(v *jsonschema.ValidationError) string {
	switch k := v.ErrorKind.(type) {
	case *kind.Enum:
		return jsonList(k.Want)
	case *kind.Const:
		return jsonList([]any{k.Want})
	case *kind.Minimum:
		return "at least " + k.Want.RatString()
	case *kind.ExclusiveMinimum:
		return "more than " + k.Want.RatString()
	case *kind.Maximum:
		return "at most " + k.Want.RatString()
	case *kind.ExclusiveMaximum:
		return "less than " + k.Want.RatString()
	case *kind.MultipleOf:
		return "a multiple of " + k.Want.RatString()
	case *kind.DependentRequired:
		return k.Prop + " together with " + strings.Join(k.Missing, ", ")
	case *kind.Pattern:
		if d := r.description(v.SchemaURL); d != "" {
			return d
		}
		return "text that matches " + k.Want
	default:
		return r.description(v.SchemaURL)
	}
}

// nearestValue suggests a value of an enumeration that the text may have meant.
func (r *report) nearestValue(v *jsonschema.ValidationError) string {
	k, ok := v.ErrorKind.(*kind.Enum)
	got, isText := "", false
	if ok {
		got, isText = k.Got.(string)
	}
	if !isText {
		return ""
	}
	var known []string
	for _, w := range k.Want {
		if s, ok := w.(string); ok {
			known = append(known, s)
		}
	}
	return automation.DidYouMean(got, known)
}

func jsonList(values []any) string {
	parts := make([]string, 0, len(values))
	for _, v := range values {
		if s, ok := v.(string); ok {
			parts = append(parts, s)
			continue
		}
		b, err := json.Marshal(v)
		if err != nil {
			continue
		}
		parts = append(parts, string(b))
	}
	return strings.Join(parts, ", ")
}

func typeList(types []string) string {
	types = slices.Clone(types)
	slices.Sort(types)
	return strings.Join(slices.Compact(types), " or ")
}
