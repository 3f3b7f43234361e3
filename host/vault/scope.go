package vault

import (
	"fmt"
	"slices"

	"opsconductor.dev/host/automation"
)

// Any is the word in a scope's list of assets that stands for all of them.
const Any = "*"

// Allows is the rule of which credential may be used where: the scope must have
// the protocol, and name the asset, name all assets ("*"), or have one of the
// asset's tags. An empty scope allows nothing. Names are compared exactly.
func Allows(scope automation.CredentialScope, a automation.Asset, p automation.Protocol) bool {
	if !slices.Contains(scope.Protocols, p) {
		return false
	}
	if slices.Contains(scope.Assets, Any) || a.Name != "" && slices.Contains(scope.Assets, a.Name) {
		return true
	}
	return slices.ContainsFunc(a.Tags, func(tag string) bool { return tag != "" && slices.Contains(scope.Tags, tag) })
}

// Check returns nil when a credential may be used on an asset of its own tenant
// with a protocol, else an error of code denied that says what the scope lacks.
func Check(c automation.Credential, a automation.Asset, p automation.Protocol) error {
	if c.Tenant != a.Tenant {
		return &automation.Error{
			Code: automation.CodeDenied, Phase: automation.PhaseBefore,
			Message: "the credential and the asset belong to different tenants",
		}
	}
	if Allows(c.Scope, a, p) {
		return nil
	}
	e := &automation.Error{Code: automation.CodeDenied, Phase: automation.PhaseBefore}
	if !slices.Contains(c.Scope.Protocols, p) {
		e.Message = fmt.Sprintf("credential %q may not be used with protocol %s", c.Name, p)
		e.Suggestion = fmt.Sprintf("add %q to the protocols of its scope, or use another credential", p)
		return e
	}
	e.Message = fmt.Sprintf("credential %q may not be used on asset %q", c.Name, a.Name)
	e.Suggestion = fmt.Sprintf("add %q to the assets of its scope, or one of the asset's tags to its tags", a.Name)
	return e
}
