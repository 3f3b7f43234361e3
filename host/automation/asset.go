package automation

import "time"

// Protocol is how an asset is reached.
type Protocol string

// The protocols.
const (
	ProtocolSSH   Protocol = "ssh"
	ProtocolWinRM Protocol = "winrm"
	ProtocolNone  Protocol = "none" // probes only
)

// OSNetwork is the OS of switches, routers, firewalls and their like: by default
// they get one attempt at a time.
const OSNetwork = "network"

// Asset is a machine or device of the inventory.
type Asset struct {
	ID         AssetID        `json:"id"`
	Tenant     TenantID       `json:"tenant"`
	Name       string         `json:"name"`    // unique in the tenant
	Address    string         `json:"address"` // host name or IP address
	Port       int            `json:"port"`
	Protocol   Protocol       `json:"protocol"`
	OS         string         `json:"os,omitempty"` // linux, windows, unix, macos, network, other
	Tags       []string       `json:"tags,omitempty"`
	Vars       map[string]any `json:"vars,omitempty"`
	HostKeys   []string       `json:"host_keys,omitempty"` // authorized_keys lines: type and base64
	Credential CredentialID   `json:"credential,omitempty"`
	Queue      string         `json:"queue,omitempty"` // task queue of attempts on it; "": the default one
	SSH        AssetSSH       `json:"ssh,omitzero"`
	Created    time.Time      `json:"created_at"`
	Updated    time.Time      `json:"updated_at"`
	Version    int64          `json:"version"` // 1, 2, 3 …; the ETag
}

// CredentialKind says what a credential holds.
type CredentialKind string

// The kinds of credentials.
const (
	CredentialPassword CredentialKind = "password"  // user name and password
	CredentialSSHKey   CredentialKind = "ssh_key"   // user name, private key, passphrase
	CredentialSSHAgent CredentialKind = "ssh_agent" // user name; the private key is in the host's SSH agent
)

// CredentialScope says where a credential may be used. It is bound into the seal.
type CredentialScope struct {
	// Protocols that may use it; empty: none.
	Protocols []Protocol `json:"protocols"`
	// Assets by name that it may be used on; "*" is all; empty: none.
	Assets []string `json:"assets"`
	// Tags: assets with one of them are in scope too.
	Tags []string `json:"tags,omitempty"`
}

// Credential is a sealed secret as it is stored and listed. The secret itself
// never leaves the vault but to a protocol.
type Credential struct {
	ID       CredentialID    `json:"id"`
	Tenant   TenantID        `json:"tenant"`
	Name     string          `json:"name"` // unique in the tenant
	Kind     CredentialKind  `json:"kind"`
	Username string          `json:"username"`
	Scope    CredentialScope `json:"scope"`
	Version  int64           `json:"version"`
	Created  time.Time       `json:"created_at"`
	Updated  time.Time       `json:"updated_at"`
	// Sealed is the ciphertext with its nonce; KeyID names the key that sealed it.
	Sealed []byte `json:"-"`
	KeyID  string `json:"key_id"`
}
