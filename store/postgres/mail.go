package postgres

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// Telling runs of mail.
//
// A message and a wait that it matches may be committed at the same time by two
// transactions, neither of which sees what the other one writes. So runs are told in a
// transaction of its own, after theirs and before the callers learn of it, and from both
// sides: that of the message looks for waits, that of the wait looks for messages. Whichever comes
// second sees what the other one committed. Both may see each other; then the run is
// told twice, which costs it a look at its mail.
//
// The same holds for broadcasts that are kept and waits that take their copies.
//
// When a process dies between the two transactions, the message is still marked
// as one of which nobody was told, and the wait as one for which nobody looked: the sweep finds them.
const (
	// Loss of power may undo it: then the sweep does it again.
	sqlHasty = `SET LOCAL synchronous_commit = off`

	// Marks messages by primary key and counts them in the runs concerned: by
	// primary key those that they are to, by the index waits_key those with matching waits.
	sqlTell = `WITH told AS (
		UPDATE mail AS m SET told = true FROM unnest($1::text[], $2::text[]) AS i (mailbox, id)
		WHERE m.mailbox = i.mailbox AND m.id = i.id AND m.told IS NOT TRUE RETURNING m.mailbox, m.id
	), concerned AS (
		SELECT run_id, count(*) AS n FROM (
			SELECT mailbox AS run_id, mailbox, id FROM told WHERE mailbox NOT LIKE '/%'
			UNION
			SELECT w.run_id, t.mailbox, t.id FROM told AS t JOIN unnest($3::text[], $4::text[]) AS k (mailbox, wait_key) ON k.mailbox = t.mailbox
			JOIN waits AS w ON w.wait_key = k.wait_key AND w.wait_key <> ''
		) AS each GROUP BY run_id ORDER BY run_id
	) UPDATE runs AS r SET mail_seq = r.mail_seq + c.n` + sqlReadyAt + ` FROM concerned AS c WHERE r.run_id = c.run_id`

	// A run that waits and was told of mail can proceed.
	sqlReadyAt = `, ready_at = CASE WHEN r.status = 'waiting' AND NOT r.owned AND r.set_aside = '' THEN r.updated_at ELSE r.ready_at END`

	// The index mail_untold serves it.
	sqlUntold = `SELECT mailbox, id FROM mail WHERE NOT told AND sent_at < ` + sqlServerTime + ` - $1::bigint ORDER BY sent_at LIMIT $2`

	// The index waits_unlooked serves it; it holds the waits that the sweep has not seen yet.
	sqlUnlooked = `SELECT run_id, wait_id FROM waits WHERE NOT looked AND opened_at < ` + sqlServerTime + ` - $1::bigint ORDER BY opened_at LIMIT $2`

	// By primary key.
	sqlLockRuns = `SELECT run_id FROM runs WHERE run_id = ANY($1::text[]) ORDER BY run_id FOR UPDATE`

	// Marks waits by primary key, and tells the runs that have mail on them, theirs
	// or the key's: by the index mail_waiting. Messages of the same group, which sqlTell counts, are left out.
	sqlLook = `WITH looked AS (
		UPDATE waits AS w SET looked = true FROM unnest($1::text[], $2::text[]) AS i (run_id, wait_id)
		WHERE w.run_id = i.run_id AND w.wait_id = i.wait_id AND w.looked IS NOT TRUE RETURNING w.run_id, w.mailbox, w.mailbox_end
	), concerned AS (
		SELECT DISTINCT l.run_id FROM looked AS l WHERE CASE
			WHEN l.mailbox_end IS NULL THEN EXISTS (SELECT 1 FROM mail AS m WHERE m.mailbox = l.mailbox AND NOT m.taken` + sqlNotOurs + `)
				OR EXISTS (SELECT 1 FROM mail AS m WHERE m.mailbox = l.run_id AND m.mail_key COLLATE "C" = substr(l.mailbox, 2) AND NOT m.taken` + sqlNotOurs + `)
			ELSE EXISTS (SELECT 1 FROM mail AS m WHERE m.mailbox >= l.mailbox AND m.mailbox < l.mailbox_end AND NOT m.taken` + sqlNotOurs + `)
				OR EXISTS (SELECT 1 FROM mail AS m WHERE m.mailbox = l.run_id AND m.mail_key COLLATE "C" >= substr(l.mailbox, 2)
					AND m.mail_key COLLATE "C" < substr(l.mailbox_end, 2) AND NOT m.taken` + sqlNotOurs + `)
		END ORDER BY l.run_id
	) UPDATE runs AS r SET mail_seq = r.mail_seq + 1` + sqlReadyAt + ` FROM concerned AS c WHERE r.run_id = c.run_id`
	sqlNotOurs = ` AND NOT EXISTS (SELECT 1 FROM unnest($3::text[], $4::text[]) AS o (mailbox, id) WHERE o.mailbox = m.mailbox AND o.id = m.id)`

	// The messages with given ids in the mailboxes of a run: its own and those of
	// its waits. By the primary keys of mail and waits; for waits on many keys by mail_waiting.
	sqlFindTook = `SELECT m.mailbox, m.id, m.sent_at, m.ord FROM mail AS m WHERE m.mailbox = $1 AND m.id = ANY($2::text[]) AND m.taken IS NOT TRUE
		UNION
		SELECT m.mailbox, m.id, m.sent_at, m.ord FROM waits AS w JOIN mail AS m ON m.mailbox = w.mailbox
		WHERE w.run_id = $1 AND w.mailbox_end IS NULL AND m.id = ANY($2::text[]) AND m.taken IS NOT TRUE
		UNION
		SELECT m.mailbox, m.id, m.sent_at, m.ord FROM waits AS w JOIN mail AS m ON m.mailbox >= w.mailbox AND m.mailbox < w.mailbox_end
		WHERE w.run_id = $1 AND m.id = ANY($2::text[]) AND NOT m.taken
		ORDER BY sent_at, ord, mailbox`
)

// news is what runs may have to be told of.
type news struct {
	messages []letter
	waits    []letter // on keys, by run and id
	catching []letter // those of them that take what is kept
	kept     []letter // broadcasts
}

func (n *news) size() int { return len(n.messages) + len(n.waits) + len(n.kept) }

// queueTell adds transactions that tell runs of messages that are there already
// for waits, and of messages; both are marked as done. Locks are taken in the order of
// commits, so that nobody waits in a circle: messages, then runs by id, then waits.
func queueTell(b *pgx.Batch, n news) {
	slices.SortFunc(n.messages, letter.compare)
	slices.SortFunc(n.kept, letter.compare)
	mailbox, id := split(n.messages)
	if len(n.waits) > 0 {
		run, wait := split(n.waits)
		b.Queue("BEGIN")
		b.Queue(sqlHasty)
		if len(n.catching) > 0 {
			run, wait := split(n.catching)
			b.Queue(sqlCopyLate, run, wait, true)
		}
		b.Queue(sqlLockRuns, run)
		b.Queue(sqlLook, run, wait, mailbox, id)
		b.Queue("COMMIT")
	}
	if len(n.messages) > 0 {
		keyed, key := matching(mailbox)
		b.Queue("BEGIN")
		b.Queue(sqlHasty)
		b.Queue(sqlTell, mailbox, id, keyed, key)
		b.Queue("COMMIT")
	}
	if len(n.kept) > 0 {
		mailbox, id := split(n.kept)
		keyed, key := matching(mailbox)
		b.Queue("BEGIN")
		b.Queue(sqlHasty)
		b.Queue(sqlCopyAgain, mailbox, id, keyed, key)
		b.Queue("COMMIT")
	}
}

// matching pairs the mailboxes of keys, which are sorted, with the keys of waits that they match.
func matching(mailboxes []string) (keyed, key []string) {
	for _, box := range slices.Compact(slices.Clone(mailboxes)) {
		if name, ok := strings.CutPrefix(box, "/"); ok {
			for _, k := range waitKeys(name) {
				keyed, key = append(keyed, box), append(key, k)
			}
		}
	}
	return keyed, key
}

func split(letters []letter) (mailbox, id []string) {
	for _, l := range letters {
		mailbox, id = append(mailbox, l.mailbox), append(id, l.id)
	}
	return mailbox, id
}

// findTook finds the mailboxes of the messages that a commit takes. It is done
// by the caller, beside the commits of others; that the messages are still there is checked by the commit itself.
func (s *Store) findTook(ctx context.Context, e *entry, ids []string) error {
	if e.run.id == "" {
		return nil
	}
	if ids = e.takeSent(ids); len(ids) == 0 {
		return nil
	}
	letters, err := collect(ctx, s, "find messages", rowToFound, sqlFindTook, e.run.id, ids)
	for wait := firstPause; isUnreachable(err) && time.Now().Before(e.until); wait = min(2*wait, lastPause) {
		if err = pause(ctx, wait, nil); err != nil {
			return err
		}
		letters, err = collect(ctx, s, "find messages", rowToFound, sqlFindTook, e.run.id, ids)
	}
	if err != nil {
		return err
	}
	found := map[string]bool{}
	for _, l := range letters {
		if !found[l.id] { // of several with one id, the one that was sent first
			e.take(tookRow{letter: l})
		}
		found[l.id] = true
	}
	for _, id := range ids {
		if !found[id] {
			e.missing = id
		}
	}
	return nil
}

func rowToFound(row pgx.CollectableRow) (l letter, err error) {
	return l, row.Scan(&l.mailbox, &l.id, nil, nil)
}

func rowToLetter(row pgx.CollectableRow) (l letter, err error) {
	return l, row.Scan(&l.mailbox, &l.id)
}
