package main

import (
	"fmt"
	"os"

	"opsconductor.dev/host/app"
)

// vetting is the command line of the process in which a host vets a plugin.
func vetting(engine string) ([]string, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	return []string{self, app.VettingCommand, engine}, nil
}

// helper does what this program does when a host starts it as a child that has given
// up its rights; false: it was not.
func helper(args []string) (code int, is bool) {
	if len(args) < 2 {
		return 0, false
	}
	switch args[1] {
	case app.SandboxCommand:
		return app.ServeSandbox(args[2:]), true
	case app.VettingCommand:
		return app.ServeVetting(args[2:]), true
	}
	return 0, false
}
