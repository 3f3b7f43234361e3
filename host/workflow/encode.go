package workflow

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"

	"opsconductor.dev/host/automation"
)

// Encode returns the plan's canonical JSON: fields in their fixed order, keys of
// objects sorted, no blanks. Equal plans have equal bytes.
func (p *Plan) Encode() ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(p); err != nil {
		return nil, automation.AsError(err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// Hash returns the SHA-256 of the canonical JSON, which names the plan; "" for a
// plan that has no JSON form, which Build never gives.
func (p *Plan) Hash() automation.Digest {
	raw, err := p.Encode()
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(raw)
	return automation.Digest(hex.EncodeToString(sum[:]))
}

// DecodePlan reads what Encode wrote. Unknown fields, another schema, needs that
// do not point back, and text after the end are errors with code invalid.
func DecodePlan(raw []byte) (*Plan, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	d.UseNumber()
	var p Plan
	if err := d.Decode(&p); err != nil {
		return nil, &automation.Error{Code: automation.CodeInvalid, Message: "the stored plan cannot be read", Err: err}
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, automation.Errorf(automation.CodeInvalid, "the stored plan has text after its end")
	}
	if p.Schema != PlanSchema {
		return nil, &automation.Error{Code: automation.CodeInvalid, Message: "a plan of another form", Pointer: "/schema", Allowed: PlanSchema}
	}
	for i, s := range p.Steps {
		for _, n := range s.Needs {
			if n < 0 || n >= i {
				return nil, automation.Errorf(automation.CodeInvalid, "step %s of the stored plan needs a step that does not come before it", s.ID)
			}
		}
	}
	return &p, nil
}
