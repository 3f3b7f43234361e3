package inventory

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"opsconductor.dev/host/automation"
)

// The bounds of an asset.
const (
	maxTags     = 100
	maxHostKeys = 20
	maxVarBytes = 16 << 10 // of vars as JSON
	maxVarDepth = 5        // of objects and lists within vars
	maxVarName  = 64       // bytes of a key within vars
)

// Normalise returns the asset as it is stored: default port, tags sorted and
// without doubles, host keys without comments and spare blanks. What it cannot
// read it leaves, for Validate to find.
func Normalise(a automation.Asset) automation.Asset {
	if a.Port == 0 {
		switch a.Protocol {
		case automation.ProtocolSSH:
			a.Port = 22
		case automation.ProtocolWinRM:
			a.Port = 5986
		case automation.ProtocolNone:
		}
	}
	a.Tags = slices.Clone(a.Tags)
	slices.Sort(a.Tags)
	a.Tags = slices.Compact(a.Tags)
	a.HostKeys, a.SSH.Authorities = plainKeys(a.HostKeys), plainKeys(a.SSH.Authorities)
	return a
}

// Validate returns everything that is wrong with an asset, each with its place;
// nil when nothing is. It expects what Normalise returned. It does not look at
// the identifiers, the credential or the times, and no message has a value in it.
func Validate(a automation.Asset) automation.Errors {
	var out automation.Errors
	if e := CheckName("/name", a.Name); e != nil {
		out = append(out, e)
	}
	out = append(out, validateAddress(a)...)
	out = append(out, validateTags(a.Tags)...)
	out = append(out, validateVars(a.Vars)...)
	out = append(out, validateHostKeys(a)...)
	return append(out, validateSSH(a)...)
}

func validateAddress(a automation.Asset) automation.Errors {
	var out automation.Errors
	add := func(code automation.Code, pointer, message, allowed, suggestion string) {
		out = append(out, &automation.Error{Code: code, Pointer: pointer, Message: message, Allowed: allowed, Suggestion: suggestion})
	}
	switch {
	case a.Address == "":
		add(automation.CodeMissing, "/address", "the address is missing", "a host name or an IP address", "")
	case !IsAddress(a.Address):
		suggestion := "write the name or the address alone"
		if strings.Contains(a.Address, "://") || strings.Count(a.Address, ":") == 1 || strings.HasPrefix(a.Address, "[") {
			suggestion = "write the name or the address alone: no scheme, no brackets; the port has a field of its own"
		}
		add(automation.CodeInvalid, "/address", "the address is not well formed", "a host name or an IP address", suggestion)
	}
	switch a.Protocol {
	case automation.ProtocolSSH, automation.ProtocolWinRM, automation.ProtocolNone:
	case "":
		add(automation.CodeMissing, "/protocol", "the protocol is missing", "ssh, winrm, none", "none is for assets that are only probed")
	default:
		add(automation.CodeInvalid, "/protocol", "not a protocol", "ssh, winrm, none", "none is for assets that are only probed")
	}
	noPort := a.Port == 0 && a.Protocol != automation.ProtocolSSH && a.Protocol != automation.ProtocolWinRM
	if (a.Port < 1 || a.Port > 65535) && !noPort {
		add(automation.CodeInvalid, "/port", "the port is out of range", "1 to 65535", "leave it out for the protocol's own port")
	}
	if a.OS != "" && !slices.Contains(operatingSystems(), a.OS) {
		add(automation.CodeInvalid, "/os", "not an operating system that is known here", strings.Join(operatingSystems(), ", "), closest(a.OS))
	}
	if a.Queue != "" && !automation.IsQueue(a.Queue) {
		add(automation.CodeInvalid, "/queue", "not the name of a task queue", automation.QueueRule, "leave it out for the queue "+automation.DefaultQueue)
	}
	return out
}

func operatingSystems() []string {
	return []string{"linux", "windows", "unix", "macos", automation.OSNetwork, "other"}
}

// closest suggests an operating system for common other names of one.
func closest(name string) string {
	name = strings.ToLower(name)
	has := func(words ...string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(name, w) })
	}
	switch {
	case has("mac", "darwin", "osx"):
		return "did you mean macos?"
	case has("win"):
		return "did you mean windows?"
	case has("linux", "ubuntu", "debian", "centos", "rhel", "redhat", "fedora", "suse", "alpine", "arch", "rocky", "alma"):
		return "did you mean linux? tags can say which distribution"
	case has("bsd", "solaris", "aix", "unix", "illumos"):
		return "did you mean unix?"
	}
	return "say other"
}

func validateTags(tags []string) automation.Errors {
	if len(tags) > maxTags {
		return automation.Errors{{
			Code: automation.CodeLimit, Pointer: "/tags", Message: "too many tags", Allowed: fmt.Sprintf("at most %d", maxTags),
		}}
	}
	var out automation.Errors
	for i, t := range tags {
		if !IsTag(t) {
			out = append(out, &automation.Error{
				Code: automation.CodeInvalid, Pointer: fmt.Sprintf("/tags/%d", i), Message: "the tag is not well formed", Allowed: TagRule,
			})
		}
	}
	return out
}

func validateVars(vars map[string]any) automation.Errors {
	if len(vars) == 0 {
		return nil
	}
	if e := validateVar("/vars", vars, maxVarDepth); e != nil {
		return automation.Errors{e}
	}
	b, err := json.Marshal(vars)
	if err != nil {
		return automation.Errors{{Code: automation.CodeWrongType, Pointer: "/vars", Message: "vars hold something that is no JSON value"}}
	}
	if len(b) > maxVarBytes {
		return automation.Errors{{
			Code: automation.CodeLimit, Pointer: "/vars", Message: fmt.Sprintf("vars have %d bytes as JSON", len(b)), Allowed: fmt.Sprintf("at most %d bytes", maxVarBytes),
		}}
	}
	return nil
}

// validateVar checks depth and keys before anything recursive encodes the value.
func validateVar(pointer string, v any, depth int) *automation.Error {
	tooDeep := &automation.Error{Code: automation.CodeLimit, Pointer: "/vars", Message: "vars are nested too deeply", Allowed: fmt.Sprintf("%d levels", maxVarDepth)}
	switch v := v.(type) {
	case map[string]any:
		if depth == 0 {
			return tooDeep
		}
		for key, child := range v {
			if key == "" || len(key) > maxVarName {
				return &automation.Error{
					Code: automation.CodeInvalid, Pointer: pointer, Message: "a name within vars is empty or too long", Allowed: fmt.Sprintf("1 to %d bytes", maxVarName),
				}
			}
			if e := validateVar(pointer+"/"+automation.Escape(key), child, depth-1); e != nil {
				return e
			}
		}
	case []any:
		if depth == 0 {
			return tooDeep
		}
		for i, child := range v {
			if e := validateVar(fmt.Sprintf("%s/%d", pointer, i), child, depth-1); e != nil {
				return e
			}
		}
	}
	return nil
}
