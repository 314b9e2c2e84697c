package bide

import (
	"context"
	"strings"
	"time"
)

// Store keeps runs. Commit is its only write. Implementations are held together
// by the conformance suite of package storetest.
//
// All methods may be called at once from many goroutines. What is passed in and
// handed out belongs to the caller again after the call, except byte slices and
// JSON, which nobody changes. A cancelled context ends the wait, not
// necessarily the work: the outcome of a Commit is then unknown, and it may be sent again.
type Store interface {
	// Commit makes everything in c durable, or nothing. When it returns nil, the
	// commit survives the death of the process and, at the default level, loss of power (K2).
	// It fails with ErrConflict, changing nothing, when the run is not at c.Expect.
	// It returns nil, changing nothing, when c is already the last commit of the
	// run: sending a commit again after an unknown outcome is safe.
	Commit(ctx context.Context, c *Commit) error

	// Load returns what is needed to rebuild a run's state: its position, its
	// last snapshot and the records after it; or, when the caller already has the state
	// at position have (not zero) of this run, just the records after have. It
	// fails with ErrNotFound.
	Load(ctx context.Context, runID string, have Position) (*Stored, error)

	// Records returns up to limit records in stored text from seq on, in order.
	// It fails with ErrNotFound when there is no such run.
	Records(ctx context.Context, runID string, from int64, limit int) ([][]byte, error)

	// Command returns what a command did to a run, or ErrNotFound.
	Command(ctx context.Context, runID, commandID string) (*CommandRecord, error)

	// Runs lists runs, newest first by creation, then by id, downwards.
	Runs(ctx context.Context, q RunQuery) (*RunPage, error)

	// Waits lists open waits of all runs that have not ended, oldest first.
	Waits(ctx context.Context, q WaitQuery) (*WaitPage, error)

	// Close ends the store's work and frees what it holds. Commits under way end first.
	Close() error
}

// Commit is everything one transition of a run must persist, as one value (K1).
type Commit struct {
	RunID string
	// Expect is the position the records follow; zero means that the run must not exist.
	Expect Position
	// Records continue the chain from Expect. There is at least one.
	Records []Record
	// Info is the run's row after the last record; Info.Seq and Info.Head are its position.
	Info RunInfo
	// Opened and Closed are the changes to the run's open waits. A wait that was
	// opened and closed within the commit is in neither.
	Opened []Wait
	Closed []string
	// Command is the command that caused the commit, when it has an id.
	Command *CommandRecord
	// Snapshot, when not nil, is the run's state after the last record. It
	// replaces the one before and only saves work: the records alone give the same state.
	Snapshot []byte
}

// CommandRecord is the trace of a command that was applied.
type CommandRecord struct {
	ID string
	// Fingerprint is a hash of what was asked, to tell a repeat from a reuse of the id.
	Fingerprint Hash
	// Seq is the record at which the command was done: its result is the state there.
	Seq int64
}

// Stored is a run as a store has it.
type Stored struct {
	Position
	Snapshot    []byte   // nil when there is none or the caller did not need it
	SnapshotSeq int64    // 0 without snapshot
	Records     [][]byte // stored text, in order, up to Position
}

// RunQuery selects runs. Zero fields do not restrict.
type RunQuery struct {
	Status   Status
	Workflow string
	// WakeBefore selects waiting and running runs with a timer due at or before it, earliest
	// first instead of newest first.
	WakeBefore time.Time
	Limit      int    // at most this many. Defaults to 100, at most 1000.
	Cursor     string // from RunPage.Next, for the same query
}

// RunPage is one page of a listing.
type RunPage struct {
	Runs []RunInfo
	Next string // cursor of the next page; empty at the end
}

// WaitQuery selects open waits. Zero fields do not restrict.
type WaitQuery struct {
	Kind   WaitKind
	Key    string
	Limit  int    // as in RunQuery
	Cursor string // as in RunQuery
}

// WaitPage is one page of open waits.
type WaitPage struct {
	Waits []Wait
	Next  string
}

// PageLimit returns the number of rows a page has for a query's Limit.
func PageLimit(limit int) int {
	if limit <= 0 {
		return 100
	}
	return min(limit, 1000)
}

// Cursor is a place in a listing: the sort key of the last row shown. Stores
// use it so that their cursors look alike.
type Cursor struct {
	At time.Time
	ID string
}

// String returns the cursor's text.
func (c Cursor) String() string { return formatTime(c.At) + "_" + c.ID }

// ParseCursor reads a cursor's text; the empty text is the zero Cursor, before the first row.
func ParseCursor(s string) (c Cursor, err error) {
	if s == "" {
		return c, nil
	}
	at, id, ok := strings.Cut(s, "_")
	if c.At, err = parseTime(at); err != nil || !ok {
		return c, Errorf(CodeInvalidInput, "%q is not a cursor of this listing; pass what the page before gave, or none", s)
	}
	c.ID = id
	return c, nil
}
