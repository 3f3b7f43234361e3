package service

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/inventory"
	"opsconductor.dev/host/workflow"
)

// The bounds of a trigger's secret, in bytes. Those of the standard scheme are its
// specification's.
const (
	minStandardSecret = 24
	maxStandardSecret = 64
	minGitHubSecret   = 16
	maxGitHubSecret   = 256
	standardPrefix    = "whsec_"
)

// checkTrigger checks a request whole, with what was found wrong before, and sets
// what it says of the trigger.
func (s *Service) checkTrigger(ctx context.Context, t *automation.Trigger, r TriggerRequest, before *automation.Error) error {
	t.Name, t.Definition, t.Inputs, t.If = r.Name, r.Definition, r.Inputs, strings.TrimSpace(r.If)
	if string(t.Inputs) == "null" || len(t.Inputs) == 0 {
		t.Inputs = nil
	}
	var problems automation.Errors
	for _, e := range []*automation.Error{inventory.CheckName("/name", r.Name), oneOf("/scheme", t.Scheme, automation.SignatureSchemes()), before} {
		if e != nil {
			problems = append(problems, e)
		}
	}
	if strings.TrimSpace(r.Definition) == "" {
		return append(problems, &automation.Error{Code: automation.CodeMissing, Pointer: "/definition", Message: "a trigger needs the definition of a workflow"})
	}
	if len(t.Inputs) > 0 && !json.Valid(t.Inputs) {
		return append(problems, &automation.Error{Code: automation.CodeSyntax, Pointer: "/inputs", Message: "the inputs are not JSON"})
	}
	types, err := workflow.DeclaredInputs([]byte(r.Definition))
	if err != nil { // the planner says it again, with its place
		types = nil
	}
	m, wrong := compileMapping(t.Inputs, t.If, types)
	problems = append(problems, wrong...)
	found, err := s.checkOpen(ctx, t.Tenant, PlanRequest{Definition: []byte(r.Definition), Inputs: t.Inputs}, m.later())
	if err != nil {
		return err
	}
	return append(problems, found...).OrNil()
}

// checkOpen checks a definition whose later inputs have no values yet, and
// returns what is wrong with it; what has a line is in the definition's text.
func (s *Service) checkOpen(ctx context.Context, tenant automation.TenantID, r PlanRequest, later []string) (automation.Errors, error) {
	request, err := s.planRequest(ctx, tenant, r)
	if err != nil {
		return nil, fault(err)
	}
	return inDefinition(workflow.Check(request, later))
}

// hookSecret returns the key that a scheme signs with: of the text that was given,
// or of a new one, which is then what is shown.
func hookSecret(scheme automation.SignatureScheme, given automation.Secret) (shown, key automation.Secret, wrong *automation.Error) {
	if given.Empty() {
		fresh := make([]byte, 32)
		_, _ = rand.Read(fresh) // never fails: crypto/rand ends the process instead
		if scheme == automation.SignatureGitHub {
			text := base64.RawURLEncoding.EncodeToString(fresh)
			return automation.NewSecret([]byte(text)), automation.NewSecret([]byte(text)), nil
		}
		return automation.NewSecret([]byte(standardPrefix + base64.StdEncoding.EncodeToString(fresh))), automation.NewSecret(fresh), nil
	}
	text := given.Reveal()
	if scheme == automation.SignatureGitHub {
		control := bytes.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f })
		if len(text) < minGitHubSecret || len(text) > maxGitHubSecret || control {
			return shown, key, badSecret(fmt.Sprintf("%d to %d bytes without control characters", minGitHubSecret, maxGitHubSecret))
		}
		return shown, automation.NewSecret(bytes.Clone(text)), nil
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(strings.TrimPrefix(string(text), standardPrefix))
	if err != nil || !bytes.HasPrefix(text, []byte(standardPrefix)) || len(raw) < minStandardSecret || len(raw) > maxStandardSecret {
		return shown, key, badSecret(fmt.Sprintf("whsec_ and the base64 of %d to %d bytes", minStandardSecret, maxStandardSecret))
	}
	return shown, automation.NewSecret(raw), nil
}

func badSecret(allowed string) *automation.Error {
	return &automation.Error{
		Code: automation.CodeInvalid, Pointer: "/secret", Message: "that is not a secret of this scheme", Allowed: allowed,
		Suggestion: "leave it out, and the host makes one",
	}
}

func keepTime(text string) (time.Duration, *automation.Error) {
	if text == "" {
		return defaultKeep, nil
	}
	keep, err := time.ParseDuration(text)
	if err != nil || keep < 0 || keep > maxKeep {
		return 0, &automation.Error{
			Code: automation.CodeInvalid, Pointer: "/keep", Message: "that is not a time for which the old secret stays valid", Allowed: "0s to 168h, like 24h",
		}
	}
	return keep, nil
}
