// Package inventory holds what is known of assets: the rules of a well-formed
// one, and the lookups that planning and the broker of host functions make. The
// rules are pure; the lookups read the store at every call, so that an asset that
// was changed is changed for the next connection.
package inventory
