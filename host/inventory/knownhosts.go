package inventory

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // the format of hashed names (sshd(8))
	"encoding/base64"
	"net"
	"path"
	"strconv"
	"strings"

	"opsconductor.dev/host/automation"
)

// knownAs reports whether the first field of a known_hosts line is about an asset
// (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT): patterns by commas, of which one with !
// excludes, or a hashed name. A port other than 22 is part of the name.
func knownAs(field string, a automation.Asset) bool {
	name := strings.ToLower(a.Address)
	if a.Port != 22 {
		name = "[" + name + "]:" + strconv.Itoa(a.Port)
	}
	if strings.HasPrefix(field, "|") {
		return hashedAs(field, name)
	}
	found := false
	for p := range strings.SplitSeq(strings.ToLower(field), ",") {
		p, not := strings.CutPrefix(p, "!")
		if !fitsName(p, name) {
			continue
		}
		if not {
			return false
		}
		found = true
	}
	return found
}

// fitsName matches with * and ? alone: brackets are the name's own.
func fitsName(pattern, name string) bool {
	if host, port, err := net.SplitHostPort(pattern); err == nil && port == "22" && strings.HasPrefix(pattern, "[") {
		pattern = host
	}
	ok, err := path.Match(strings.NewReplacer("[", `\[`, `\`, `\\`).Replace(pattern), name)
	return err == nil && ok
}

// hashedAs checks |1|salt|HMAC-SHA1 of the name.
func hashedAs(field, name string) bool {
	parts := strings.Split(field, "|")
	if len(parts) != 4 || parts[1] != "1" {
		return false
	}
	salt, err := base64.StdEncoding.DecodeString(parts[2])
	sum, err2 := base64.StdEncoding.DecodeString(parts[3])
	if err != nil || err2 != nil {
		return false
	}
	mac := hmac.New(sha1.New, salt)
	_, _ = mac.Write([]byte(name))
	return hmac.Equal(mac.Sum(nil), sum)
}
