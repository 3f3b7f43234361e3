// Package chaos holds what targets wrote down against what the hosts say happened.
//
// # Model
//
// Every command that the tests run on a target is the program in recorder: it adds
// a line to the target's ledger and syncs it before it does anything else, and
// another when it has done it. The ledger is the truth; nothing of OpsConductor
// writes to it. A History is what the API and the stored facts say of the same
// time. Check compares the two, and returns every rule that was broken:
//
//   - lost: a run that was accepted is not there, or has not ended
//   - untrue: an item succeeded, and its target knows of no such end; or it is said
//     not to have acted, and its target has a start
//   - intent: an item that must not run twice began without an earlier intent
//   - twice: an item that must not run twice was begun more than once
//   - terminal: an attempt was granted or ended twice, or an item went on after its end
//   - zombie: a fact of a host's epoch counted after that epoch was over
//   - order: a step began before a step that it needs had ended
//   - limit: more was under way than a limit allows
//   - unknown: an outcome is unknown, and no fault was there to excuse it
//
// The package's tests run hosts, databases and SSH servers as processes of their
// own, and do to them what machines and networks do: `make chaos` has the whole
// matrix of faults.
//
// # Limits of what it shows
//
// The times of ledger and facts are compared: all processes have one machine's
// clock, but where a test moves it. A command can't know the number of its attempt,
// so starts stand for attempts by their order; the nonce that a command prints ties
// an item's outcome to one entry of the ledger.
package chaos
