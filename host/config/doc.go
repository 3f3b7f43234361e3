// Package config holds the settings of a host: one plain struct, its defaults,
// one list that says how flags and environment variables set it, and Validate,
// which reports everything that is wrong at once.
//
// A flag wins over its environment variable, which wins over the default. What
// may hold a secret has no flag: other users of the machine can read a process's
// arguments.
package config
