package hostfuncs

// Kept returns how many sets of secrets some session has open, as far as the garbage
// collector has seen.
func (s *Secrets) Kept() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.known)
}

// Shares reports whether two sessions look for their secrets by the same forms.
func (s *Session) Shares(other *Session) bool { return s.opened.all() == other.opened.all() }
