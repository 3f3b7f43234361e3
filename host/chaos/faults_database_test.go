package chaos_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// slowDatabase makes every commit wait behind a lock for longer than a lease, while
// every answer takes its time.
func slowDatabase(d *deployment, _ int) time.Time {
	for _, k := range d.links() {
		k.delay.Store(int64(30 * time.Millisecond))
	}
	err := d.pg.Exec(context.WithoutCancel(d.t.Context()), "chaos",
		"DO $$ BEGIN LOCK TABLE shards, hosts IN ACCESS EXCLUSIVE MODE; PERFORM pg_sleep(10); END $$")
	if err != nil {
		d.t.Error(err)
	}
	for _, k := range d.links() {
		k.delay.Store(0)
	}
	return time.Now()
}

// databaseCrash kills the database and brings it back.
func databaseCrash(d *deployment, _ int) time.Time {
	if err := d.pg.Kill(); err != nil {
		d.t.Error(err)
	}
	pause(2 * time.Second)
	if err := d.pg.Restart(d.t.Context()); err != nil {
		d.t.Fatal(err)
	}
	return time.Now()
}

// failover kills the database for good: the standby that has every commit takes its
// place, and gets a standby of its own.
func failover(d *deployment, _ int) time.Time {
	if err := d.pg.Kill(); err != nil {
		d.t.Error(err)
	}
	at := time.Now()
	if err := d.standby.Promote(d.t.Context()); err != nil {
		d.t.Fatal(err)
	}
	old, first := d.pg, d.pg.Socket()
	d.pg = d.standby
	_ = old.Stop()
	d.follow()
	for _, h := range d.hosts {
		for i, k := range h.links {
			if d.places[h][i] == first {
				k.turn(dialTo("unix", d.standby.Socket()))
				d.places[h][i] = d.standby.Socket()
			}
		}
	}
	return at
}

// withSmallDisk puts the database on a file system of its own that can be filled.
func withSmallDisk(t *testing.T, p *plan) {
	t.Helper()
	if os.Getenv(inWorld) == "" {
		t.Skip("a small file system takes root on Linux")
	}
	disk := shared(t)
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=220m,mode=0777"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(disk, syscall.MNT_DETACH) })
	p.disk, p.pg.Dir = disk, disk
	p.pg.Settings = map[string]string{"min_wal_size": "32MB", "max_wal_size": "32MB", "shared_buffers": "16MB"}
}

// shared is a folder that another user's server gets to.
func shared(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	for dir := folder; len(dir) > len(os.TempDir()); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

// diskFull fills the database's disk for a time.
func diskFull(d *deployment, _ int) time.Time {
	ballast := filepath.Join(d.plan.disk, "ballast")
	f, err := os.Create(ballast)
	if err != nil {
		d.t.Fatal(err)
	}
	size := 1 << 20
	for size > 0 {
		if _, err := f.Write(make([]byte, size)); errors.Is(err, syscall.ENOSPC) {
			size /= 2
		} else if err != nil {
			d.t.Error(err)
			break
		}
	}
	f.Close()
	pause(shorter)
	if err := os.Remove(ballast); err != nil {
		d.t.Error(err)
	}
	if d.pg != nil && !d.pg.Alive() {
		d.t.Log("the database gave up; it is started again")
		if err := d.pg.Restart(d.t.Context()); err != nil {
			d.t.Fatal(err)
		}
	}
	return time.Now()
}
