package hostfuncs

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"sync"
	"time"
)

// Guard is what a session of effect guarded has: each command that acts is run
// under a journal on its target, so that the attempts of one item run it once. Safe
// for concurrent use.
type Guard struct {
	// Item names the session's item among all items that there ever are: hard to
	// guess, and the same for all attempts of the item.
	Item string
	// Since is when an earlier attempt of the item may have begun to act; zero: none did.
	Since time.Time
	// Leave reports whether what runs is left at work when the attempt's context ends
	// with a cause, for another attempt to find; nil: never.
	Leave func(cause error) bool

	mu    sync.Mutex
	calls int
	heard bool
}

// Next returns the name of the next command's journal: the first of an attempt has
// the same as the first of another attempt of the item, and so on.
func (g *Guard) Next() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.calls++
	sum := sha256.Sum256(fmt.Appendf(nil, "opsconductor guarded command\n%s\n%d", g.Item, g.calls))
	return hex.EncodeToString(sum[:16])
}

// Hear notes that a target has said what became of a command.
func (g *Guard) Hear() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.heard = true
}

// Heard reports whether a target has said what became of a command: before that
// nobody knows what an earlier attempt has done.
func (g *Guard) Heard() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.heard
}
