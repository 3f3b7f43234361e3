package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"
)

// python is Debian's, which has python3-celery.
const python = "/usr/bin/python3"

// runCelery measures Celery with a Redis server of its own, on a socket in a
// temporary folder; both are left out where they are not installed.
func (c *comparison) runCelery(ctx context.Context) error {
	redis, err := exec.LookPath("redis-server")
	if err == nil {
		err = exec.CommandContext(ctx, python, "-c", "import celery, redis").Run()
	}
	if !c.celery || err != nil {
		c.left = append(c.left, "Celery: python3-celery, python3-redis and redis-server are not installed, or it was not asked for")
		return nil
	}
	attr, chown, err := nobody()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "opsconductor-celery-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	for _, name := range []string{"noop.py", "bench.py"} { // where that user can read them
		text, err := os.ReadFile(filepath.Join(c.dir, "celery", name))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), text, 0o644)
		}
		if err != nil {
			return err
		}
	}
	if err := errors.Join(os.Chmod(dir, 0o755), chown(dir)); err != nil {
		return err
	}
	socket := filepath.Join(dir, "redis.sock")
	processes := strconv.Itoa(runtime.NumCPU())
	env := append(os.Environ(), "REDIS_SOCKET="+socket, "CELERY_PROCESSES="+processes, "HOME="+dir, "PYTHONDONTWRITEBYTECODE=1")
	server := service{ctx: ctx, dir: dir, env: env, attr: attr}
	stopRedis, err := server.start(redis, "--port", "0", "--unixsocket", socket, "--save", "", "--appendonly", "no", "--dir", dir, "--loglevel", "warning")
	if err != nil {
		return err
	}
	defer stopRedis()
	if err := appears(ctx, socket); err != nil {
		return err
	}
	stopWorker, err := server.start(python, "-m", "celery", "-A", "noop", "worker", "--concurrency", processes, "--loglevel", "ERROR",
		"--without-gossip", "--without-mingle", "--without-heartbeat")
	if err != nil {
		return err
	}
	defer stopWorker()
	inDir := []string{"REDIS_SOCKET=" + socket, "CELERY_PROCESSES=" + processes, "HOME=" + dir, "PYTHONDONTWRITEBYTECODE=1"}
	return c.peer(ctx, inDir, attr, python, filepath.Join(dir, "bench.py"))
}

// service starts programs that serve until they are stopped.
type service struct {
	ctx  context.Context
	dir  string
	env  []string
	attr *syscall.SysProcAttr
}

func (s service) start(program string, args ...string) (stop func(), err error) {
	cmd := exec.CommandContext(s.ctx, program, args...)
	cmd.Dir, cmd.Env, cmd.SysProcAttr, cmd.Stderr = s.dir, s.env, s.attr, os.Stderr
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", filepath.Base(program), err)
	}
	return func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		late := time.AfterFunc(10*time.Second, func() { _ = cmd.Process.Kill() })
		defer late.Stop()
		_ = cmd.Wait() // it was told to end
	}, nil
}

// nobody is how a process runs as a user without rights when this one is root, and
// what gives that user a folder.
func nobody() (*syscall.SysProcAttr, func(string) error, error) {
	if os.Geteuid() != 0 {
		return nil, func(string) error { return nil }, nil
	}
	u, err := user.Lookup("nobody")
	if err != nil {
		return nil, nil, err
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return nil, nil, err
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		return nil, nil, err
	}
	attr := &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	return attr, func(dir string) error { return os.Chown(dir, uid, gid) }, nil
}

// appears waits for a server's socket.
func appears(ctx context.Context, socket string) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	late := time.After(30 * time.Second)
	for {
		if _, err := os.Stat(socket); err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-late:
			return errors.New("redis-server does not answer")
		case <-tick.C:
		}
	}
}
