package bench

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/client"
	"opsconductor.dev/host/vault"
)

// startsWithin is how long a host may take to say where it is, and then to compile
// the built-in plugins when nobody has yet.
const startsWithin = time.Minute

// deployment is what hosts in processes of their own share.
type deployment struct {
	options  Options
	dir      string
	database string // URL or path
	key      string // file of the vault's key
	cache    string
	token    automation.Secret // an admin's, once a host has made it
}

// deploy makes a deployment on a new store, for as long as measure works.
func (o Options) deploy(ctx context.Context, measure func(context.Context, *deployment) error) (err error) {
	dir, err := os.MkdirTemp("", "opsconductor-bench-")
	if err != nil {
		return fmt.Errorf("make a folder: %w", err)
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary folder
	d := &deployment{options: o, dir: dir, key: filepath.Join(dir, "vault.key"), cache: o.CacheDir, database: filepath.Join(dir, "host.db")}
	if d.cache == "" {
		d.cache = filepath.Join(dir, "cache")
	}
	if _, err := vault.CreateKey(d.key); err != nil {
		return err
	}
	if o.Store == "postgres" {
		url, stop, err := database(ctx, o)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, stop()) }()
		d.database = url
	}
	return measure(ctx, d)
}

// process is `opsconductor serve` in a process of its own.
type process struct {
	*client.Client
	name string
	cmd  *exec.Cmd
	log  *tail
	end  func() error // waits for its end, once
}

// start starts a host and returns when it says where it is. The same name again is
// the same host.
func (d *deployment) start(ctx context.Context, name string, args ...string) (*process, error) {
	if len(d.options.Program) == 0 {
		return nil, errors.New("this benchmark starts hosts in processes of their own, and has no program for that")
	}
	line := append(d.options.Program[1:len(d.options.Program):len(d.options.Program)],
		"serve", "--dir", filepath.Join(d.dir, name), "--name", name, "--listen", "127.0.0.1:0", "--output", "jsonl", "--log-level", "warn")
	cmd := exec.CommandContext(ctx, d.options.Program[0], append(line, args...)...) //nolint:gosec // this program itself
	// The URL may hold a password: it goes where other users can't read it.
	cmd.Env = append(os.Environ(), "OPSCONDUCTOR_DATABASE_URL="+d.database, "OPSCONDUCTOR_KEY_FILE="+d.key, "OPSCONDUCTOR_CACHE_DIR="+d.cache)
	cmd.WaitDelay = 5 * time.Second
	_, err := os.Stat(filepath.Join(d.dir, name))
	first := errors.Is(err, os.ErrNotExist)
	p := &process{name: name, cmd: cmd, log: &tail{}}
	cmd.Stderr = p.log
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start a host: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start a host: %w", err)
	}
	p.end = sync.OnceValue(cmd.Wait)
	url, err := whereIs(out)
	if err == nil {
		err = d.connect(p, url)
	}
	if err == nil && first {
		err = settled(ctx, url)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start the host %s: %w: %s", name, err, p.log), p.kill())
	}
	return p, nil
}

// whereIs reads the URL that a host prints first.
func whereIs(out io.ReadCloser) (string, error) {
	late := time.AfterFunc(startsWithin, func() { _ = out.Close() })
	defer late.Stop()
	line, err := bufio.NewReader(io.LimitReader(out, 4096)).ReadBytes('\n')
	if err != nil {
		return "", fmt.Errorf("it does not say where it is: %w", err)
	}
	var where struct {
		URL string `json:"url"`
	}
	err = json.Unmarshal(line, &where)
	return where.URL, err
}

func (d *deployment) connect(p *process, url string) error {
	if d.token.Empty() {
		text, err := os.ReadFile(filepath.Join(d.dir, p.name, "admin.token"))
		if err != nil {
			return fmt.Errorf("read the admin token: %w", err)
		}
		d.token = automation.NewSecret(bytes.TrimSpace(text))
	}
	var err error
	p.Client, err = client.New(client.Config{URL: url, Token: d.token})
	return err
}

// settled returns when a host has compiled the built-in plugins that are new to its
// database, which it does while it serves: it is not to be measured meanwhile.
func settled(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startsWithin, errors.New("the built-in plugins were not compiled in time"))
	defer cancel()
	return until(ctx, func() (bool, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/metrics", nil)
		if err != nil {
			return false, fmt.Errorf("ask for metrics: %w", err)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return false, fmt.Errorf("ask for metrics: %w", err)
		}
		defer res.Body.Close()
		body, err := io.ReadAll(io.LimitReader(res.Body, 4<<20))
		return bytes.Contains(body, []byte("\nopsconductor_plugins_uncompiled 0\n")), err
	})
}

// kill ends a process as a power cut does, and waits until it is gone.
func (p *process) kill() error {
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("end the host %s: %w", p.name, err)
	}
	_ = p.end() // it was killed, and says so
	return nil
}

// run submits a run and returns when it has succeeded.
func (p *process) run(ctx context.Context, plan automation.Digest) error {
	run, err := p.Submit(ctx, client.SubmitRequest{PlanHash: plan})
	if err != nil {
		return fmt.Errorf("submit: %w", err)
	}
	if run, err = p.WaitEnd(ctx, run.ID); err != nil {
		return fmt.Errorf("wait for a run: %w", err)
	}
	if run.State != automation.RunSucceeded {
		return fmt.Errorf("a run of the benchmark ended %s", run.State)
	}
	return nil
}

// plan plans a definition whose action is the Go plugin's.
func (p *process) plan(ctx context.Context, definition string) (automation.Digest, error) {
	r, err := p.Plan(ctx, client.PlanRequest{Definition: []byte(strings.ReplaceAll(definition, "ACTION", "core.noop@1"))})
	if err != nil {
		return "", fmt.Errorf("plan: %w", err)
	}
	return r.PlanHash, nil
}

// tail keeps the last of what is written to it. Safe for concurrent use.
type tail struct {
	mu  sync.Mutex
	end []byte
}

// Write implements io.Writer.
func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.end = append(t.end, b...)
	t.end = t.end[max(len(t.end)-4096, 0):]
	return len(b), nil
}

// String returns what was kept.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(bytes.TrimSpace(t.end))
}
