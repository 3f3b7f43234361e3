package postgres

import (
	"context"
	"errors"
	"io"
	"net"

	"github.com/jackc/pgx/v5/pgconn"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
)

// SQLSTATEs: the ones of our own functions (the migrations), and those of
// PostgreSQL (its manual, appendix A) that mean something to a caller.
const (
	stateFenced     = "OC001"
	stateNoRow      = "OC002"
	stateTransition = "OC003"

	stateForeignKey = "23503"
	stateUnique     = "23505"

	stateSerialization = "40001"
	stateDeadlock      = "40P01"
	stateReadOnly      = "25006"
	stateNoDatabase    = "3D000"
	stateDiskFull      = "53100"
	stateDisconnected  = "57P01" // admin_shutdown
	stateCrashed       = "57P02"
	stateStarting      = "57P03"
	stateCancelled     = "57014"

	stateNoStatement = "26000"
	stateStatement   = "42P05"

	stateLockTimeout    = "55P03"
	stateDuplicateTable = "42P07"
)

// translate turns an error of the driver into one of ours, by its code.
func translate(ctx context.Context, err error) error {
	var known *automation.Error
	if err == nil || errors.As(err, &known) {
		return err
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code != stateCancelled {
		return ofState(pg, err)
	}
	if ctx.Err() != nil {
		return &automation.Error{
			Code: automation.CodeUnavailable, Message: "the call was given up: " + context.Cause(ctx).Error(),
			Err: errors.Join(err, context.Cause(ctx), ctx.Err()), CanRetry: pgconn.SafeToRetry(err),
		}
	}
	var network net.Error
	var connect *pgconn.ConnectError
	switch {
	case errors.As(err, &connect):
		return &automation.Error{Code: automation.CodeUnavailable, Message: "PostgreSQL can't be reached", Suggestion: "see the host's log for the cause; check its address, that it runs, and the network", CanRetry: true, Err: err}
	case pgconn.SafeToRetry(err):
		return &automation.Error{Code: automation.CodeUnavailable, Message: "the connection to PostgreSQL was closed; nothing was stored", CanRetry: true, Err: err}
	case errors.As(err, &network), pgconn.Timeout(err), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return &automation.Error{Code: automation.CodeUnavailable, Message: "the connection to PostgreSQL broke; whether the change was stored is not known", Suggestion: "look at what is stored before asking again", Err: err}
	}
	return automation.AsError(err)
}

// ofState translates what the server said.
func ofState(pg *pgconn.PgError, err error) error {
	switch pg.Code {
	case stateFenced:
		return store.Fenced("append to the log")
	case stateNoRow:
		return store.NotFound("run in this shard: an entry or an update has no run")
	case stateTransition:
		return &automation.Error{Code: automation.CodeConflict, Message: "the run's state does not allow this change", Err: err}
	case stateUnique:
		return &automation.Error{Code: automation.CodeConflict, Message: "an object with this name or identifier is there already", Err: err}
	case stateForeignKey:
		return &automation.Error{Code: automation.CodeConflict, Message: "an object that this one refers to is not there, or others still refer to it", Err: err}
	case stateSerialization, stateDeadlock:
		return &automation.Error{Code: automation.CodeUnavailable, Message: "the change ran into another one; nothing was stored", CanRetry: true, Err: err}
	case stateDiskFull:
		return &automation.Error{Code: automation.CodeUnavailable, Message: "PostgreSQL's disk is full; nothing was stored", Suggestion: "make room on its disk, then try again", CanRetry: true, Err: err}
	case stateReadOnly:
		return &automation.Error{Code: automation.CodeUnavailable, Message: "PostgreSQL does not accept changes now (a standby, or in recovery)", Suggestion: "name the primary, or wait until it is one", CanRetry: true, Err: err}
	case stateNoDatabase:
		return &automation.Error{Code: automation.CodeUnavailable, Message: "PostgreSQL has no such database", Suggestion: "create it (createdb), or name another one", Err: err}
	case stateDisconnected, stateCrashed:
		return &automation.Error{Code: automation.CodeUnavailable, Message: "PostgreSQL ended the connection", Suggestion: "look at what is stored before asking again", Err: err}
	case stateNoStatement, stateStatement:
		return &automation.Error{
			Code: automation.CodeUnavailable, Message: "PostgreSQL does not know a statement that was prepared: a pooler seems to stand before it",
			Suggestion: "add default_query_exec_mode=cache_describe to the database's URL", Err: err,
		}
	case stateStarting:
		return &automation.Error{Code: automation.CodeUnavailable, Message: "PostgreSQL is starting or stopping", CanRetry: true, Err: err}
	}
	switch class(pg) {
	case "53", "08": // insufficient resources (too many connections, memory), connection exceptions
		return &automation.Error{Code: automation.CodeUnavailable, Message: "PostgreSQL has no room for the request now", CanRetry: true, Err: err}
	case "28": // invalid authorization
		return &automation.Error{Code: automation.CodeUnavailable, Message: "PostgreSQL refuses this user or its password", Suggestion: "check the user and the password in the database's URL", Err: err}
	case "58": // system error: an I/O error of the server
		return &automation.Error{Code: automation.CodeUnavailable, Message: "PostgreSQL has a fault of its own", Suggestion: "see its log", Err: err}
	case "22": // data that no column can hold: a zero byte in a text, say
		return &automation.Error{Code: automation.CodeInvalid, Message: "a value can't be stored", Suggestion: "send text in UTF-8 without zero bytes, and numbers within their range", Err: err}
	}
	return automation.AsError(err)
}

// refersToNothing reports whether err is about a row that another refers to.
func refersToNothing(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == stateForeignKey
}

// class is the first two characters of the SQLSTATE.
func class(pg *pgconn.PgError) string { return pg.Code[:min(2, len(pg.Code))] }

// ownFault reports whether an error is the fault of the call itself, so that
// others which shared its transaction may be tried again.
func ownFault(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return class(pg) == "22" || class(pg) == "23" || class(pg) == "OC"
	}
	var known *automation.Error
	return errors.As(err, &known) && known.Code != automation.CodeUnavailable
}
