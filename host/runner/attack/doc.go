// Package attack holds the hostile modules that a host must survive, and nothing
// that runs in one: `make attack` uploads each of them to a registry and lets a
// runner call it, while a well-behaved plugin is called all the time.
//
// # Model
//
// An attack is a module, the settings that it meets, and its end: the code of the
// error, at upload or in the attempt, or contained where the module's own check of
// what it got is the end. It has to end so within twice its budget, and with less
// than a bound of memory more in the process.
//
// # Failures
//
// A defence that is missing shows as another end, a late one, or as memory. The
// switches' test takes out one defence after the other and wants to see that.
package attack
