package sqlite

import (
	"context"
	"errors"
	"io/fs"
	"syscall"

	driver "modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"opsconductor.dev/host/automation"
)

// translate turns an error of the driver into one of ours, by its code.
func translate(ctx context.Context, err error) error {
	var known *automation.Error
	if err == nil || errors.As(err, &known) {
		return err
	}
	code, ok := codeOf(err)
	if ctx.Err() != nil && (!ok || code&0xff == lib.SQLITE_INTERRUPT) {
		return &automation.Error{Code: automation.CodeUnavailable, Message: "the call was given up: " + context.Cause(ctx).Error(), Err: errors.Join(err, context.Cause(ctx), ctx.Err())}
	}
	if !ok {
		return automation.AsError(err)
	}
	switch code {
	case lib.SQLITE_CONSTRAINT_UNIQUE, lib.SQLITE_CONSTRAINT_PRIMARYKEY, lib.SQLITE_CONSTRAINT_ROWID:
		return &automation.Error{Code: automation.CodeConflict, Message: "an object with this name or identifier is there already", Err: err}
	case lib.SQLITE_CONSTRAINT_FOREIGNKEY:
		return &automation.Error{Code: automation.CodeConflict, Message: "an object that this one refers to is not there, or others still refer to it", Err: err}
	case lib.SQLITE_CONSTRAINT_TRIGGER:
		return &automation.Error{Code: automation.CodeConflict, Message: "the run's state does not allow this change", Err: err}
	}
	switch code & 0xff {
	case lib.SQLITE_FULL:
		return &automation.Error{Code: automation.CodeUnavailable, Message: "the disk of the database is full; nothing was stored", Suggestion: "make room on the disk, then try again", CanRetry: true, Err: err}
	case lib.SQLITE_BUSY, lib.SQLITE_LOCKED:
		return &automation.Error{Code: automation.CodeUnavailable, Message: "another program has the database file locked", Suggestion: "close it, then try again", CanRetry: true, Err: err}
	case lib.SQLITE_IOERR, lib.SQLITE_CANTOPEN, lib.SQLITE_READONLY, lib.SQLITE_PERM, lib.SQLITE_NOMEM:
		return &automation.Error{Code: automation.CodeUnavailable, Message: "the database file can't be read or written", Suggestion: "see the host's log for the cause; check the disk and the file's owner", Err: err}
	case lib.SQLITE_CORRUPT, lib.SQLITE_NOTADB:
		return &automation.Error{Code: automation.CodeInternal, Message: "the database file is damaged, or is not a SQLite database", Suggestion: "put the last backup back", Err: err}
	}
	return automation.AsError(err)
}

// ownFault reports whether an error is the fault of the call itself, so that the
// transaction around it may go on.
func ownFault(err error) bool {
	code, ok := codeOf(err)
	if !ok {
		var known *automation.Error
		return errors.As(err, &known)
	}
	return code&0xff == lib.SQLITE_CONSTRAINT || code&0xff == lib.SQLITE_TOOBIG || code&0xff == lib.SQLITE_MISMATCH
}

// refersToNothing reports whether err is about a row that another refers to.
func refersToNothing(err error) bool {
	code, ok := codeOf(err)
	return ok && code == lib.SQLITE_CONSTRAINT_FOREIGNKEY
}

func codeOf(err error) (int, bool) {
	var e *driver.Error
	if !errors.As(err, &e) {
		return 0, false
	}
	return e.Code(), true
}

// openError says what stands in the way of opening the file at path.
func openError(path string, err error) error {
	var known *automation.Error
	if errors.As(err, &known) {
		return err
	}
	e := &automation.Error{Code: automation.CodeUnavailable, Err: err, Suggestion: "check the path, its disk and its owner"}
	switch code, ok := codeOf(err); {
	case ok && (code&0xff == lib.SQLITE_NOTADB || code&0xff == lib.SQLITE_CORRUPT):
		e.Message, e.Suggestion = "open "+path+": it is not a SQLite database, or it is damaged", "name another file, or put the last backup back"
	case ok && code&0xff == lib.SQLITE_FULL, errors.Is(err, syscall.ENOSPC):
		e.Message, e.Suggestion = "open "+path+": the disk is full", "make room on the disk"
	case errors.Is(err, fs.ErrPermission):
		e.Message, e.Suggestion = "open "+path+": this user may not", "run as the user that owns the folder, or name another one"
	default:
		e.Message = "open " + path + ": " + err.Error()
	}
	return e
}
