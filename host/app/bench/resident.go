package bench

import (
	"fmt"
	"os"
	"strings"
)

// residentMiB is the proportional set size of this process, which counts pages
// that several mappings share once; 0 where Linux's /proc is not.
func residentMiB() float64 {
	b, err := os.ReadFile("/proc/self/smaps_rollup")
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
