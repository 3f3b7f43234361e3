package registry

import (
	"os/exec"
	"syscall"
)

// confine gives the process a group of its own, which ends with its time and with
// the host, and, alone, a network of its own, in which there is nothing.
func confine(cmd *exec.Cmd, alone bool) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if alone {
		cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET | syscall.CLONE_NEWIPC
	}
	cmd.Cancel = func() error {
		endGroup(cmd)
		return nil
	}
}

// endGroup ends what is left of the process's group.
func endGroup(cmd *exec.Cmd) {
	if cmd.Process != nil && cmd.Process.Pid > 1 {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	}
}
