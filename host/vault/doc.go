// Package vault seals credentials and the secrets of triggers, and decides where
// each credential may be used.
//
// # Model
//
// A deployment has one key: 32 random bytes in a file that only its owner can
// read. A credential's secret fields are sealed with AES-256-GCM (NIST SP
// 800-38D) under it. The additional data binds the seal to the credential's
// tenant, identifier, version, kind, scope and user name: a row of the database
// that was moved to another credential, given a wider scope or put back to an
// older version does not open. The secrets of a trigger are bound in the same way
// to its tenant, identifier and scheme, to their number, and to the time up to
// which the one before is valid.
//
// # Failures
//
// Nothing falls back: without a key, with a key of another shape, or with a file
// that others can read there is no vault. A credential that another key sealed is
// an error that names both keys.
package vault
