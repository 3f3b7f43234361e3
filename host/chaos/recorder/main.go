// Command recorder is what chaos tests run on targets: it writes down in the
// target's ledger that it began, works for a time, and writes down that it ended.
//
//	recorder LEDGER RUN STEP ITEM MILLISECONDS [GATE]
//
// Each line is on the disk before the next thing happens. It prints its nonce. It
// does not end while the file GATE is there.
package main

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"time"

	"opsconductor.dev/host/chaos"
)

func main() {
	if err := record(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func record(args []string) error {
	if len(args) != 5 && len(args) != 6 {
		return fmt.Errorf("got %d arguments; want LEDGER RUN STEP ITEM MILLISECONDS, and GATE", len(args))
	}
	work, err := strconv.Atoi(args[4])
	if err != nil {
		return fmt.Errorf("read the milliseconds: %w", err)
	}
	ledger, err := os.OpenFile(args[0], os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600) //nolint:gosec // the test names it
	if err != nil {
		return fmt.Errorf("open the ledger: %w", err)
	}
	defer ledger.Close()
	line := chaos.Line{Run: args[1], Step: args[2], Item: args[3], Nonce: rand.Text(), Kind: chaos.LineStart}
	if err := add(ledger, line); err != nil {
		return err
	}
	<-time.After(time.Duration(work) * time.Millisecond)
	for len(args) == 6 && shut(args[5]) {
		<-time.After(20 * time.Millisecond)
	}
	line.Kind = chaos.LineEnd
	if err := add(ledger, line); err != nil {
		return err
	}
	_, err = fmt.Fprint(os.Stdout, line.Nonce)
	return err
}

// shut reports whether a gate is there.
func shut(gate string) bool {
	_, err := os.Stat(gate) //nolint:gosec // the test names it
	return err == nil
}

// add adds a line by one write, so that lines of commands side by side don't mix,
// and syncs it.
func add(ledger *os.File, line chaos.Line) error {
	line.At = time.Now()
	b, err := json.Marshal(line)
	if err != nil {
		return fmt.Errorf("encode a line: %w", err)
	}
	if _, err := ledger.Write(append(b, '\n')); err != nil {
		return fmt.Errorf("write to the ledger: %w", err)
	}
	if err := ledger.Sync(); err != nil {
		return fmt.Errorf("sync the ledger: %w", err)
	}
	return nil
}
