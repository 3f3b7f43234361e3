package bench

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/client"
	"opsconductor.dev/hostfuncs/ssh"
	"opsconductor.dev/hostfuncs/ssh/sshtest"
)

// planOn lets the plugin linux run commands anywhere, and plans one on a tag's assets.
func (s *sshBench) planOn(ctx context.Context, tag string) (automation.Digest, error) {
	plugin, err := s.Plugin(ctx, "linux")
	if err != nil {
		return "", fmt.Errorf("look for the plugin linux: %w", err)
	}
	if _, err := s.ActivatePlugin(ctx, plugin.Digest, []client.Grant{{Function: "ssh_exec", Targets: []string{"*"}}}, 0); err != nil {
		return "", fmt.Errorf("grant ssh_exec: %w", err)
	}
	return s.plan(ctx, strings.ReplaceAll(onTargets, "TAG", tag))
}

// once measures one run, all of whose items have to succeed.
func (s *sshBench) once(ctx context.Context, plan automation.Digest, items int) (time.Duration, error) {
	took, succeeded, err := s.counted(ctx, plan)
	if err == nil && succeeded != items {
		err = fmt.Errorf("%d of %d items succeeded", succeeded, items)
	}
	return took, err
}

// counted measures one run, from its submission until the client knows of its end,
// and counts the items that succeeded.
func (s *sshBench) counted(ctx context.Context, plan automation.Digest) (time.Duration, int, error) {
	began := time.Now()
	run, err := s.Submit(ctx, client.SubmitRequest{PlanHash: plan})
	if err != nil {
		return 0, 0, fmt.Errorf("submit: %w", err)
	}
	if _, err := s.WaitEnd(ctx, run.ID); err != nil {
		return 0, 0, fmt.Errorf("wait for a run: %w", err)
	}
	took := time.Since(began)
	steps, err := s.Steps(ctx, run.ID)
	if err != nil || len(steps.Items) != 1 {
		return 0, 0, fmt.Errorf("read the steps: %w", err)
	}
	return took, steps.Items[0].Counts[automation.ItemSucceeded], nil
}

// mb is a MiB in MB.
const mb = 1.048576

// fakes measures servers in process, this one's: the host dials over loopback.
func (s *sshBench) fakes(ctx context.Context) error {
	n := s.options.Fakes
	s.options.note("starting %d servers in process, and making their assets", n)
	fleet, err := sshtest.StartFleet(n, sshtest.FakeConfig{Quick: true}, nil) //nolint:contextcheck // the servers end with Stop
	if err != nil {
		return err
	}
	defer fleet.Stop()
	endpoints := make([]ssh.Endpoint, n)
	for i, f := range fleet.Servers {
		endpoints[i] = f.Endpoint(fmt.Sprintf("%s-%d", tagFake, i))
	}
	if err := s.register(ctx, tagFake, endpoints); err != nil {
		return err
	}
	plan, err := s.planOn(ctx, tagFake)
	if err != nil {
		return err
	}
	pid := strconv.Itoa(s.cmd.Process.Pid)
	_ = os.WriteFile("/proc/"+pid+"/clear_refs", []byte("5"), 0o200) // where it can't, the peak is the whole process's
	resident := peakOf(pid)
	took, succeeded, err := s.counted(ctx, plan)
	peak, mapped := resident()*mb, statusOf(pid, "VmHWM")*mb
	if err != nil {
		return err
	}
	lost := n - succeeded
	for _, runs := range fleet.Execs() {
		if runs != 1 {
			lost = max(lost, 1)
		}
	}
	bare, err := bareOnce(ctx, endpoints, s.options.Slots)
	if err != nil {
		return err
	}
	s.options.note("%d servers in process: %.1f s, bare %.1f s, %d lost, %.0f MB", n, took.Seconds(), bare.Seconds(), lost, peak)
	s.report.add("fake_10000_s", took.Seconds()*10_000/float64(n))
	s.report.add("bare_fake_s", bare.Seconds()*10_000/float64(n))
	s.report.add("lost", float64(lost))
	s.report.add("peak_rss_mb", peak)
	s.report.add("peak_mapped_mb", mapped)
	return nil
}
