package engine

import "io/fs"

// Undefended takes defences out of the native engine, for tests that show what
// each of them holds off. The zero value takes out none. No setting of a host leads
// here: a test holds that nothing but tests names it.
type Undefended struct {
	// Imports: a module may import anything; what nobody serves fails when an instance
	// is made.
	Imports bool
	// Edges: an offset behind the memory that guest and host share is as good as one
	// inside.
	Edges bool
	// Files are in the guest's first folder.
	Files fs.FS
}

// checkImports is CheckImports, unless that is taken out.
func (c *compiled) checkImports() error {
	if c.engine.settings.Undefended.Imports {
		return nil
	}
	if errs := CheckImports(c.file); len(errs) > 0 {
		return errs
	}
	return nil
}
