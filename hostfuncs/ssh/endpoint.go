package ssh

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"opsconductor.dev/hostfuncs"
)

// Endpoint is a server, and as whom to log in.
type Endpoint struct {
	Tenant string
	// Name is what the target is called in errors.
	Name string
	// Host is a name or an IP address; Port 0 is 22.
	Host string
	Port int
	// HostKeys are the pinned keys, each a type and base64, as in authorized_keys.
	HostKeys   []string
	Credential hostfuncs.Credential
	// Check is asked about every address before it is dialled, and about the
	// address of a pooled connection before that is used.
	Check hostfuncs.Check
}

func (e Endpoint) port() int {
	if e.Port == 0 {
		return 22
	}
	return e.Port
}

// place names the endpoint in errors.
func (e Endpoint) place() string {
	at := hostfuncs.HostPort(e.Host, e.port())
	if e.Name == "" {
		return at
	}
	return fmt.Sprintf("%s (%s)", e.Name, at)
}

// key is what two endpoints have in common that may share a connection.
func (e Endpoint) key() string {
	h := sha256.New()
	for _, part := range append([]string{
		e.Tenant, hostfuncs.HostPort(e.Host, e.port()), e.Credential.Name,
		fmt.Sprint(e.Credential.Version), e.Credential.Kind, e.Credential.Username,
	}, e.HostKeys...) {
		fmt.Fprintf(h, "%d:%s,", len(part), part)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// validate returns what is wrong with the endpoint itself.
func (e Endpoint) validate() error {
	switch {
	case e.Host == "" || strings.ContainsAny(e.Host, "\x00 \t\r\n"):
		return hostfuncs.Errorf(hostfuncs.BadRequest, hostfuncs.Before, "target %s has no usable address; set one in the inventory", e.Name)
	case e.port() < 1 || e.port() > 65535:
		return hostfuncs.Errorf(hostfuncs.BadRequest, hostfuncs.Before, "target %s: port %d is not between 1 and 65535", e.Name, e.Port)
	case e.Check == nil:
		return hostfuncs.Errorf(hostfuncs.Denied, hostfuncs.Before, "target %s: nobody can say whether its addresses may be dialled", e.Name)
	case e.Credential.Username == "":
		return hostfuncs.Errorf(hostfuncs.AuthFailed, hostfuncs.Before, "credential %s has no user name to log in to %s with", e.Credential.Name, e.place())
	}
	return nil
}
