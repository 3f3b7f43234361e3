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
// that ControlPersist keeps; by its module raw, which sends the command as it is, and by
// command, which does what linux.command does: arguments without a shell, and a
// structured result. Where it is not installed its figures are left out.
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
	r := s.report
	r.Settings["ansible"] = ansibleVersion(ctx, bin)
	for _, m := range []struct{ module, key string }{{"raw", "ansible"}, {"command", "ansible_command"}} {
		var took [2]float64 // the first opens the connections that stay for the second
		for i := range took {
			if took[i], err = ansibleOnce(ctx, bin, dir, m.module, len(endpoints)); err != nil {
				return err
			}
		}
		s.options.note("%d servers by ansible -m %s: cold %.2f s, warm %.2f s", len(endpoints), m.module, took[0], took[1])
		r.add(m.key+"_cold_s", took[0])
		r.add(m.key+"_cold_ratio", took[0]/cold)
		r.add(m.key+"_warm_s", took[1])
		r.add(m.key+"_warm_ratio", took[1]/warm)
	}
	return nil
}

// ansibleOnce runs true on all servers by a module, over connections of the module's
// own, and returns how many seconds that took. Beside what writeAnsible sets all is as
// Ansible has it by itself.
func ansibleOnce(ctx context.Context, bin, dir, module string, servers int) (float64, error) {
	cmd := exec.CommandContext(ctx, bin, "all", "-i", "hosts", "-m", module, "-a", "true", "--forks", fmt.Sprint(servers)) //nolint:gosec // ansible itself
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "ANSIBLE_CONFIG="+filepath.Join(dir, "ansible.cfg"), "ANSIBLE_SSH_ARGS=-o ControlMaster=auto -o ControlPersist=60s",
		"ANSIBLE_SSH_CONTROL_PATH_DIR="+filepath.Join(dir, module), "ANSIBLE_LOCAL_TEMP="+filepath.Join(dir, "tmp"), "ANSIBLE_REMOTE_TEMP="+filepath.Join(dir, "far"), "HOME="+dir)
	began := time.Now()
	out, err := cmd.CombinedOutput()
	took := time.Since(began)
	if n := strings.Count(string(out), "rc=0"); err == nil && n != servers {
		err = fmt.Errorf("%d of %d targets succeeded", n, servers)
	}
	if err != nil {
		return 0, fmt.Errorf("ansible -m %s: %w: %.500s", module, err, out)
	}
	return took.Seconds(), nil
}

// writeAnsible writes key, known hosts, inventory and settings.
func writeAnsible(dir, key string, endpoints []ssh.Endpoint) error {
	var hosts, known strings.Builder
	for i := range endpoints {
		e := &endpoints[i]
		fmt.Fprintf(&hosts, "%s ansible_host=%s ansible_port=%d ansible_user=%s\n", e.Name, e.Host, e.Port, e.Credential.Username)
		fmt.Fprintf(&known, "[%s]:%d %s\n", e.Host, e.Port, e.HostKeys[0])
	}
	settings := fmt.Sprintf("[defaults]\nprivate_key_file = %s\nhost_key_checking = True\ninterpreter_python = /usr/bin/python3\n[ssh_connection]\nssh_common_args = -o UserKnownHostsFile=%s -o IdentitiesOnly=yes\n",
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
