package sqlite

import (
	"cmp"
	"errors"
	"time"

	"github.com/ncruces/go-sqlite3"
)

// errOutOfMemory is a value or transaction too large for a connection's memory.
var errOutOfMemory = errors.New("out of memory")

// statements are a connection, what was prepared on it, and, for the writer,
// what is known of the file.
type statements struct {
	conn *sqlite3.Conn
	kept map[string]*sqlite3.Stmt // by text
	places
}

func newStatements(conn *sqlite3.Conn) statements {
	return statements{conn: conn, kept: map[string]*sqlite3.Stmt{}, places: places{known: map[string]place{}}}
}

// query returns a call of one of the package's statements, which is prepared
// when it is first used.
func (s *statements) query(sql string) *call {
	stmt := s.kept[sql]
	if stmt == nil {
		var err error
		if stmt, _, err = s.conn.PrepareFlags(sql, sqlite3.PREPARE_PERSISTENT); err != nil {
			return &call{err: err}
		}
		s.kept[sql] = stmt
	}
	return with(stmt)
}

// close finalizes the statements and closes the connection.
func (s *statements) close() error {
	for _, stmt := range s.kept {
		_ = stmt.Close() // repeats the error of its last run
	}
	return s.conn.Close()
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

// texts binds a list, to be read with json_each.
func (c *call) texts(v []string) *call {
	list, err := encode(v)
	return c.next(func(n int) error { return cmp.Or(err, c.stmt.BindRawText(n, list)) })
}

func (c *call) bool(v bool) *call {
	return c.next(func(n int) error { return c.stmt.BindBool(n, v) })
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

// changes runs a statement that gives no rows and reports whether it changed one.
func (c *call) changes() (bool, error) {
	if err := c.exec(); err != nil {
		return false, err
	}
	return c.stmt.Conn().Changes() > 0, nil
}

// step runs a statement up to its first row and reports whether there is one.
// It must be reset afterwards.
func (c *call) step() (bool, error) {
	if c.err != nil {
		return false, c.err
	}
	row := c.stmt.Step()
	return row, c.stmt.Err()
}

// errEnough is what each gives to call.rows to end it: no more rows are wanted.
var errEnough = errors.New("enough rows")

// rows runs a statement and calls each for every row.
func (c *call) rows(each func(*sqlite3.Stmt) error) error {
	if c.err != nil {
		return c.err
	}
	var err error
	for err == nil && c.stmt.Step() {
		err = each(c.stmt)
	}
	if err == errEnough {
		err = nil
	}
	return cmp.Or(err, c.reset())
}

// any runs a statement and reports whether it gives a row.
func (c *call) any() (found bool, err error) {
	err = c.rows(func(*sqlite3.Stmt) error {
		found = true
		return nil
	})
	return found, err
}

// reset ends a statement of which not every row was read.
func (c *call) reset() error {
	if c.stmt == nil {
		return nil
	}
	return c.stmt.Reset()
}

// columnTime reads an instant written by call.time.
func columnTime(stmt *sqlite3.Stmt, col int) time.Time {
	if stmt.ColumnType(col) == sqlite3.NULL {
		return time.Time{}
	}
	return time.UnixMicro(stmt.ColumnInt64(col)).UTC()
}
