package registry

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"
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

// giveUp bounds this process for good: its time, memory, files and what it can
// write.
func giveUp() error {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return err
	}
	fields := bytes.Fields(b)
	if len(fields) == 0 {
		return errors.New("the system does not say how large the process is")
	}
	pages, err := strconv.ParseUint(string(fields[0]), 10, 64)
	if err != nil {
		return err
	}
	seconds := uint64(2 * vetWall / time.Second) // of both cores
	for what, most := range map[int]uint64{
		syscall.RLIMIT_AS:     pages*uint64(os.Getpagesize()) + vetMemory,
		syscall.RLIMIT_CPU:    seconds,
		syscall.RLIMIT_FSIZE:  0,
		syscall.RLIMIT_CORE:   0,
		syscall.RLIMIT_NOFILE: vetFiles,
	} {
		if err := syscall.Setrlimit(what, &syscall.Rlimit{Cur: most, Max: most}); err != nil {
			return fmt.Errorf("limit %d: %w", what, err)
		}
	}
	return nil
}
