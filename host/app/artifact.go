package app

import (
	"crypto/sha256"
	"encoding/hex"

	"opsconductor.dev/host/registry"
)

// BuildArtifact puts a manifest into a Wasm module, in the place of one that is
// there, and returns the artifact. Its errors say what is wrong with either.
func BuildArtifact(wasm, manifest []byte) ([]byte, error) { return registry.Embed(wasm, manifest) }

// Digest returns the name of an artifact: its SHA-256, hexadecimal.
func Digest(artifact []byte) string {
	sum := sha256.Sum256(artifact)
	return hex.EncodeToString(sum[:])
}
