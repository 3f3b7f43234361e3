package inventory

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/hostfuncs/ssh/krl"
)

const maxRevoked = 100

// validateSSH checks the settings of SSH. Whether the jump host is one is for the
// service to find out.
func validateSSH(a automation.Asset) automation.Errors {
	var out automation.Errors
	add := func(code automation.Code, pointer, message, allowed, suggestion string) {
		out = append(out, &automation.Error{Code: code, Pointer: pointer, Message: message, Allowed: allowed, Suggestion: suggestion})
	}
	s := a.SSH
	used := s.Profile != "" || len(s.Authorities) > 0 || len(s.Revoked) > 0 || len(s.KRL) > 0 || s.FirstUse != nil || s.Rotate || s.Jump != ""
	if used && a.Protocol != automation.ProtocolSSH {
		add(automation.CodeInvalid, "/ssh", "settings of SSH belong to an asset that is reached over SSH", "", "set the protocol to ssh, or leave them out")
	}
	if s.Profile != "" && !slices.Contains(automation.SSHProfiles(), s.Profile) {
		add(automation.CodeInvalid, "/ssh/profile", "not a profile of SSH algorithms", strings.Join(automation.SSHProfiles(), ", "), "leave it out for compatible")
	}
	if len(s.Authorities) > maxHostKeys {
		add(automation.CodeLimit, "/ssh/authorities", "too many authorities", fmt.Sprintf("at most %d", maxHostKeys), "")
	} else {
		for i, line := range s.Authorities {
			if e := CheckHostKey(fmt.Sprintf("/ssh/authorities/%d", i), line); e != nil {
				out = append(out, e)
			}
		}
	}
	if len(s.KRL) > 0 {
		if _, err := krl.Parse(s.KRL); err != nil {
			add(automation.CodeInvalid, "/ssh/krl", "not a revocation list that can be used: "+err.Error(), fmt.Sprintf("what ssh-keygen -k writes, at most %d bytes", krl.MaxBytes), "ssh-keygen -Q -l -f FILE shows what is in it")
		}
	}
	if len(s.Revoked) > maxRevoked {
		add(automation.CodeLimit, "/ssh/revoked", "too much is revoked", fmt.Sprintf("at most %d", maxRevoked), "let the authority sign with a new key")
		return out
	}
	for i, line := range s.Revoked {
		if !isRevocation(line) {
			add(automation.CodeInvalid, fmt.Sprintf("/ssh/revoked/%d", i), "not something that can be revoked",
				"a public key (type and base64), SHA256:… or serial:N", "ssh-keygen -lf prints a key's fingerprint")
		}
	}
	return out
}

func isRevocation(line string) bool {
	if n, ok := strings.CutPrefix(line, "serial:"); ok {
		_, err := strconv.ParseUint(n, 10, 64)
		return err == nil
	}
	if digest, ok := strings.CutPrefix(line, "SHA256:"); ok {
		b, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(digest, "="))
		return err == nil && len(b) == 32
	}
	return CheckHostKey("", line) == nil
}

// plainKeys returns key lines without comments and spare blanks.
func plainKeys(lines []string) []string {
	out := slices.Clone(lines)
	for i, line := range out {
		if f := strings.Fields(line); len(f) >= 2 && !strings.ContainsAny(line, "\r\n") {
			out[i] = f[0] + " " + f[1]
		}
	}
	return out
}

// AddKnownHosts adds what lines of a known_hosts file say of the asset's address
// and port: pinned keys, authorities (@cert-authority) and revoked keys (@revoked).
// Lines of other hosts are passed over. Each fault has its line; a file that says
// nothing of the asset is one too.
func AddKnownHosts(a automation.Asset, text string) (automation.Asset, automation.Errors) {
	if strings.TrimSpace(text) == "" {
		return a, nil
	}
	var out automation.Errors
	found, n := false, 0
	for line := range strings.Lines(text) {
		n++
		f := strings.Fields(line)
		if len(f) == 0 || strings.HasPrefix(f[0], "#") {
			continue
		}
		marker := ""
		if strings.HasPrefix(f[0], "@") {
			marker, f = f[0], f[1:]
		}
		if len(f) < 3 || marker != "" && marker != "@cert-authority" && marker != "@revoked" {
			out = append(out, knownHostsFault(n, "not a line of a known_hosts file"))
			continue
		}
		if !knownAs(f[0], a) {
			continue
		}
		found = true
		key := f[1] + " " + f[2]
		if e := CheckHostKey("/known_hosts", key); e != nil {
			out = append(out, knownHostsFault(n, e.Message))
			continue
		}
		switch marker {
		case "@cert-authority":
			a.SSH.Authorities = appendOnce(a.SSH.Authorities, key)
		case "@revoked":
			a.SSH.Revoked = appendOnce(a.SSH.Revoked, key)
		default:
			a.HostKeys = appendOnce(a.HostKeys, key)
		}
	}
	if !found && len(out) == 0 {
		out = append(out, &automation.Error{
			Code: automation.CodeInvalid, Pointer: "/known_hosts", Message: "no line is about the asset's address and port",
			Suggestion: "known_hosts has a host on another port than 22 as [host]:port; ssh-keyscan -p PORT HOST prints the lines",
		})
	}
	return a, out
}

func knownHostsFault(line int, message string) *automation.Error {
	return &automation.Error{
		Code: automation.CodeInvalid, Pointer: "/known_hosts", Message: fmt.Sprintf("line %d: %s", line, message),
		Allowed: "[@cert-authority|@revoked] HOSTS TYPE BASE64, as sshd(8) has it", Suggestion: "send the lines of a known_hosts file, unchanged",
	}
}

func appendOnce(list []string, s string) []string {
	if slices.Contains(list, s) {
		return list
	}
	return append(slices.Clip(list), s)
}
