// Command opsconductor is the host and its command line. Exit codes: 0 ok,
// 1 error, 2 usage, 3 run failed, 4 not authorised, 5 policy denied, 6 needs
// approval, 7 wait timed out, 8 some targets failed.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// version is set when the binary is linked.
var version = "dev"

func main() {
	if code, is := helper(os.Args); is {
		os.Exit(code)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second signal ends the process at once, by the system's default.
	context.AfterFunc(ctx, stop)
	c := &cli{in: os.Stdin, out: os.Stdout, err: os.Stderr, env: os.LookupEnv, version: version}
	code := c.run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}
