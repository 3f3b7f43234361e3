package inventory

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"opsconductor.dev/host/automation"
)

const maxHostKeyBytes = 8 << 10 // of a line

// algorithms are the public key algorithms of host keys that are known here
// (RFC 4253 section 6.6, RFC 5656, RFC 8709). ssh-dss is not one: it is broken.
func algorithms() []string {
	return []string{"ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa"}
}

func validateHostKeys(a automation.Asset) automation.Errors {
	if len(a.HostKeys) > maxHostKeys {
		return automation.Errors{{
			Code: automation.CodeLimit, Pointer: "/host_keys", Message: "too many host keys", Allowed: fmt.Sprintf("at most %d", maxHostKeys),
		}}
	}
	var out automation.Errors
	for i, line := range a.HostKeys {
		if e := CheckHostKey(fmt.Sprintf("/host_keys/%d", i), line); e != nil {
			out = append(out, e)
		}
	}
	return out
}

// CheckHostKey checks the shape of a host key line, "algorithm base64": the
// algorithm is known, and the decoded blob begins with the same algorithm's name
// (RFC 4253 section 6.6) and goes on after it. Whether the numbers in it are a
// key is for the protocol to find out.
func CheckHostKey(pointer, line string) *automation.Error {
	bad := func(message, suggestion string) *automation.Error {
		return &automation.Error{
			Code: automation.CodeInvalid, Pointer: pointer, Message: message,
			Allowed: "algorithm and base64, as in /etc/ssh/ssh_host_ed25519_key.pub", Suggestion: suggestion,
		}
	}
	if strings.Contains(line, "PRIVATE KEY") {
		return bad("a private key, where a public host key belongs", "take it out of wherever you copied it from, and send the .pub file's line")
	}
	f := strings.Fields(line)
	if len(line) > maxHostKeyBytes || len(f) != 2 || strings.ContainsAny(line, "\r\n") {
		suggestion := "send one line a key"
		if len(f) == 3 {
			suggestion = "leave out the host name that ssh-keyscan writes before the algorithm"
		}
		return bad("the host key is not an algorithm and base64", suggestion)
	}
	if !slices.Contains(algorithms(), f[0]) {
		suggestion := "known are " + strings.Join(algorithms(), ", ")
		if len(f[0]) > 0 && slices.Contains(algorithms(), f[1]) {
			suggestion = "leave out the host name that ssh-keyscan writes before the algorithm"
		}
		return bad("the host key's algorithm is not known here", suggestion)
	}
	blob, err := base64.StdEncoding.Strict().DecodeString(f[1])
	if err != nil {
		return bad("the host key's second part is not base64", "send the whole line")
	}
	if name, rest, ok := cutString(blob); !ok || name != f[0] || len(rest) < 32 {
		return bad("the host key's base64 does not hold a key of its algorithm", "send the whole line, unchanged")
	}
	return nil
}

// cutString takes a string of RFC 4251 section 5 from the front of b.
func cutString(b []byte) (s string, rest []byte, ok bool) {
	if len(b) < 4 {
		return "", nil, false
	}
	n := binary.BigEndian.Uint32(b)
	if uint64(n) > uint64(len(b)-4) {
		return "", nil, false
	}
	return string(b[4 : 4+n]), b[4+n:], true
}
