package automation

// SSHProfiles lists the profiles of SSH algorithms, the strictest first.
func SSHProfiles() []string { return []string{"modern", "compatible", "legacy"} }

// AssetSSH says how an asset is reached over SSH, beyond its address, pinned host
// keys and credential. The zero value trusts pinned keys alone and goes there
// straight.
type AssetSSH struct {
	// Profile is which algorithms may be used: modern, compatible or legacy; "" is
	// compatible.
	Profile string `json:"profile,omitempty"`
	// Authorities are public keys (type and base64) whose host certificates are taken.
	Authorities []string `json:"authorities,omitempty"`
	// Revoked is what is never taken: public keys, fingerprints ("SHA256:…") and
	// serial numbers of the authorities' certificates ("serial:7").
	Revoked []string `json:"revoked,omitempty"`
	// KRL is a key revocation list of OpenSSH, as ssh-keygen -k writes it: what it
	// revokes of keys and certificates is never taken, and never offered to the asset.
	KRL []byte `json:"krl,omitempty"`
	// FirstUse: whether the key that the asset shows first is taken and pinned, while it
	// has no pinned key and no authority; nil: as the deployment has it.
	FirstUse *bool `json:"first_use,omitempty"`
	// Rotate: keys that the asset proves to have, over a connection that a pinned key
	// was shown on, are pinned too.
	Rotate bool `json:"rotate,omitempty"`
	// Jump is the asset that it is reached through; that one may have a jump too.
	Jump AssetID `json:"jump,omitempty"`
}

// MaxJumps is how many jump hosts may be on the way to an asset.
const MaxJumps = 5

// LearnedKeys are host keys that an asset has shown in a run, to be pinned.
type LearnedKeys struct {
	Asset AssetID
	Run   RunID
	Keys  []string // type and base64
	// First: the one key that it showed first; else keys that it proved to have.
	First bool
}

// FirstUse is what a deployment does with the host key that an asset shows first,
// where the asset does not say it.
type FirstUse string

// The policies. The zero value refuses.
const (
	FirstUseRefuse FirstUse = "refuse"
	FirstUseAllow  FirstUse = "allow" // it is taken and pinned
)

// TakesFirst reports whether the key that the asset shows first is taken: by its own
// setting, else by the deployment's.
func (s AssetSSH) TakesFirst(deployment FirstUse) bool {
	if s.FirstUse != nil {
		return *s.FirstUse
	}
	return deployment == FirstUseAllow
}
