package workflow

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"opsconductor.dev/host/automation"
)

// maxListed bounds the names that an error lists as allowed.
const maxListed = 20

// use is a step's `uses`, taken apart.
type use struct{ plugin, action, version string }

// parseUse takes "plugin.action@version" apart.
func parseUse(s string) (use, bool) {
	name, version, _ := strings.Cut(s, "@")
	plugin, action, ok := strings.Cut(name, ".")
	return use{plugin, action, version}, ok && plugin != "" && action != ""
}

// catalog is the active plugins, the newest version of each first.
type catalog struct{ plugins []automation.Plugin }

func newCatalog(all []automation.Plugin) catalog {
	var c catalog
	for _, p := range all {
		if p.State == automation.PluginActive {
			c.plugins = append(c.plugins, p)
		}
	}
	slices.SortStableFunc(c.plugins, func(a, b automation.Plugin) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), compareVersions(b.Version, a.Version))
	})
	return c
}

// find resolves a use. The error has no place yet.
func (c catalog) find(u use) (*automation.Plugin, *automation.Action, *automation.Error) {
	var versions []string
	var best *automation.Plugin
	for i := range c.plugins {
		p := &c.plugins[i]
		if p.Name != u.plugin {
			continue
		}
		versions = append(versions, p.Version)
		if best == nil && versionFits(p.Version, u.version) {
			best = p
		}
	}
	switch {
	case versions == nil:
		return nil, nil, &automation.Error{
			Code: automation.CodeUnknownName, Message: "no active plugin " + automation.Quote(u.plugin),
			Allowed: list(c.names()), Suggestion: automation.DidYouMean(u.plugin, c.names()),
		}
	case best == nil:
		return nil, nil, &automation.Error{
			Code: automation.CodeUnknownName, Message: "no active version " + automation.Quote(u.version) + " of plugin " + u.plugin,
			Allowed: list(versions), Suggestion: "leave the version out for the newest",
		}
	}
	var actions []string
	for i := range best.Manifest.Actions {
		a := &best.Manifest.Actions[i]
		if a.Name == u.action {
			return best, a, nil
		}
		actions = append(actions, a.Name)
	}
	slices.Sort(actions)
	return nil, nil, &automation.Error{
		Code: automation.CodeUnknownName, Message: "plugin " + u.plugin + " " + best.Version + " has no action " + automation.Quote(u.action),
		Allowed: list(actions), Suggestion: automation.DidYouMean(u.action, actions),
	}
}

func (c catalog) names() []string {
	var out []string
	for _, p := range c.plugins {
		if !slices.Contains(out, p.Name) {
			out = append(out, p.Name)
		}
	}
	return out
}

func list(names []string) string {
	if len(names) > maxListed {
		return strings.Join(names[:maxListed], ", ") + ", …"
	}
	return strings.Join(names, ", ")
}

// versionFits reports whether a version is what was asked for: all of it, or the
// major or the major and minor number of a release; "" is any release.
func versionFits(version, want string) bool {
	if version == want {
		return true
	}
	release, _, _ := strings.Cut(version, "+")
	if strings.Contains(release, "-") {
		return release == want
	}
	return want == "" || release == want || strings.HasPrefix(release, want+".")
}

// compareVersions orders by semantic versioning 2.0.0, section 11.
func compareVersions(a, b string) int {
	a, _, _ = strings.Cut(a, "+")
	b, _, _ = strings.Cut(b, "+")
	ac, ap, _ := strings.Cut(a, "-")
	bc, bp, _ := strings.Cut(b, "-")
	if c := compareParts(ac, bc); c != 0 {
		return c
	}
	switch {
	case ap == bp:
		return 0
	case ap == "":
		return 1
	case bp == "":
		return -1
	}
	return compareParts(ap, bp)
}

func compareParts(a, b string) int {
	as, bs := strings.Split(a, "."), strings.Split(b, ".")
	for i := range min(len(as), len(bs)) {
		an, aerr := strconv.ParseUint(as[i], 10, 64)
		bn, berr := strconv.ParseUint(bs[i], 10, 64)
		c := cmp.Compare(as[i], bs[i])
		switch {
		case aerr == nil && berr == nil:
			c = cmp.Compare(an, bn)
		case aerr == nil:
			c = -1
		case berr == nil:
			c = 1
		}
		if c != 0 {
			return c
		}
	}
	return cmp.Compare(len(as), len(bs))
}
