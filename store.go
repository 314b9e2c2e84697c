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
	// It returns nil, changing nothing, when c is already the last commit of the
	// run: sending a commit again after an unknown outcome is safe. Otherwise it fails,
	// changing nothing, with ErrConflict when the run is not at c.Expect or a message in
	// c.Took is gone, and with ErrFenced when c.Fence is not zero and not the run's.
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
// One without RunID and Records only sends messages.
type Commit struct {
	RunID string
	// Expect is the position the records follow; zero means that the run must not exist.
	Expect Position
	// Records continue the chain from Expect. There is at least one, when RunID is set.
	Records []Record
	// Info is the run's row after the last record; Info.Seq and Info.Head are its position.
	Info RunInfo
	// Opened and Closed are the changes to the run's open waits. A wait that was
	// opened and closed within the commit is in neither.
	Opened []Wait
	Closed []string
	// Command is the command that caused the commit, when it has an id.
	Command *CommandRecord
	// Starts are the first commits of child runs (K20). One whose run is there
	// already changes nothing and fails nothing.
	Starts []*Commit
	// Send puts messages into mailboxes. One whose id was ever sent to the same
	// mailbox before is left out.
	Send []Message
	// Took names the messages that the records took out of the run's own mailbox
	// and those of the keys that its open waits are on; the same id in another mailbox stays.
	Took []string
	// MailSeen is Stored.MailSeq of the load that the commit builds on.
	MailSeen int64
	// Fence, when not zero, is the claim under which the commit is made (K23).
	Fence int64
	// Delete removes the run at Expect and all that is kept of it, the ids of
	// messages sent to it included, instead of adding records; there are none then. It does
	// nothing when there is no such run. The caller has seen at Expect that the run has ended.
	Delete bool
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
	// Mail are the messages not yet taken, in the order in which they were
	// sent: those to this run, and those to a mailbox that one of its open waits is on (Message.Key).
	// There may be more than are given; there are at least the first 100 of each mailbox.
	Mail []Message
	// MailSeq counts the times that the run was told of mail.
	MailSeq int64
	// Fence is the number of the run's last claim; 0 before the first.
	Fence int64
}

// Message is something sent to a mailbox. Each has one taker, and is kept until then.
//
// A store tells a run of mail, by raising its Stored.MailSeq, when a message is
// sent to it, when one is sent to a key that matches one of its open waits, and when
// a commit opens a wait whose key matches a message that is kept. A wait's key
// matches when it equals the message's, or ends in ":*" and the message's begins with
// what is before the star.
type Message struct {
	// ID tells the message from all others in its mailbox; sent twice, it counts once.
	ID string `json:"id"`
	// To is the run whose mailbox it is for; empty for the mailbox of Key.
	To string `json:"to,omitempty"`
	// Key is what it is about: an event's key "evt:<scope>:<scope id>:<name>",
	// "run:<id>" for the end of a child, "cancel:<id>" for the cancellation of a run.
	Key     string    `json:"key"`
	Payload JSON      `json:"payload,omitempty"`
	At      time.Time `json:"at"`
	// Copies makes it a broadcast: instead of being kept for one taker, it is put
	// at once into the mailbox of every run that has an open wait on its key, once
	// per wait, with the wait's id after a slash added to its own.
	Copies bool `json:"copies,omitempty"`
}

// RunQuery selects runs. Zero fields do not restrict.
type RunQuery struct {
	Status   Status
	Workflow string
	Session  string
	Parent   string
	SetAside bool // only those set aside
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
