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
	sqlAdvanceAll  = sqlAdvance + fmt.Sprintf(sqlAdvanceRest, 0)
	sqlAdvanceTook = sqlAdvance + " AND" + fmt.Sprintf(sqlAllThere, 23, 24, 25, 26) + fmt.Sprintf(sqlAdvanceRest, 0)
	sqlCreateAll   = sqlCreate + fmt.Sprintf(sqlCreateRest, 1)
	sqlCreateTook  = sqlCreate + " AND" + fmt.Sprintf(sqlAllThere, 31, 32, 33, 34) + fmt.Sprintf(sqlCreateRest, 1)
	sqlCreateChild = sqlCreate + fmt.Sprintf(sqlCreateRest, 2) // what children do comes after what starts them
)

// group is commits on their way to the server, as the columns of its statements.
type group struct {
	txn     int64
	after   int64    // the time of a commit that it follows, if the server's clock may be behind
	since   int64    // a position that the feed has passed
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
	labels    struct{ run, label []string }
	owners    []string // that commits claim runs for
	listening []letter // waits on keys, by run and id
	catching  []letter // those of them that take what is kept
	sent      messageColumns
	taken     messageColumns
	copied    messageColumns
	kept      messageColumns
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
	owner                               []string
	claimed                             []int64
	workflow, key, session, actor, from []string
	root, origin                        []string
	labels                              []*string
	recordRun                           []string
	recordSeq                           []int64
	recordBody                          [][]byte
}

type tookColumns struct {
	run, mailbox, id []string
	sent             []bool
}

type waitColumns struct {
	run, id, kind, key     []string
	created, since, moment []int64
	body                   []string
	mailbox, end           []*string
}

type messageColumns struct {
	run, mailbox, id, key []string
	payload               []*string
	at, until             []int64
	ord                   []int32
}

// newGroup lays out commits. A commit of which it is certain that it cannot be
// applied, or not as it is, takes no part: it is answered like one that the server refused.
func newGroup(txn, since int64, entries []*entry) *group {
	slices.SortStableFunc(entries, func(a, b *entry) int { return cmp.Compare(a.run.id, b.run.id) })
	g := &group{txn: txn, since: since, entries: entries}
	var children []child
	var sends []message
	for _, e := range entries {
		g.after = max(g.after, e.after)
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
		for _, t := range e.took {
			g.took.add(e.run.id, t) // sqlLockMail sorts them
		}
		if e.run.id != "" {
			g.rest(&e.run)
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
	c.owner, c.claimed = append(c.owner, r.owner), append(c.claimed, r.claimed)
	for k := range r.records {
		rec := &r.records[k]
		c.recordRun, c.recordSeq, c.recordBody = append(c.recordRun, r.id), append(c.recordSeq, rec.Seq), append(c.recordBody, rec.Raw)
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
	c.root, c.origin = append(c.root, i.Root), append(c.origin, i.Origin)
	c.labels, c.created = append(c.labels, r.labels), append(c.created, i.CreatedAt.UnixMicro())
}

func (c *tookColumns) add(run string, t tookRow) {
	c.run, c.mailbox, c.id, c.sent = append(c.run, run), append(c.mailbox, t.mailbox), append(c.id, t.id), append(c.sent, t.sent)
}

// rest adds what most commits do not have.
func (g *group) rest(r *runRow) {
	g.listen(r)
	for _, id := range r.closed {
		g.closed.run, g.closed.wait = append(g.closed.run, r.id), append(g.closed.wait, id)
	}
	for i := range r.opened {
		w, c := &r.opened[i], &g.opened
		first, end := mailboxes(w.key)
		c.run, c.id, c.kind, c.key = append(c.run, r.id), append(c.id, w.id), append(c.kind, w.kind), append(c.key, w.key)
		c.created, c.since, c.moment, c.body = append(c.created, w.created), append(c.since, w.since), append(c.moment, w.moment), append(c.body, w.body)
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
	for _, label := range r.named {
		g.labels.run, g.labels.label = append(g.labels.run, r.id), append(g.labels.label, label)
	}
	if r.owner != "" && !slices.Contains(g.owners, r.owner) {
		g.owners = append(g.owners, r.owner)
	}
}

// listen notes the waits on keys that a commit opens: messages may be there already.
func (g *group) listen(r *runRow) {
	for i := range r.opened {
		w := &r.opened[i]
		if w.key != "" {
			g.listening = append(g.listening, letter{r.id, w.id})
		}
		if w.key != "" && w.since != never {
			g.catching = append(g.catching, letter{r.id, w.id})
		}
	}
}

func (g *group) send(m message) {
	switch {
	case m.taken:
		g.taken.add(m)
	case m.copies:
		g.copied.add(m)
		for _, key := range m.keys {
			g.wide.ord, g.wide.key = append(g.wide.ord, m.ord), append(g.wide.key, key)
		}
		if m.until != never {
			g.kept.add(m)
		}
	default:
		g.sent.add(m)
	}
}

func (c *messageColumns) add(m message) {
	c.run, c.mailbox, c.id, c.key = append(c.run, m.by), append(c.mailbox, m.mailbox), append(c.id, m.id), append(c.key, m.key)
	c.payload, c.at, c.until, c.ord = append(c.payload, m.payload), append(c.at, m.at), append(c.until, m.until), append(c.ord, m.ord)
}

// applied is what the server did with a group.
type applied struct {
	runs    map[string]bool // the runs that were moved or begun
	letters []letter        // the messages that were not there before
	kept    []letter        // the broadcasts that are kept from now on
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
		advance, create, took = sqlAdvanceTook, sqlCreateTook, []any{t.run, t.mailbox, t.id, t.sent}
		b.Queue(sqlLockMail, t.mailbox, t.id)
	}
	if len(g.moved.id) > 0 {
		b.Queue(advance, append(g.moved.advanceArgs(g.txn, g.after+1), took...)...).Query(won)
	}
	if len(g.begun.id) > 0 {
		b.Queue(create, append(g.begun.createArgs(g.txn, g.after+1, g.since), took...)...).Query(won)
	}
	if len(g.children.id) > 0 {
		b.Queue(sqlCreateChild, g.children.createArgs(g.txn, g.after+1, g.since)...).Query(won)
	}
	if d := &g.deleted; len(d.id) > 0 {
		b.Queue(sqlDelete, d.id, d.seq, d.head, d.fence).Query(won)
	}
	exec(len(g.closed.run), sqlCloseWaits, g.closed.run, g.closed.wait)
	w := &g.opened
	exec(len(w.run), sqlOpenWaits, w.run, w.id, w.kind, w.key, w.created, w.body, w.mailbox, w.end, w.since, w.moment)
	exec(len(g.commands.run), sqlPutCommands, g.commands.run, g.commands.id, g.commands.print, g.commands.seq)
	exec(len(g.snapshots.run), sqlPutSnapshots, g.snapshots.run, g.snapshots.seq, g.snapshots.body)
	exec(len(g.labels.run), sqlPutLabels, g.labels.run, g.labels.label)
	exec(len(g.took.id), sqlTakeMail, g.took.run, g.took.mailbox, g.took.id)
	g.queueMail(b, out)
	return out
}

// queueMail adds the statements for messages; few groups have any.
func (g *group) queueMail(b *pgx.Batch, out *applied) {
	into := func(letters *[]letter) func(pgx.Rows) error {
		return func(rows pgx.Rows) error {
			var l letter
			_, err := pgx.ForEachRow(rows, []any{&l.mailbox, &l.id}, func() error {
				*letters = append(*letters, l)
				return nil
			})
			return err
		}
	}
	if len(g.catching) > 0 {
		run, wait := split(g.catching)
		b.Queue(sqlCopyKept, run, wait, false).Query(into(&out.letters))
	}
	if m := &g.taken; len(m.id) > 0 {
		b.Queue(sqlSendTaken, g.txn, m.run, m.mailbox, m.id, m.key, m.at, m.ord)
	}
	if m := &g.sent; len(m.id) > 0 {
		b.Queue(sqlSend, g.txn, m.run, m.mailbox, m.id, m.key, m.payload, m.at, m.ord).Query(into(&out.letters))
	}
	if m := &g.copied; len(m.id) > 0 {
		b.Queue(sqlCopy, g.txn, m.run, m.id, m.key, m.payload, m.at, m.ord, g.wide.ord, g.wide.key).Query(into(&out.letters))
	}
	if m := &g.kept; len(m.id) > 0 {
		b.Queue(sqlUnkeep, m.mailbox, m.id, m.at)
		b.Queue(sqlKeep, g.txn, m.run, m.mailbox, m.id, m.key, m.payload, m.at, m.until, m.ord).Query(into(&out.kept))
	}
}

func (c *runColumns) advanceArgs(txn, at int64) []any {
	return []any{txn, c.recordRun, c.recordSeq, c.recordBody, at, c.id, c.fromSeq, c.fromHead, c.fence, c.seq, c.head, c.status, c.wake, c.node, c.step,
		c.version, c.definition, c.updated, c.ended, c.mailSeen, c.owner, c.claimed}
}

func (c *runColumns) createArgs(txn, at, since int64) []any {
	return []any{txn, c.recordRun, c.recordSeq, c.recordBody, at, since, c.by, c.id, c.seq, c.head, c.status, c.wake, c.node, c.step,
		c.version, c.definition, c.updated, c.ended, c.mailSeen, c.owner, c.claimed,
		c.workflow, c.key, c.session, c.actor, c.from, c.root, c.origin, c.labels, c.created}
}

// place is where the run of a refused commit is now.
type place struct {
	bide.Position
	fence int64
	owner string
	at    int64 // of the run's last commit, in the feed
	// record is the hash of what stands where the commit's last record would. It
	// is only known of a commit that was sent before.
	record bide.Hash
}

// decide says what became of a commit that was not applied, by where its run is
// now. It returns false when there is no reason why it should not be applied.
func (e *entry) decide(p place) (outcome error, decided bool) {
	e.after = p.at
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
	case e.run.claims() && e.run.claimed != p.fence+1:
		return &bide.Error{Code: bide.CodeConflict, Run: e.run.id,
			Message: fmt.Sprintf("the last claim of run %s, by %s, is number %d, and the commit makes number %d", e.run.id, p.owner, p.fence, e.run.claimed)}, true
	case e.missing != "":
		return &bide.Error{Code: bide.CodeConflict, Run: e.run.id, Message: fmt.Sprintf("message %s is in no mailbox of run %s, or was taken", e.missing, e.run.id)}, true
	case len(e.took) > 0:
		return &bide.Error{Code: bide.CodeConflict, Run: e.run.id, Message: fmt.Sprintf("a message that run %s takes was taken by another run, or sent before", e.run.id)}, true
	}
	return nil, false
}
