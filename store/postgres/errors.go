package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/bide-dev/bide"
)

// failure is what an error says about sending the same thing again.
type failure int

const (
	failedNot        failure = iota
	failedConflict           // nothing was applied, for the sake of another transaction: try again
	failedConnection         // the outcome is unknown, or the server is gone: try again, on another connection
	failedData               // nothing was applied; something in it cannot be stored
	failedServer             // nothing was applied; the server cannot do it, whatever it is
)

// kindOf sorts errors by their SQLSTATE (PostgreSQL manual, appendix A).
func kindOf(err error) failure {
	if err == nil {
		return failedNot
	}
	state := sqlState(err)
	switch state {
	case "":
		return failedConnection
	case "40001", "40P01", "55P03", "23505":
		return failedConflict // another one wrote the same key meanwhile: it shows by the next try
	case "40003", "57P01", "57P02", "57P03", "53300":
		return failedConnection
	case "53200":
		return failedData // too large for the server's memory
	}
	switch state[:2] {
	case "08":
		return failedConnection
	case "21", "22", "23", "54":
		return failedData
	}
	return failedServer
}

// isUnable reports whether the server cannot do something at all; a statement that took too long may succeed another time.
func isUnable(err error) bool { return kindOf(err) == failedServer && sqlState(err) != "57014" }

// isUnreachable reports whether no connection could be made.
func isUnreachable(err error) bool {
	var e *pgconn.ConnectError
	return errors.As(err, &e)
}

// isOutage reports whether the server could not be reached, went away or takes no connections.
func isOutage(err error) bool {
	switch state := sqlState(err); state {
	case "57P01", "57P02", "57P03", "53300":
		return true
	case "":
		var network net.Error
		return isUnreachable(err) || errors.As(err, &network) || errors.Is(err, io.ErrUnexpectedEOF)
	default:
		return isUnreachable(err) || strings.HasPrefix(state, "08")
	}
}

// outage is the error for a server that cannot be reached. Where that is stands in its cause alone: the message may be for
// clients who need not know.
func outage(doing, server string, err error) error {
	message := "the database of the store cannot be reached; it may be down, or not be where the address of the store says"
	switch sqlState(err) {
	case "28P01", "28000":
		message = "the database of the store does not let its user in: see the user and the password in the address, and the server's pg_hba.conf"
	case "3D000":
		message = "the database of the store does not exist; make it with createdb, or name another one"
	case "53300":
		message = "the database of the store has no connection left; see its max_connections"
	}
	return &bide.Error{Code: bide.CodeStoreUnavailable, Message: message, Err: fmt.Errorf("%s in %s: %w", doing, server, err)}
}

// sqlState is the code of an error that the server sent, or empty.
func sqlState(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) && len(e.Code) == 5 {
		return e.Code
	}
	return ""
}

// explain turns an error of the server or the network into one that says what
// happened where and what to do. The runtime sends a commit again after an outage, and after
// what stays an ordinary error.
func (s *Store) explain(doing string, err error) error {
	var own *bide.Error
	if err == nil || errors.As(err, &own) {
		return err
	}
	as := func(c bide.Code, format string, args ...any) error {
		return &bide.Error{Code: c, Message: doing + ": " + fmt.Sprintf(format, args...), Err: err}
	}
	switch state := sqlState(err); {
	case state == "53100":
		return as(bide.CodeStoreFull, "the disk of %s is full; nothing that was acknowledged is lost; free some space and try again", s.server)
	case state == "25006":
		return as(bide.CodeStoreReadOnly, "%s takes no writes, as a standby; use the primary, for instance with target_session_attrs=read-write in the URL", s.server)
	case state == "42501":
		return as(bide.CodeStoreReadOnly, "the user may not do this in schema %s of %s; grant it the right, or let one who may open the store first", s.opts.Schema, s.server)
	case state == "22021", state == "22P05":
		return as(bide.CodeInvalidInput, "a text is not valid UTF-8 or contains a zero byte, which PostgreSQL cannot store")
	case strings.HasPrefix(state, "54"):
		return as(bide.CodeInvalidInput, "a value is too large for PostgreSQL; keep large values outside and pass references, and keep keys below 2,000 bytes")
	case strings.HasPrefix(state, "XX001"), strings.HasPrefix(state, "XX002"):
		return as(bide.CodeCorrupt, "tables or indexes in %s are damaged; restore the database from a backup", s.server)
	}
	if isOutage(err) {
		return outage(doing, s.server, err)
	}
	return fmt.Errorf("%s in %s: %w", doing, s.server, err)
}

// asked turns an error of a read into what its caller is told.
func (s *Store) asked(ctx context.Context, doing string, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case s.closed.Load():
		return s.errClosed()
	}
	return s.explain(doing, err)
}

// where names a server and a database without secrets.
func where(c *pgx.ConnConfig) string {
	return fmt.Sprintf("PostgreSQL database %s at %s:%d", c.Database, c.Host, c.Port)
}
