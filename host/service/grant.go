package service

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/inventory"
)

const (
	maxGrants    = 200
	maxGrantList = 1000
)

// checkGrants checks that every grant is of a host function that the manifest
// wants, and that it names targets, tags, addresses and credentials as they are
// spelt elsewhere.
func checkGrants(m automation.Manifest, grants []automation.Grant) automation.Errors {
	if len(grants) > maxGrants {
		return automation.Errors{{
			Code: automation.CodeLimit, Pointer: "/grants", Message: "too many grants", Allowed: fmt.Sprintf("at most %d", maxGrants),
		}}
	}
	wanted := make([]string, len(m.HostFunctions))
	for i, f := range m.HostFunctions {
		wanted[i] = f.Name
	}
	var out automation.Errors
	for i, g := range grants {
		at := fmt.Sprintf("/grants/%d", i)
		if !slices.Contains(wanted, g.Function) {
			e := &automation.Error{
				Code: automation.CodeInvalid, Pointer: at + "/function", Message: fmt.Sprintf("plugin %s does not want this host function", m.Name),
				Allowed: strings.Join(wanted, ", "), Suggestion: "grant only what the plugin's manifest asks for",
			}
			if len(wanted) == 0 {
				e.Allowed = "no grants: the manifest wants no host function"
			}
			out = append(out, e)
		}
		out = append(out, checkGrantLists(at, g)...)
	}
	return out
}

func checkGrantLists(at string, g automation.Grant) automation.Errors {
	var out automation.Errors
	name := func(s string) bool { return s == "*" || inventory.IsName(s) }
	check := func(field string, list []string, ok func(string) bool, allowed string) {
		if len(list) > maxGrantList {
			out = append(out, &automation.Error{
				Code: automation.CodeLimit, Pointer: at + "/" + field, Message: "the list is too long", Allowed: fmt.Sprintf("at most %d entries", maxGrantList),
			})
			return
		}
		for i, s := range list {
			if !ok(s) {
				out = append(out, &automation.Error{
					Code: automation.CodeInvalid, Pointer: fmt.Sprintf("%s/%s/%d", at, field, i), Message: "not well formed", Allowed: allowed,
				})
			}
		}
	}
	check("targets", g.Targets, name, "names of assets, or *")
	check("tags", g.Tags, inventory.IsTag, inventory.TagRule)
	check("addresses", g.Addresses, isAddressRule, "host names, IP addresses, prefixes like 10.0.0.0/8, or *")
	check("credentials", g.Credentials, name, "names of credentials, or *")
	return out
}

// isAddressRule reports whether s is an address, a prefix with no bits set
// behind its length, a host name, or "*".
func isAddressRule(s string) bool {
	if s == "*" || inventory.IsAddress(s) {
		return true
	}
	p, err := netip.ParsePrefix(s)
	return err == nil && p == p.Masked()
}
