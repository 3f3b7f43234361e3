package service

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"opsconductor.dev/host/automation"
)

// ReviewPlugin returns what the version that ref names is, and how it differs from
// the version of the same plugin that was active last. Nothing of it is compiled or run.
func (s *Service) ReviewPlugin(ctx context.Context, p automation.Principal, ref string) (automation.PluginReview, error) {
	if err := s.authorise(p, opPluginRead); err != nil {
		return automation.PluginReview{}, err
	}
	pl, err := s.Plugin(ctx, p, ref)
	if err != nil {
		return automation.PluginReview{}, err
	}
	wasm, err := s.store.Artifact(ctx, p.Tenant, pl.Digest)
	if err != nil {
		return automation.PluginReview{}, fault(err)
	}
	found, err := s.registry.Find(wasm)
	if err != nil {
		return automation.PluginReview{}, fault(err)
	}
	changes, err := s.changesOf(ctx, pl)
	return automation.PluginReview{Findings: found, Changes: changes}, err
}

// changesOf compares a version with the one that was active last, so that disabling
// that one first leaves nothing out.
func (s *Service) changesOf(ctx context.Context, pl automation.Plugin) (automation.PluginChanges, error) {
	list, err := s.store.ListPlugins(ctx, pl.Tenant)
	if err != nil {
		return automation.PluginChanges{}, fault(err)
	}
	last := lastActive(list, pl)
	if last == nil || last.Digest == pl.Digest {
		return automation.PluginChanges{}, nil
	}
	return compare(*last, pl), nil
}

// lastActive returns the version of pl's plugin that is active beside pl, the newest of
// several; without one the version, pl too, that was disabled last of those that were
// active once; nil when none ever was. list is by creation.
func lastActive(list []automation.Plugin, pl automation.Plugin) *automation.Plugin {
	var last *automation.Plugin
	for i := range slices.Backward(list) {
		v := &list[i]
		switch {
		case v.Name != pl.Name:
		case v.State == automation.PluginActive && v.Digest != pl.Digest:
			return v
		case wasActive(*v) && (last == nil || v.Updated.After(last.Updated)):
			last = v
		}
	}
	return last
}

// wasActive reports whether a version is active or was once. An upload is row 1; one
// that was disabled before it was ever active is row 2, and stays that until it is
// activated.
func wasActive(pl automation.Plugin) bool {
	return pl.State == automation.PluginActive || pl.State == automation.PluginDisabled && pl.RowNumber > 2
}

// compare says what next has that active has not. What was approved once by
// activating next is not asked for again.
func compare(active, next automation.Plugin) automation.PluginChanges {
	c := automation.PluginChanges{Against: active.Version}
	for _, f := range next.Manifest.HostFunctions {
		if !wants(active.Manifest, f.Name) || !grants(active, f.Name) {
			c.AddedFunctions = append(c.AddedFunctions, f.Name)
		}
	}
	for _, f := range active.Manifest.HostFunctions {
		if !wants(next.Manifest, f.Name) {
			c.RemovedFunctions = append(c.RemovedFunctions, f.Name)
		}
	}
	looser := false
	for _, a := range next.Manifest.Actions {
		before := actionOf(active.Manifest, a.Name)
		if before == nil {
			c.AddedActions = append(c.AddedActions, a.Name)
			continue
		}
		if what := changed(*before, a); len(what) > 0 {
			c.ChangedActions = append(c.ChangedActions, automation.ActionChange{Action: a.Name, What: what})
		}
		looser = looser || a.Effect != before.Effect
	}
	for _, a := range active.Manifest.Actions {
		if actionOf(next.Manifest, a.Name) == nil {
			c.RemovedActions = append(c.RemovedActions, a.Name)
		}
	}
	c.NeedApproval = next.State != automation.PluginActive && (len(c.AddedFunctions) > 0 || looser)
	return c
}

func wants(m automation.Manifest, function string) bool {
	return slices.ContainsFunc(m.HostFunctions, func(f automation.HostFunction) bool { return f.Name == function })
}

func grants(pl automation.Plugin, function string) bool {
	return slices.ContainsFunc(pl.Grants, func(g automation.Grant) bool { return g.Function == function })
}

func actionOf(m automation.Manifest, name string) *automation.Action {
	i := slices.IndexFunc(m.Actions, func(a automation.Action) bool { return a.Name == name })
	if i < 0 {
		return nil
	}
	return &m.Actions[i]
}

func changed(before, after automation.Action) []string {
	var what []string
	if before.Effect != after.Effect {
		what = append(what, fmt.Sprintf("effect %s to %s", before.Effect, after.Effect))
	}
	if !sameJSON(before.Input, after.Input) {
		what = append(what, "input")
	}
	if !sameJSON(before.Output, after.Output) {
		what = append(what, "output")
	}
	if before.Target != after.Target {
		what = append(what, "target")
	}
	if before.Timeout != after.Timeout {
		what = append(what, "timeout")
	}
	return what
}

// unapproved is the refusal of an activation whose changes nobody approved; nil
// when there is nothing to approve.
func unapproved(pl automation.Plugin, c automation.PluginChanges) error {
	if !c.NeedApproval {
		return nil
	}
	var parts []string
	if len(c.AddedFunctions) > 0 {
		parts = append(parts, "host functions: "+strings.Join(c.AddedFunctions, ", "))
	}
	for _, a := range c.ChangedActions {
		if strings.HasPrefix(a.What[0], "effect ") {
			parts = append(parts, "action "+a.Action+": "+a.What[0])
		}
	}
	return &automation.Error{
		Code: automation.CodeConflict, Pointer: "/approve_changes",
		Message:    fmt.Sprintf("%s@%s asks for more than %s had, which was active last: %s", pl.Name, pl.Version, c.Against, strings.Join(parts, "; ")),
		Suggestion: "look at the changes (opsconductor plugin show), then activate it with --approve-changes, which is approve_changes: true in the API",
	}
}
