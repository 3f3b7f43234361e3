package vault

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"opsconductor.dev/host/automation"
)

// format is the first byte of a sealed payload: AES-256-GCM, a random nonce of
// 12 bytes, the ciphertext, the tag.
const format = 1

// Material is what a credential logs in with, in the clear. PrivateKey (PEM) and
// Passphrase belong to the kind ssh_key, PublicKey to ssh_agent, Certificate to
// both, the others to every kind.
type Material struct {
	Password   automation.Secret
	PrivateKey automation.Secret
	Passphrase automation.Secret
	// Certificate is a user certificate, and PublicKey names an agent's key: no
	// secrets, yet sealed with them so that neither is swapped.
	Certificate string
	PublicKey   string
	// OneTimeSeed is the seed of one-time codes: base32, or an otpauth URI.
	OneTimeSeed automation.Secret
	Answers     []automation.PromptAnswer
}

// Wipe overwrites the secrets with zeros.
func (m Material) Wipe() {
	m.Password.Wipe()
	m.PrivateKey.Wipe()
	m.Passphrase.Wipe()
	m.OneTimeSeed.Wipe()
	for _, a := range m.Answers {
		a.Text.Wipe()
	}
}

// payload is what is sealed. Its fields are plain bytes because a Secret
// encodes as "[redacted]".
type payload struct {
	Password   []byte `json:"password,omitempty"`
	PrivateKey []byte `json:"private_key,omitempty"`
	Passphrase []byte `json:"passphrase,omitempty"`

	Certificate string         `json:"certificate,omitempty"`
	PublicKey   string         `json:"public_key,omitempty"`
	OneTimeSeed []byte         `json:"one_time_seed,omitempty"`
	Answers     []sealedAnswer `json:"answers,omitempty"`
}

type sealedAnswer struct {
	Prompt  string `json:"prompt"`
	Visible bool   `json:"visible,omitempty"`
	Text    []byte `json:"text,omitempty"`
}

func newPayload(m Material) payload {
	p := payload{
		Password: m.Password.Reveal(), PrivateKey: m.PrivateKey.Reveal(), Passphrase: m.Passphrase.Reveal(),
		Certificate: m.Certificate, PublicKey: m.PublicKey, OneTimeSeed: m.OneTimeSeed.Reveal(),
	}
	for _, a := range m.Answers {
		p.Answers = append(p.Answers, sealedAnswer{a.Prompt, a.Visible, a.Text.Reveal()})
	}
	return p
}

func (p payload) material() Material {
	m := Material{
		Password: automation.NewSecret(p.Password), PrivateKey: automation.NewSecret(p.PrivateKey), Passphrase: automation.NewSecret(p.Passphrase),
		Certificate: p.Certificate, PublicKey: p.PublicKey, OneTimeSeed: automation.NewSecret(p.OneTimeSeed),
	}
	for _, a := range p.Answers {
		m.Answers = append(m.Answers, automation.PromptAnswer{Prompt: a.Prompt, Visible: a.Visible, Text: automation.NewSecret(a.Text)})
	}
	return m
}

// Vault seals and opens credentials under one key. It is safe for concurrent use.
type Vault struct {
	id   string
	aead cipher.AEAD
	mac  []byte
}

// New returns a vault under a key; an error when the key is the zero value.
func New(key Key) (*Vault, error) {
	if key.secret.Empty() {
		return nil, &automation.Error{
			Code: automation.CodeInvalid, Message: "the vault has no key",
			Suggestion: "name the key file of this deployment; the host does not start without it",
		}
	}
	block, err := aes.NewCipher(key.secret.Reveal())
	if err != nil {
		return nil, fmt.Errorf("make the vault's cipher: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("make the vault's cipher: %w", err)
	}
	mac, err := hkdf.Key(sha256.New, key.secret.Reveal(), nil, "opsconductor request fingerprint v1", sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("derive the vault's fingerprint key: %w", err)
	}
	return &Vault{id: key.id, aead: aead, mac: mac}, nil
}

// KeyID names the vault's key.
func (v *Vault) KeyID() string { return v.id }

// Format writes "vault under key ID" for every verb.
func (v *Vault) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "vault under key "+v.id) }

// Seal encrypts m into c.Sealed and sets c.KeyID. The seal binds the tenant,
// identifier, version, kind, scope and user name that c has now: change one of
// them and seal again.
func (v *Vault) Seal(c *automation.Credential, m Material) error {
	if c.Tenant == "" || c.ID == "" || c.Version < 1 {
		return fmt.Errorf("seal a credential: it needs its tenant, identifier and version first")
	}
	plain, err := json.Marshal(newPayload(m))
	if err != nil {
		return fmt.Errorf("encode the secret of credential %s: %w", c.ID, err)
	}
	defer clear(plain)
	c.KeyID = v.id
	c.Sealed = v.encrypt(plain, binding(*c))
	return nil
}

// Open decrypts c.Sealed. It fails when another key sealed it, and when any of
// the fields that the seal binds was changed since.
func (v *Vault) Open(c automation.Credential) (Material, error) {
	if c.KeyID != v.id {
		return Material{}, &automation.Error{
			Code: automation.CodeUnavailable,
			Message: fmt.Sprintf("credential %q was sealed with key %s, and this host has key %s",
				c.Name, printableID(c.KeyID), v.id),
			Suggestion: fmt.Sprintf("start the host with the key file of key %s, or update the credential with its secret to seal it anew", printableID(c.KeyID)),
		}
	}
	plain, err := v.decrypt(c.Sealed, binding(c))
	if err != nil {
		return Material{}, broken(c, err)
	}
	defer clear(plain)
	var p payload
	if err := json.Unmarshal(plain, &p); err != nil {
		return Material{}, broken(c, errors.New("the sealed payload is not what this host writes"))
	}
	return p.material(), nil
}

// encrypt returns the sealed form of plain, bound to data; the cipher makes the nonce.
func (v *Vault) encrypt(plain, data []byte) []byte {
	return append([]byte{format}, v.aead.Seal(nil, nil, plain, data)...)
}

// decrypt is the opposite of encrypt.
func (v *Vault) decrypt(sealed, data []byte) ([]byte, error) {
	if len(sealed) == 0 || sealed[0] != format {
		return nil, errors.New("the seal is of no known format")
	}
	return v.aead.Open(nil, nil, sealed[1:], data)
}

func broken(c automation.Credential, err error) error {
	return &automation.Error{
		Code:       automation.CodeInternal,
		Message:    fmt.Sprintf("the seal of credential %q (version %d) does not fit its record: the record was changed outside of the host, or damaged", c.Name, c.Version),
		Suggestion: "look into the audit log and the database's access, then update the credential with its secret", Err: err,
	}
}

// printableID shows a stored key id only when it has the shape of one.
func printableID(id string) string {
	if b, err := hex.DecodeString(id); err == nil && len(b) == 8 {
		return id
	}
	return "(none)"
}

// Fingerprint returns a digest of b that only a holder of the key can compute:
// it can stand in the database for a request that has a secret in it, without
// being something to try passwords against.
func (v *Vault) Fingerprint(b []byte) automation.Digest {
	h := hmac.New(sha256.New, v.mac)
	h.Write(b)
	return automation.Digest(hex.EncodeToString(h.Sum(nil)))
}

// binding is the additional data of a seal: every field with its length before
// it, and lists with their count, so that no two credentials have the same.
// The order within the scope's lists means nothing, so it is not bound.
func binding(c automation.Credential) []byte {
	b := appendField(nil, "opsconductor credential v1")
	b = appendField(b, string(c.Tenant))
	b = appendField(b, string(c.ID))
	b = binary.BigEndian.AppendUint64(b, uint64(c.Version)) //nolint:gosec // an injective mapping is all that is needed
	b = appendField(b, string(c.Kind))
	b = appendField(b, c.Username)
	b = appendList(b, c.Scope.Protocols)
	b = appendList(b, c.Scope.Assets)
	return appendList(b, c.Scope.Tags)
}

func appendField(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint64(b, uint64(len(s))), s...)
}

func appendList[S ~string](b []byte, list []S) []byte {
	sorted := slices.Clone(list)
	slices.Sort(sorted)
	sorted = slices.Compact(sorted)
	b = binary.BigEndian.AppendUint64(b, uint64(len(sorted)))
	for _, s := range sorted {
		b = appendField(b, string(s))
	}
	return b
}
