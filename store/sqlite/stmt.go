package sqlite

import (
	"cmp"
	"errors"
	"time"

	"github.com/ncruces/go-sqlite3"
)

// errOutOfMemory is a value or transaction too large for a connection's memory.
var errOutOfMemory = errors.New("out of memory")

// prepare compiles a statement that is kept.
func prepare(conn *sqlite3.Conn, into **sqlite3.Stmt, sql string) error {
	stmt, _, err := conn.PrepareFlags(sql, sqlite3.PREPARE_PERSISTENT)
	*into = stmt
	return err
}

// call binds parameters to a prepared statement in order and runs it. The
// first error is kept.
type call struct {
	stmt *sqlite3.Stmt
	n    int
	err  error
}

func with(stmt *sqlite3.Stmt) *call { return &call{stmt: stmt} }

func (c *call) next(err func(n int) error) *call {
	c.n++
	if c.err == nil {
		c.err = err(c.n)
	}
	return c
}

func (c *call) text(v string) *call {
	return c.next(func(n int) error { return c.stmt.BindText(n, v) })
}

func (c *call) raw(v []byte) *call {
	return c.next(func(n int) error { return c.stmt.BindRawText(n, v) })
}

func (c *call) blob(v []byte) *call {
	return c.next(func(n int) error { return c.stmt.BindBlob(n, v) })
}

func (c *call) int(v int64) *call {
	return c.next(func(n int) error { return c.stmt.BindInt64(n, v) })
}

// time binds an instant; the zero time is NULL.
func (c *call) time(t time.Time) *call {
	if t.IsZero() {
		return c.next(func(n int) error { return c.stmt.BindNull(n) })
	}
	return c.int(t.UnixMicro())
}

// exec runs a statement that gives no rows.
func (c *call) exec() error {
	if c.err != nil {
		return c.err
	}
	return c.stmt.Exec()
}

// step runs a statement up to its first row and reports whether there is one.
// The statement must be reset afterwards.
func (c *call) step() (bool, error) {
	if c.err != nil {
		return false, c.err
	}
	row := c.stmt.Step()
	return row, c.stmt.Err()
}

// rows runs a statement and calls each for every row.
func (c *call) rows(each func(*sqlite3.Stmt) error) error {
	err := c.err
	for err == nil && c.stmt.Step() {
		err = each(c.stmt)
	}
	return cmp.Or(err, c.stmt.Reset())
}

// columnTime reads an instant written by call.time.
func columnTime(stmt *sqlite3.Stmt, col int) time.Time {
	if stmt.ColumnType(col) == sqlite3.NULL {
		return time.Time{}
	}
	return time.UnixMicro(stmt.ColumnInt64(col)).UTC()
}
