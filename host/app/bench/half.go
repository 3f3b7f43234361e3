package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"time"
)

// halfCommand is the subcommand of bench that is one half.
const halfCommand = "half"

// said is a line of a half's standard output: where it stands, after its start, and
// then what each round took.
type said struct {
	Database string        `json:"database,omitempty"`
	Took     time.Duration `json:"took_ns"` // of parking, or of the fan-outs
	CPU      time.Duration `json:"cpu_ns"`  // that the process spent meanwhile
	RSSMiB   float64       `json:"rss_mib"`
}

// Half is one side of Backlog in a process of its own, so that its garbage and its
// memory are its own: a store with Parked items that wait, on which a round of fan-outs
// of Items items runs for each line of in. It ends with in.
func Half(ctx context.Context, o Options, in io.Reader, out io.Writer) error {
	o = o.withSlots()
	return withRig(ctx, o, inProcess, func(ctx context.Context, b *rig) error {
		defer close(b.free)
		forget()
		began := time.Now()
		if o.Parked > 0 {
			if err := b.park(ctx, o.Parked); err != nil {
				return err
			}
		}
		say := json.NewEncoder(out)
		now := said{Database: b.database, Took: time.Since(began), RSSMiB: status("VmRSS")}
		for lines := bufio.NewScanner(in); ; {
			if err := say.Encode(now); err != nil {
				return fmt.Errorf("say what was measured: %w", err)
			}
			if !lines.Scan() {
				return lines.Err()
			}
			now = said{}
			before := processorTime()
			for range atOnce {
				r, err := b.fanOut(ctx, o.Items)
				if err != nil {
					return err
				}
				now.Took += time.Duration(r.Seconds * float64(time.Second))
			}
			now.CPU, now.RSSMiB = processorTime()-before, status("VmRSS")
		}
	})
}

// half is a Half that runs.
type half struct {
	began said
	in    io.WriteCloser
	out   *json.Decoder
	log   *tail
	wait  func() error
}

// half starts a half, and returns when it has parked its items.
func (o Options) half(ctx context.Context, parked int) (*half, error) {
	if len(o.Program) == 0 {
		return nil, errors.New("this benchmark measures in processes of their own, and has no program for that")
	}
	line := append(o.Program[1:len(o.Program):len(o.Program)], "bench", halfCommand, "--store", o.Store,
		"--items", strconv.Itoa(o.Items), "--parked", strconv.Itoa(parked), "--slots", strconv.Itoa(o.Slots))
	cmd := exec.CommandContext(ctx, o.Program[0], line...) //nolint:gosec // this program itself
	// The URL may hold a password: it goes where other users can't read it.
	cmd.Env = append(os.Environ(), "OPSCONDUCTOR_DATABASE_URL="+o.DatabaseURL, "OPSCONDUCTOR_CACHE_DIR="+o.CacheDir)
	cmd.WaitDelay = 5 * time.Second
	h := &half{log: &tail{}, wait: sync.OnceValue(cmd.Wait)}
	cmd.Stderr = h.log
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start a half of the benchmark: %w", err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start a half of the benchmark: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start a half of the benchmark: %w", err)
	}
	h.in, h.out = in, json.NewDecoder(out)
	if err := h.out.Decode(&h.began); err != nil {
		return nil, errors.Join(h.broke(err), h.close())
	}
	return h, nil
}

// round has the half measure one round.
func (h *half) round() (said, error) {
	var s said
	_, err := io.WriteString(h.in, "\n")
	if err == nil {
		err = h.out.Decode(&s)
	}
	if err != nil {
		return s, h.broke(err)
	}
	return s, nil
}

func (h *half) broke(err error) error {
	return fmt.Errorf("a half of the benchmark: %w: %s", err, h.log)
}

// close ends the half.
func (h *half) close() error {
	if err := errors.Join(h.in.Close(), h.wait()); err != nil {
		return h.broke(err)
	}
	return nil
}
