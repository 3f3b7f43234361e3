// Package app is the composition root: it builds every room from the settings,
// owns what runs, and takes it down in order.
//
// Build makes everything and starts nothing but the listener; whatever was made
// when a part goes wrong is closed again. Run serves until its context is done,
// then stops the edges first, lets the scheduler commit what its attempts
// report, and closes the store last. A part that ends before it should takes the
// others down with it.
package app
