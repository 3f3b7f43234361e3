package service

// MaxViews is the cache's bound, for tests.
const MaxViews = maxViews

// CachedViews returns how many views a service's cache holds.
func CachedViews(s *Service) int {
	s.views.mu.Lock()
	defer s.views.mu.Unlock()
	return len(s.views.entries)
}
