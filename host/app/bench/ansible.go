package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"opsconductor.dev/hostfuncs/ssh"
)

// ansible measures Ansible on the same servers: over new connections, and over those
// that ControlPersist keeps. Where it is not installed its figures are left out.
func (s *sshBench) ansible(ctx context.Context, key string, endpoints []ssh.Endpoint, cold, warm float64) error {
	bin, err := exec.LookPath("ansible")
	if err != nil {
		s.options.note("there is no ansible here, so it is left out: apt-get install ansible-core")
		return nil
	}
	dir := filepath.Join(s.dir, "ansible")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return fmt.Errorf("make a folder: %w", err)
	}
	if err := writeAnsible(dir, key, endpoints); err != nil {
		return err
	}
	once := func(persist string) (time.Duration, error) {
		cmd := exec.CommandContext(ctx, bin, "all", "-i", "hosts", "-m", "raw", "-a", "true", "--forks", fmt.Sprint(len(endpoints))) //nolint:gosec // ansible itself
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "ANSIBLE_CONFIG="+filepath.Join(dir, "ansible.cfg"), "ANSIBLE_SSH_ARGS=-o ControlMaster=auto -o ControlPersist="+persist, "HOME="+dir)
		began := time.Now()
		out, err := cmd.CombinedOutput()
		took := time.Since(began)
		if n := strings.Count(string(out), "rc=0"); err == nil && n != len(endpoints) {
			err = fmt.Errorf("%d of %d targets succeeded", n, len(endpoints))
		}
		if err != nil {
			return took, fmt.Errorf("ansible: %w: %.500s", err, out)
		}
		return took, nil
	}
	coldTook, err := once("60s") // opens the connections that stay for the next
	if err != nil {
		return err
	}
	warmTook, err := once("60s")
	if err != nil {
		return err
	}
	s.options.note("%d servers by ansible: cold %.2f s, warm %.2f s", len(endpoints), coldTook.Seconds(), warmTook.Seconds())
	r := s.report
	r.Settings["ansible"] = ansibleVersion(ctx, bin)
	r.add("ansible_cold_s", coldTook.Seconds())
	r.add("ansible_cold_ratio", coldTook.Seconds()/cold)
	r.add("ansible_warm_s", warmTook.Seconds())
	r.add("ansible_warm_ratio", warmTook.Seconds()/warm)
	return nil
}

// writeAnsible writes key, known hosts, inventory and settings.
func writeAnsible(dir, key string, endpoints []ssh.Endpoint) error {
	var hosts, known strings.Builder
	for i := range endpoints {
		e := &endpoints[i]
		fmt.Fprintf(&hosts, "%s ansible_host=%s ansible_port=%d ansible_user=%s\n", e.Name, e.Host, e.Port, e.Credential.Username)
		fmt.Fprintf(&known, "[%s]:%d %s\n", e.Host, e.Port, e.HostKeys[0])
	}
	settings := fmt.Sprintf("[defaults]\nprivate_key_file = %s\nhost_key_checking = True\n[ssh_connection]\nssh_common_args = -o UserKnownHostsFile=%s -o IdentitiesOnly=yes\n",
		filepath.Join(dir, "key"), filepath.Join(dir, "known_hosts"))
	var errs []error
	for name, text := range map[string]string{"key": key, "hosts": hosts.String(), "known_hosts": known.String(), "ansible.cfg": settings} {
		errs = append(errs, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("write ansible's files: %w", err)
	}
	return nil
}

// ansibleVersion is the first line of what it says of itself.
func ansibleVersion(ctx context.Context, bin string) string {
	out, err := exec.CommandContext(ctx, bin, "--version").Output() //nolint:gosec // ansible itself
	if err != nil {
		return "unknown"
	}
	first, _, _ := strings.Cut(string(out), "\n")
	return first
}
