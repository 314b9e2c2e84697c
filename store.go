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

	// Runs lists runs in the order of the query. It fails with ErrInvalidInput for an order or
	// cursor that is none.
	Runs(ctx context.Context, q RunQuery) (*RunPage, error)

	// Waits lists open waits of all runs that have not ended, oldest first.
	Waits(ctx context.Context, q WaitQuery) (*WaitPage, error)

	// Feed returns records of all runs in one order, which is the order of their
	// numbers within a run, and has a parent's record before the first one of the child it
	// starts. What was once read up to a position stays as it was, except for runs that are
	// deleted: a record that comes later has a later position. What Commit has acknowledged is in
	// the feed by the next call.
	Feed(ctx context.Context, q FeedQuery) (*FeedPage, error)

	// Close ends the store's work and frees what it holds. Commits under way end first.
	Close() error
}

// Mailer is what a store offers that lists mail, besides Store: what moves a run moves its mail.
type Mailer interface {
	// Mail returns all messages to a run that it has not taken, in the order of sending: also those that it
	// does not wait for yet. Messages to keys are not among them. It fails with ErrNotFound.
	Mail(ctx context.Context, runID string) ([]Message, error)
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
	// and those of the keys that its open waits are on; the same id in another mailbox stays. A
	// message that is in Send too is taken at once and never kept; the commit fails with
	// ErrConflict if its id was sent to its mailbox before.
	Took []string
	// MailSeen is Stored.MailSeq of the load that the commit builds on.
	MailSeen int64
	// Fence, when not zero, is the claim under which the commit is made (K23).
	Fence int64
	// Owner, when not empty, claims the run with this very commit, which leaves it
	// running, for a worker that is alive: the claim's number is one more than Stored.Fence of the load
	// that the commit builds on. Claimed is that number; when it does not follow the run's last claim,
	// the commit fails with ErrConflict. A claim that lasts ends. Fence is zero then. Both
	// count only when the commit leaves the run running.
	Owner   string
	Claimed int64
	// Delete removes the run at Expect and all that is kept of it, the ids of
	// messages sent to it included, instead of adding records; there are none then. It does
	// nothing when there is no such run. The caller has seen at Expect that the run has ended.
	Delete bool
	// Sealer, when not nil, seals what a Sealing store keeps of the run; its records
	// are sealed already. It is nothing to other stores.
	Sealer Sealer
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
	// Mail are the messages not yet taken that the run can take: those to it and
	// those to a key whose Key matches one of its open waits, and those to it with key
	// "cancel:<its id>". Those of one mailbox come in the order in which they were sent.
	Mail []Message
	// MailMore says that there are more than are given; at least 100 are given then.
	MailMore bool
	// MailSeq counts the times that the run was told of mail.
	MailSeq int64
	// Fence is the number of the run's last claim; 0 before the first.
	Fence int64
	// Sealer is for what is recorded next, when the run is encrypted; a Sealing
	// store sets it. Locked, then, is why the content given could not be opened.
	Sealer Sealer
	Locked error
}

// Message is something sent to a mailbox. Each has one taker, and is kept until then.
//
// A store tells a run of mail, by raising its Stored.MailSeq, when a message is
// sent to it, when one is sent to a key that matches one of its open waits, and when
// a commit opens a wait whose key matches a message that is kept for its key or the run. A wait's key
// matches when it equals the message's, or ends in ":*" and the message's begins with
// what is before the star. A message that is taken by the commit that sends it (Commit.Took) tells nobody.
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
	// Until, when not zero, keeps a broadcast for later waits: a commit that opens
	// one on its key with Wait.Since not zero and at or before At gets its copy, when
	// the commit's Info.UpdatedAt is before Until. Several come in the order of At.
	Until time.Time `json:"until,omitzero"`
}

// RunQuery selects runs. Zero fields do not restrict.
type RunQuery struct {
	Status   Status
	Workflow string
	Session  string
	Parent   string
	Root     string // the tree that began with that run
	Origin   string // those forked from that run
	// Labels are names and values that a run has, all of them.
	Labels map[string]string
	// Waiting selects runs that have an open wait of the kind.
	Waiting  WaitKind
	SetAside bool // only those set aside
	// CreatedFrom and UpdatedFrom are the first moment, CreatedTo and UpdatedTo the first after the last.
	CreatedFrom, CreatedTo, UpdatedFrom, UpdatedTo time.Time
	// WakeBefore selects waiting and running runs with a timer due at or before it, earliest
	// first in place of any other order.
	WakeBefore time.Time
	Order      RunOrder
	Limit      int    // at most this many. Defaults to 100, at most 1000.
	Cursor     string // from RunPage.Next, for the same query
}

// RunOrder is the order of a listing of runs; ties are in the order of their ids, in the same direction.
type RunOrder string

// The orders. A run that changes while the pages of a listing by change are read may
// be missing from later pages, or come again.
const (
	OrderCreated   RunOrder = ""            // the newest first
	OrderOldest    RunOrder = "created_asc" // the oldest first
	OrderUpdated   RunOrder = "updated"     // those that changed last first
	OrderUnchanged RunOrder = "updated_asc" // those that have not changed for longest first
)

// Ascending reports whether an order is from early to late.
func (o RunOrder) Ascending() bool { return o == OrderOldest || o == OrderUnchanged }

// ByChange reports whether an order is by the time of the last change, not by that of the creation.
func (o RunOrder) ByChange() bool { return o == OrderUpdated || o == OrderUnchanged }

// Place is where a run stands in a listing in the order: the cursor of a page that ends with it.
func (o RunOrder) Place(run *RunInfo) Cursor {
	if o.ByChange() {
		return Cursor{At: run.UpdatedAt, ID: run.ID}
	}
	return Cursor{At: run.CreatedAt, ID: run.ID}
}

// Check fails with ErrInvalidInput when there is no such order.
func (o RunOrder) Check() error {
	switch o {
	case OrderCreated, OrderOldest, OrderUpdated, OrderUnchanged:
		return nil
	}
	return Errorf(CodeInvalidInput, "runs cannot be listed in the order %q, only in %q, %q, %q or none", o, OrderOldest, OrderUpdated, OrderUnchanged)
}

// RunPage is one page of a listing.
type RunPage struct {
	Runs []RunInfo
	Next string // cursor of the next page; empty at the end
}

// WaitQuery selects open waits. Zero fields do not restrict.
type WaitQuery struct {
	Kinds  []WaitKind
	Key    string
	Run    string
	Root   string // of that run and all below it
	Limit  int    // as in RunQuery
	Cursor string // as in RunQuery
}

// WaitPage is one page of open waits.
type WaitPage struct {
	Waits []Wait
	Next  string
}

// FeedQuery selects from the feed of all records.
type FeedQuery struct {
	// After is a position of the feed: what follows it is wanted. 0 is the
	// beginning, FeedEnd the end as it is now.
	After int64
	Root  string // only records of that run and all below it; empty for all
	Limit int    // look at about this many records at most. Defaults to 100, at most 1000.
}

// FeedEnd as FeedQuery.After gives no records and the position of the end.
const FeedEnd int64 = -1

// FeedPage is a part of the feed.
type FeedPage struct {
	Records []FeedRecord
	// Next is the position up to which was looked, to go on from. It is beyond that of
	// the last record when others followed that are not of Root.
	Next int64
	// More says that there is more to look at now.
	More bool
}

// FeedRecord is a record in the feed.
type FeedRecord struct {
	Pos   int64  // its position; they grow, not by one
	RunID string // whose record it is: the text does not say
	Body  []byte // its stored text
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
