package inventory

import (
	"net/netip"
	"strings"

	"opsconductor.dev/host/automation"
)

// The rules of names and tags, as errors tell them.
const (
	NameRule = "1 to 63 characters of a-z, 0-9, '.', '_' and '-', beginning and ending with a letter or digit"
	TagRule  = "1 to 63 characters of A-Z, a-z, 0-9, '.', '_', ':', '/', '=' and '-', beginning with a letter or digit"
)

const maxNameBytes = 63

// IsName reports whether s may name an asset or a credential. The text of an
// identifier may not: a reference is either the one or the other.
func IsName(s string) bool {
	if s == "" || len(s) > maxNameBytes || !isLowerAlnum(s[0]) || !isLowerAlnum(s[len(s)-1]) {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !isLowerAlnum(c) && c != '.' && c != '_' && c != '-' {
			return false
		}
	}
	_, err := automation.ParseID[string](s)
	return err != nil
}

// CheckName returns what is wrong with a name at a pointer; nil when it is well formed.
func CheckName(pointer, s string) *automation.Error {
	if s == "" {
		return &automation.Error{Code: automation.CodeMissing, Pointer: pointer, Message: "the name is missing", Allowed: NameRule}
	}
	if IsName(s) {
		return nil
	}
	e := &automation.Error{Code: automation.CodeInvalid, Pointer: pointer, Message: "the name is not well formed", Allowed: NameRule}
	if _, err := automation.ParseID[string](s); err == nil {
		e.Message = "a name may not look like an identifier"
		return e
	}
	if fixed := asName(s); IsName(fixed) {
		e.Suggestion = "write it like " + fixed
	}
	return e
}

// asName makes a name out of text that nearly is one.
func asName(s string) string {
	if len(s) > maxNameBytes {
		return ""
	}
	s = strings.Map(func(r rune) rune {
		switch {
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		case r < 0x80 && (isLowerAlnum(byte(r)) || r == '.' || r == '_' || r == '-'):
			return r
		default:
			return '-'
		}
	}, s)
	return strings.Trim(s, "._-")
}

// IsTag reports whether s may be a tag.
func IsTag(s string) bool {
	if s == "" || len(s) > maxNameBytes || !isAlnum(s[0]) {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !isAlnum(c) && !strings.ContainsRune("._:/=-", rune(c)) {
			return false
		}
	}
	return true
}

// IsAddress reports whether s is an IP address, or a host name by RFC 1123
// section 2.1 that cannot be taken for an address: its last label is not a
// number, so the short, octal and hexadecimal spellings that some resolvers take
// for addresses are none here.
func IsAddress(s string) bool {
	if a, err := netip.ParseAddr(s); err == nil {
		return a.IsValid() && !a.IsUnspecified() && !a.IsMulticast() && (a.Zone() == "" || isLabel(a.Zone()))
	}
	return isHostName(s)
}

func isHostName(s string) bool {
	s = strings.TrimSuffix(s, ".")
	if s == "" || len(s) > 253 {
		return false
	}
	last := ""
	for label := range strings.SplitSeq(s, ".") {
		if !isLabel(label) {
			return false
		}
		last = label
	}
	return !isNumber(last)
}

func isLabel(s string) bool {
	if s == "" || len(s) > 63 || !isAlnum(s[0]) || !isAlnum(s[len(s)-1]) {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !isAlnum(c) && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

func isNumber(s string) bool {
	if hex, ok := strings.CutPrefix(strings.ToLower(s), "0x"); ok {
		return strings.Trim(hex, "0123456789abcdef") == ""
	}
	return strings.Trim(s, "0123456789") == ""
}

func isLowerAlnum(c byte) bool { return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' }

func isAlnum(c byte) bool { return isLowerAlnum(c) || c >= 'A' && c <= 'Z' }
