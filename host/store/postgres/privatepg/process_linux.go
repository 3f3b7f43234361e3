package privatepg

import "syscall"

// endWithThread makes the kernel end the process (SIGQUIT: at once, its files
// stay good) when the thread that started it ends.
func endWithThread(a *syscall.SysProcAttr) { a.Pdeathsig = syscall.SIGQUIT }
