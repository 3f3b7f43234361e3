package ssh

// GuardText is all that begins, follows and ends a guarded command.
const GuardText = guardText + guardKill

// Chunks is what takes the chunks out of what a session gives.
type Chunks struct {
	c    *chunks
	rest *capture
}

// NewChunks returns it for a call that keeps so many bytes of a stream.
func NewChunks(to Live, nonce string, keep int) Chunks {
	rest := &capture{keep: 1 << 30, floodAt: 1 << 40, flood: func() {}}
	return Chunks{&chunks{of: newTelling(Command{Live: &to}, nonce, keep), next: rest}, rest}
}

// Write takes a part.
func (c Chunks) Write(b []byte) { c.c.write(b) }

// End is the call's end: it returns what was of no chunk.
func (c Chunks) End() []byte { c.c.of.end(); return c.rest.buf }

// Held returns how many bytes wait for more, and Told how many of each stream were told.
func (c Chunks) Held() int      { return len(c.c.held) }
func (c Chunks) Told() [2]int64 { return c.c.of.told }

// Claim is what was told of who has the command.
func (c Chunks) Claim() string { return c.c.of.claim() }
