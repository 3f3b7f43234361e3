package registry

// ServeVettingWithin is ServeVetting with other bounds of modules.
var ServeVettingWithin = serveVetting

// GiveUp is what a vetting process does first.
var GiveUp = giveUp
