package api

import (
	"github.com/danielgtaylor/huma/v2"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/service"
)

// descriptionOf says what a property is, for the types of automation and service:
// their rooms know nothing of OpenAPI, so they have no tags for it.
func descriptionOf(texts map[string]string, schema, field string) string {
	if text := texts[schema+"."+field]; text != "" {
		return text
	}
	switch field {
	case "id":
		return "Identifier: a UUID of version 7, so that later ones sort after earlier ones."
	case "tenant":
		return "The tenant that it belongs to."
	case "created_at":
		return "When it was created."
	case "updated_at":
		return "When it was last changed."
	}
	return ""
}

// enumOf lists the values of a property that is a state or another closed set.
func enumOf(schema, field string) []any {
	switch schema + "." + field {
	case "Run.state", "Event.run_state", "End.state":
		return anys(automation.RunStates())
	case "Item.state", "Step.state", "Event.state":
		return anys(automation.ItemStates())
	case "Approval.state":
		return anys(automation.ApprovalStates())
	case "Wait.for":
		return anys([]automation.WaitFor{automation.WaitForApproval, automation.WaitForEvent})
	case "Answer.decision":
		return anys(automation.Decisions())
	case "Answer.resolution":
		return anys(automation.Resolutions())
	case "EventReceipt.state":
		return anys([]string{service.EventDelivered, service.EventKept, service.EventPending})
	case "Plugin.state":
		return anys([]automation.PluginState{automation.PluginVetted, automation.PluginActive, automation.PluginDisabled})
	case "Action.effect":
		return anys([]automation.Effect{automation.EffectPure, automation.EffectIdempotent, automation.EffectOnce, automation.EffectGuarded})
	case "Asset.protocol":
		return anys([]automation.Protocol{automation.ProtocolSSH, automation.ProtocolWinRM, automation.ProtocolNone})
	case "Credential.kind":
		return anys([]automation.CredentialKind{automation.CredentialPassword, automation.CredentialSSHKey, automation.CredentialSSHAgent})
	case "Schedule.catch_up":
		return anys(automation.CatchUps())
	case "Schedule.overlap":
		return anys(automation.Overlaps())
	case "Trigger.scheme":
		return anys(automation.SignatureSchemes())
	case "Token.role":
		return anys([]automation.Role{automation.RoleAdmin, automation.RoleSubmitter})
	case "Event.kind":
		return []any{"run", "item"}
	case "LogLine.level":
		return []any{"debug", "info", "warn", "error"}
	}
	return nil
}

func anys[S ~string](values []S) []any {
	out := make([]any, len(values))
	for i, v := range values {
		out[i] = string(v)
	}
	return out
}

// dress adds to a schema's properties what their Go types can't say.
func dress(name string, s *huma.Schema) {
	texts := descriptions()
	for field, property := range s.Properties {
		if property.Description == "" {
			property.Description = descriptionOf(texts, name, field)
		}
		if values := enumOf(name, field); values != nil {
			property.Enum = values
		}
		if property.Type == huma.TypeArray {
			property.Nullable = false
		}
	}
}
