package ssh

import (
	"crypto/sha256"
	"strings"
	"sync"
)

// accountsMax is how many accounts with bash are remembered.
const accountsMax = 1 << 16

// accounts remembers which accounts log in with bash: those that said so when
// /bin/sh was started there the last time.
type accounts struct {
	mu   sync.Mutex
	bash map[account]struct{}
}

// account is a user of a server, as a hash.
type account [16]byte

func (e Endpoint) account() account {
	sum := sha256.Sum256([]byte(strings.Join([]string{e.Tenant, e.server(), e.Credential.Username}, "\x00")))
	return account(sum[:16])
}

func (a *accounts) hasBash(e Endpoint) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	_, ok := a.bash[e.account()]
	return ok
}

// learn notes what an account's login shell is. When there are too many, all are
// asked again.
func (a *accounts) learn(e Endpoint, isBash bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !isBash {
		delete(a.bash, e.account())
		return
	}
	if a.bash == nil || len(a.bash) >= accountsMax {
		a.bash = map[account]struct{}{}
	}
	a.bash[e.account()] = struct{}{}
}

// shellMark stands before the login shell's name at the end of the wrapper's line.
const shellMark = "shell="

// learnShell takes what the wrapper's line says of the login shell. A command that has
// a variable of that name of its own says nothing of it.
func (s *session) learnShell(p process) {
	if _, own := s.cmd.Env["SHELL"]; own || p.shell == "" || s.cmd.staged() {
		return
	}
	s.pool.accounts.learn(s.endpoint, p.shell == "bash")
}
