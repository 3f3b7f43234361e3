//go:build unix && !linux

package privatepg

import "syscall"

// endWithThread does nothing: only Linux ends a process with its parent.
func endWithThread(*syscall.SysProcAttr) {}
