package main_test

import (
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	linux "opsconductor.dev/plugins/linux"
	"opsconductor.dev/sdk/go/step"
	"opsconductor.dev/sdk/go/steptest"
)

const answer = `Welcome to web-1! @@opsconductor is not here.

@@opsconductor os-release
PRETTY_NAME="Debian GNU/Linux 12 \"bookworm\" \$5"
NAME='It''s "Debian"'
ID=debian
ID_LIKE="a b"
VERSION_ID="12"
# a comment
BROKEN
Q="

@@opsconductor uname
Linux
6.1.0-18-amd64
x86_64

@@opsconductor hostname
web-1

@@opsconductor uptime
123456.78 4.5

@@opsconductor cpus
4

@@opsconductor loadavg
0.20 0.45 1.38 4/120 31393

@@opsconductor meminfo
MemTotal:       1000 kB
MemAvailable:    600 kB
SwapTotal:       200 kB
SwapFree:        100 kB
Nonsense

@@opsconductor df
Filesystem     1024-blocks     Used Available Capacity Mounted on
udev               1991404        0   1991404       0% /dev
/dev/sda1              100       60        40      60% /
/dev/sdb1              100      100        -5     106% /mnt/with two spaces
//srv/my share        1000        1       999       1% /srv
tmpfs               402400     1000    401400       1% /run
proc                     0        0         0       -  /proc
/dev/sda1              100       61        39      61% /
/dev/sdc1 99999999999999999999 1 1 1% /overflow
/dev/sdd1 10 1 1 1% notapath
rubbish
`

func TestFacts(t *testing.T) {
	t.Parallel()
	h, asked := target(t, step.SSHExecResult{ExitCode: new(0), Stdout: answer}, nil)
	got, failed := steptest.Call(h, linux.Facts, linux.FactsInput{TimeoutS: 3})
	want := linux.FactsOutput{
		Hostname: "web-1",
		OS: linux.OS{
			ID: "debian", Like: "a b", Name: `It''s "Debian"`, Version: "12", PrettyName: `Debian GNU/Linux 12 "bookworm" $5`,
		},
		Kernel:  linux.Kernel{Name: "Linux", Release: "6.1.0-18-amd64", Arch: "x86_64"},
		UptimeS: 123456.78, CPUs: 4, Load: []float64{0.2, 0.45, 1.38},
		Memory: linux.Memory{TotalBytes: 1024000, AvailableBytes: 614400, SwapTotalBytes: 204800, SwapFreeBytes: 102400},
		Disks: []linux.Disk{
			{Source: "/dev/sda1", Mount: "/", SizeBytes: 102400, UsedBytes: 62464, AvailableBytes: 39936, UsedPct: 61},
			{Source: "/dev/sdb1", Mount: "/mnt/with two spaces", SizeBytes: 102400, UsedBytes: 102400, UsedPct: 106},
			{Source: "//srv/my share", Mount: "/srv", SizeBytes: 1024000, UsedBytes: 1024, AvailableBytes: 1022976, UsedPct: 1},
		},
	}
	if d := cmp.Diff(want, got); failed != nil || d != "" {
		t.Errorf("%v (-want +got):\n%s", failed, d)
	}
	if asked.TimeoutMS != 3000 || asked.Script == "" {
		t.Errorf("asked for %+v", asked)
	}
}

func TestFactsOfOldAndPoorSystems(t *testing.T) {
	t.Parallel()
	h, _ := target(t, step.SSHExecResult{
		StdoutBase64: []byte(
			"\xff banner\r\n@@opsconductor meminfo\r\nMemTotal: 10 kB\r\nMemFree: 1 kB\r\nBuffers: 2 kB\r\nCached: 3 kB\r\n" +
				"@@opsconductor uptime\r\nNaN\r\n@@opsconductor cpus\r\n-2\r\n@@opsconductor loadavg\r\n1 2\r\n"),
	}, nil)
	got, failed := steptest.Call(h, linux.Facts, linux.FactsInput{})
	want := linux.FactsOutput{Load: []float64{}, Disks: []linux.Disk{}, Memory: linux.Memory{TotalBytes: 10240, AvailableBytes: 6144}}
	if d := cmp.Diff(want, got); failed != nil || d != "" {
		t.Errorf("%v (-want +got):\n%s", failed, d)
	}
}

func TestFactsOfNoPOSIXSystem(t *testing.T) {
	t.Parallel()
	h, _ := target(t, step.SSHExecResult{ExitCode: new(1), Stdout: "% Invalid input", Stderr: "no such command"}, nil)
	_, failed := steptest.Call(h, linux.Facts, linux.FactsInput{})
	if failed == nil || failed.Code != "no_posix_shell" || !strings.HasSuffix(failed.Message, ": no such command") {
		t.Errorf("got %+v, want no_posix_shell with the target's own words", failed)
	}
}

// Facts of which a part may be missing are none.
func TestFactsCut(t *testing.T) {
	t.Parallel()
	for _, cut := range []bool{true, false} {
		h, _ := target(t, step.SSHExecResult{ExitCode: new(0), Stdout: "opsconductor-section hostname\nweb-1\n", StdoutTruncated: true, OutputCut: cut}, nil)
		_, failed := steptest.Call(h, linux.Facts, linux.FactsInput{})
		if failed == nil || failed.Code != "output_limit" || failed.Retryable != cut || failed.Phase != step.After {
			t.Errorf("cut %t: got %+v, want output_limit, to be tried again where the connection was lost", cut, failed)
		}
	}
}

// TestFactsOfThisMachine runs the script in the shells that are here.
func TestFactsOfThisMachine(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("the script reads /proc, which only Linux has")
	}
	for _, shell := range [][]string{{"sh"}, {"dash"}, {"bash", "--posix"}, {"busybox", "sh"}} {
		path, err := exec.LookPath(shell[0])
		if err != nil {
			continue
		}
		t.Run(shell[0], func(t *testing.T) {
			t.Parallel()
			h := steptest.New(t).SSHExec(func(r step.SSHExecRequest) (step.SSHExecResult, error) {
				cmd := exec.CommandContext(t.Context(), path, append(shell[1:len(shell):len(shell)], "-s", "--")...)
				cmd.Stdin = strings.NewReader(r.Script)
				out, err := cmd.Output()
				return step.SSHExecResult{Stdout: string(out), ExitCode: new(0)}, err
			})
			got, failed := steptest.Call(h, linux.Facts, linux.FactsInput{})
			if failed != nil {
				t.Fatal(failed)
			}
			if got.Hostname == "" || got.Kernel.Name != "Linux" || got.UptimeS <= 0 || got.CPUs < 1 || got.Memory.TotalBytes < 1<<20 || len(got.Load) != 3 {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func FuzzFacts(f *testing.F) {
	f.Add(answer)
	f.Fuzz(func(t *testing.T, stdout string) {
		h := steptest.New(t).SSHExec(func(step.SSHExecRequest) (step.SSHExecResult, error) {
			return step.SSHExecResult{Stdout: stdout}, nil
		})
		got, failed := steptest.Call(h, linux.Facts, linux.FactsInput{})
		if failed != nil {
			if failed.Code != "no_posix_shell" {
				t.Fatalf("%q: %v", stdout, failed)
			}
			return
		}
		if got.UptimeS < 0 || got.CPUs < 0 || got.Memory.TotalBytes < 0 || got.Memory.AvailableBytes < 0 {
			t.Fatalf("%q: a negative amount in %+v", stdout, got)
		}
		for _, d := range got.Disks {
			if d.SizeBytes <= 0 || d.UsedBytes < 0 || d.AvailableBytes < 0 || d.UsedPct < 0 {
				t.Fatalf("%q: a negative amount in %+v", stdout, d)
			}
		}
	})
}
