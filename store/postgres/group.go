package postgres

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/bide-dev/bide"
)

// Statements that check for the messages that their commits take, and those
// that need not.
var (
	sqlAdvanceAll  = sqlAdvance + sqlAdvanceRecords
	sqlAdvanceTook = sqlAdvance + " AND" + fmt.Sprintf(sqlAllThere, 20, 21, 22) + sqlAdvanceRecords
	sqlCreateAll   = sqlCreate + sqlCreateRecords
	sqlCreateTook  = sqlCreate + " AND" + fmt.Sprintf(sqlAllThere, 25, 26, 27) + sqlCreateRecords
)

// group is commits on their way to the server, as the columns of its statements.
type group struct {
	txn     int64
	entries []*entry // sorted by run, as are all rows: locks are taken in one order

	moved, begun, children runColumns
	deleted                struct {
		id         []string
		seq, fence []int64
		head       [][]byte
	}
	took     tookColumns
	closed   struct{ run, wait []string }
	opened   waitColumns
	commands struct {
		run, id []string
		print   [][]byte
		seq     []int64
	}
	snapshots struct {
		run  []string
		seq  []int64
		body [][]byte
	}
	listening []letter // waits on keys, by run and id
	sent      messageColumns
	copied    messageColumns
	wide      struct { // the keys of waits that each broadcast matches
		ord []int32
		key []string
	}
}

// runColumns are rows of runs and their records.
type runColumns struct {
	by, id                              []string
	fromSeq, fence, seq, wake, step     []int64
	fromHead, head                      [][]byte
	status, node, version, definition   []string
	updated, ended, mailSeen, created   []int64
	workflow, key, session, actor, from []string
	labels                              []*string
	recordRun                           []string
	recordSeq                           []int64
	recordBody                          []string
}

type tookColumns struct{ run, mailbox, id []string }

type waitColumns struct {
	run, id, kind, key []string
	created            []int64
	body               []string
	mailbox, end       []*string
}

type messageColumns struct {
	run, mailbox, id, key []string
	payload               []*string
	at                    []int64
	ord                   []int32
}

// newGroup lays out commits. A commit of which it is certain that it cannot be
// applied, or not as it is, takes no part: it is answered like one that the server refused.
func newGroup(txn int64, entries []*entry) *group {
	slices.SortStableFunc(entries, func(a, b *entry) int { return cmp.Compare(a.run.id, b.run.id) })
	g := &group{txn: txn, entries: entries}
	var children []child
	var sends []message
	for _, e := range entries {
		switch {
		case e.missing != "" || e.run.id != "" && e.begins() && e.fence != 0:
			continue
		case e.run.id == "":
		case e.delete:
			d := &g.deleted
			d.id, d.seq, d.head, d.fence = append(d.id, e.run.id), append(d.seq, e.expect.Seq), append(d.head, e.expect.Head[:]), append(d.fence, e.fence)
			continue
		case e.begins():
			g.begun.create("", &e.run)
		default:
			g.moved.advance(e)
		}
		for _, l := range e.took {
			g.took.add(e.run.id, l) // sqlLockMail sorts them
		}
		if e.run.id != "" {
			g.rest(&e.run)
			g.listen(&e.run)
		}
		for i := range e.children {
			children = append(children, child{e.run.id, &e.children[i]})
		}
		for i := range e.sends {
			sends = append(sends, message{e.run.id, &e.sends[i], int32(len(sends))})
		}
	}
	slices.SortFunc(children, func(a, b child) int { return cmp.Compare(a.id, b.id) })
	for _, c := range children {
		g.children.create(c.by, c.runRow)
		g.rest(c.runRow)
	}
	slices.SortFunc(sends, func(a, b message) int { return a.compare(b.letter) })
	for _, m := range sends {
		g.send(m)
	}
	return g
}

// child is a run that the commit of another run begins.
type child struct {
	by string
	*runRow
}

// message is one to send, by the commit of a run, and its place in the group.
type message struct {
	by string
	*messageRow
	ord int32
}

func (c *runColumns) add(r *runRow) {
	i := &r.info
	c.id = append(c.id, r.id)
	c.seq, c.head = append(c.seq, i.Seq), append(c.head, i.Head[:])
	c.status, c.wake = append(c.status, string(i.Status)), append(c.wake, micros(i.WakeAt))
	c.node, c.step = append(c.node, i.Node), append(c.step, i.Step)
	c.version, c.definition = append(c.version, i.Version), append(c.definition, i.Definition)
	c.updated, c.ended = append(c.updated, i.UpdatedAt.UnixMicro()), append(c.ended, micros(i.EndedAt))
	c.mailSeen = append(c.mailSeen, r.mailSeen)
	for k := range r.records {
		rec := &r.records[k]
		c.recordRun, c.recordSeq, c.recordBody = append(c.recordRun, r.id), append(c.recordSeq, rec.Seq), append(c.recordBody, string(rec.Raw))
	}
}

// advance adds a run that is there.
func (c *runColumns) advance(e *entry) {
	c.add(&e.run)
	c.fromSeq, c.fromHead, c.fence = append(c.fromSeq, e.expect.Seq), append(c.fromHead, e.expect.Head[:]), append(c.fence, e.fence)
}

// create adds a run that is not there yet; by is the run whose commit begins it, if not its own.
func (c *runColumns) create(by string, r *runRow) {
	c.add(r)
	i := &r.info
	c.by, c.workflow, c.key = append(c.by, by), append(c.workflow, i.Workflow), append(c.key, i.Key)
	c.session, c.actor, c.from = append(c.session, i.Session), append(c.actor, i.Actor), append(c.from, i.Parent)
	c.labels, c.created = append(c.labels, r.labels), append(c.created, i.CreatedAt.UnixMicro())
}

func (c *tookColumns) add(run string, l letter) {
	c.run, c.mailbox, c.id = append(c.run, run), append(c.mailbox, l.mailbox), append(c.id, l.id)
}

// rest adds what most commits do not have.
func (g *group) rest(r *runRow) {
	for _, id := range r.closed {
		g.closed.run, g.closed.wait = append(g.closed.run, r.id), append(g.closed.wait, id)
	}
	for i := range r.opened {
		w, c := &r.opened[i], &g.opened
		first, end := mailboxes(w.key)
		c.run, c.id, c.kind, c.key = append(c.run, r.id), append(c.id, w.id), append(c.kind, w.kind), append(c.key, w.key)
		c.created, c.body = append(c.created, w.created), append(c.body, w.body)
		c.mailbox, c.end = append(c.mailbox, first), append(c.end, end)
	}
	if r.command != nil {
		c := &g.commands
		c.run, c.id, c.print, c.seq = append(c.run, r.id), append(c.id, r.command.ID), append(c.print, r.command.Fingerprint[:]), append(c.seq, r.command.Seq)
	}
	if r.snapshot != nil {
		c := &g.snapshots
		c.run, c.seq, c.body = append(c.run, r.id), append(c.seq, r.info.Seq), append(c.body, r.snapshot)
	}
}

// listen notes the waits on keys that a commit opens: messages may be there already.
func (g *group) listen(r *runRow) {
	for i := range r.opened {
		if w := &r.opened[i]; w.key != "" {
			g.listening = append(g.listening, letter{r.id, w.id})
		}
	}
}

func (g *group) send(m message) {
	c := &g.sent
	if m.copies {
		c = &g.copied
		for _, key := range m.keys {
			g.wide.ord, g.wide.key = append(g.wide.ord, m.ord), append(g.wide.key, key)
		}
	}
	c.run, c.mailbox, c.id, c.key = append(c.run, m.by), append(c.mailbox, m.mailbox), append(c.id, m.id), append(c.key, m.key)
	c.payload, c.at, c.ord = append(c.payload, m.payload), append(c.at, m.at), append(c.ord, m.ord)
}

// applied is what the server did with a group.
type applied struct {
	runs    map[string]bool // the runs that were moved or begun
	letters []letter        // the messages that were not there before
	look    bool            // another worker may find something to do
}

// queue adds the statements of the group to a batch, which makes them one
// transaction and one round trip; most groups need a single statement.
func (g *group) queue(b *pgx.Batch) *applied {
	out := &applied{runs: make(map[string]bool, len(g.entries))}
	won := func(rows pgx.Rows) error {
		var id string
		var look bool
		_, err := pgx.ForEachRow(rows, []any{&id, &look}, func() error {
			out.runs[id] = true
			out.look = out.look || look
			return nil
		})
		return err
	}
	exec := func(rows int, sql string, args ...any) {
		if rows > 0 {
			b.Queue(sql, append([]any{g.txn}, args...)...)
		}
	}
	advance, create, took := sqlAdvanceAll, sqlCreateAll, []any(nil)
	if t := &g.took; len(t.id) > 0 {
		advance, create, took = sqlAdvanceTook, sqlCreateTook, []any{t.run, t.mailbox, t.id}
		b.Queue(sqlLockMail, t.mailbox, t.id)
	}
	if len(g.moved.id) > 0 {
		b.Queue(advance, append(g.moved.advanceArgs(g.txn), took...)...).Query(won)
	}
	if len(g.begun.id) > 0 {
		b.Queue(create, append(g.begun.createArgs(g.txn), took...)...).Query(won)
	}
	if len(g.children.id) > 0 {
		b.Queue(sqlCreateAll, g.children.createArgs(g.txn)...).Query(won)
	}
	if d := &g.deleted; len(d.id) > 0 {
		b.Queue(sqlDelete, d.id, d.seq, d.head, d.fence).Query(won)
	}
	exec(len(g.closed.run), sqlCloseWaits, g.closed.run, g.closed.wait)
	w := &g.opened
	exec(len(w.run), sqlOpenWaits, w.run, w.id, w.kind, w.key, w.created, w.body, w.mailbox, w.end)
	exec(len(g.commands.run), sqlPutCommands, g.commands.run, g.commands.id, g.commands.print, g.commands.seq)
	exec(len(g.snapshots.run), sqlPutSnapshots, g.snapshots.run, g.snapshots.seq, g.snapshots.body)
	exec(len(g.took.id), sqlTakeMail, g.took.run, g.took.mailbox, g.took.id)
	sent := func(rows pgx.Rows) error {
		var l letter
		_, err := pgx.ForEachRow(rows, []any{&l.mailbox, &l.id}, func() error {
			out.letters = append(out.letters, l)
			return nil
		})
		return err
	}
	if m := &g.sent; len(m.id) > 0 {
		b.Queue(sqlSend, g.txn, m.run, m.mailbox, m.id, m.key, m.payload, m.at, m.ord).Query(sent)
	}
	if m := &g.copied; len(m.id) > 0 {
		b.Queue(sqlCopy, g.txn, m.run, m.id, m.key, m.payload, m.at, m.ord, g.wide.ord, g.wide.key).Query(sent)
	}
	return out
}

func (c *runColumns) advanceArgs(txn int64) []any {
	return []any{txn, c.id, c.fromSeq, c.fromHead, c.fence, c.seq, c.head, c.status, c.wake, c.node, c.step, c.version, c.definition,
		c.updated, c.ended, c.mailSeen, c.recordRun, c.recordSeq, c.recordBody}
}

func (c *runColumns) createArgs(txn int64) []any {
	return []any{txn, c.by, c.id, c.seq, c.head, c.status, c.wake, c.node, c.step, c.version, c.definition, c.updated, c.ended, c.mailSeen,
		c.workflow, c.key, c.session, c.actor, c.from, c.labels, c.created, c.recordRun, c.recordSeq, c.recordBody}
}

// place is where the run of a refused commit is now.
type place struct {
	bide.Position
	fence int64
	owner string
	// record is the hash of what stands where the commit's last record would. It
	// is only known of a commit that was sent before.
	record bide.Hash
}

// decide says what became of a commit that was not applied, by where its run is
// now. It returns false when there is no reason why it should not be applied.
func (e *entry) decide(p place) (outcome error, decided bool) {
	switch at := p.Position; {
	case e.delete && at.Seq == 0, !e.delete && at == e.run.info.Position():
		return nil, true // sent again
	case !e.delete && e.tries > 1 && p.record == e.run.info.Head:
		return nil, true // applied by an attempt before, and others went on from there
	case at != e.expect:
		return &bide.Error{Code: bide.CodeConflict, Run: e.run.id,
			Message: fmt.Sprintf("run %s is at record %d, and not where the commit expects it, at record %d", e.run.id, at.Seq, e.expect.Seq)}, true
	case e.fence != 0 && e.fence != p.fence:
		return &bide.Error{Code: bide.CodeFenced, Run: e.run.id, Message: fmt.Sprintf("run %s was claimed by %s since", e.run.id, p.owner)}, true
	case e.missing != "":
		return &bide.Error{Code: bide.CodeConflict, Run: e.run.id, Message: fmt.Sprintf("message %s is in no mailbox of run %s, or was taken", e.missing, e.run.id)}, true
	case len(e.took) > 0:
		return &bide.Error{Code: bide.CodeConflict, Run: e.run.id, Message: fmt.Sprintf("a message that run %s takes was taken by another run", e.run.id)}, true
	}
	return nil, false
}
