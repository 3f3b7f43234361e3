//go:build !linux

package registry

import "os/exec"

// confine and giveUp do what they can: here the process has its time alone.
func confine(*exec.Cmd, bool) {}

func endGroup(*exec.Cmd) {}

func giveUp() error { return nil }
