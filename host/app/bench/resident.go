package bench

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"time"
)

// residentMiB is the proportional set size of this process, which counts pages
// that several mappings share once; 0 where Linux's /proc is not.
func residentMiB() float64 { return residentOf("self") }

// residentOf is residentMiB of the process of an id.
func residentOf(pid string) float64 {
	b, err := os.ReadFile("/proc/" + pid + "/smaps_rollup")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		var kib float64
		if n, err := fmt.Sscanf(line, "Pss: %f kB", &kib); err == nil && n == 1 {
			return kib / 1024
		}
	}
	return 0
}

// peakOf watches residentOf a process until stop, which returns the highest that was
// seen, four times a second.
func peakOf(pid string) (stop func() float64) {
	quit, peak := make(chan struct{}), 0.0
	var watch sync.WaitGroup
	watch.Go(func() {
		tick := time.NewTicker(250 * time.Millisecond)
		defer tick.Stop()
		for {
			peak = max(peak, residentOf(pid))
			select {
			case <-tick.C:
			case <-quit:
				return
			}
		}
	})
	return func() float64 {
		close(quit)
		watch.Wait()
		return peak
	}
}
