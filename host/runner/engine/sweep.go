package engine

import (
	"cmp"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// halfWritten is how old a file is that nobody will finish to write.
const halfWritten = time.Hour

// kept is a file of the folder "rewritten".
type kept struct {
	path string
	size int64
	used time.Time
}

// used marks a file as used now.
func (e *core) used(path string) {
	now := time.Now()
	if err := os.Chtimes(path, now, now); err != nil {
		e.settings.Log.Debug("a file of the plugin cache cannot be marked as used", slog.String("path", path), slog.Any("error", err))
	}
}

// sweep removes from a folder what was used least recently, until the rest fits, and
// what somebody began to write and left. Others may sweep it and read from it at the
// same time: what is gone is made anew.
func (e *core) sweep(dir string, now time.Time) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		e.settings.Log.Warn("the plugin cache cannot be swept", slog.String("path", dir), slog.Any("error", err))
		return
	}
	var files []kept
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil || !info.Mode().IsRegular() {
			continue // gone already, or none of the engine's
		}
		f := kept{filepath.Join(dir, entry.Name()), info.Size(), info.ModTime()}
		switch {
		case !strings.HasPrefix(entry.Name(), "new-"):
			files = append(files, f)
		case now.Sub(f.used) > halfWritten:
			e.remove(f)
		}
	}
	slices.SortFunc(files, func(a, b kept) int { return cmp.Or(b.used.Compare(a.used), cmp.Compare(a.path, b.path)) })
	var sum int64
	for _, f := range files {
		if sum += f.size; sum > e.settings.RewrittenBytes {
			e.remove(f)
		}
	}
}

func (e *core) remove(f kept) {
	if err := os.Remove(f.path); err != nil && !os.IsNotExist(err) {
		e.settings.Log.Warn("a file of the plugin cache cannot be removed", slog.String("path", f.path), slog.Any("error", err))
	}
}
