package postgres

// The statements of a group of commits. Each takes the rows of the whole group
// as arrays, sorted by run, so that groups lock rows in the same order. $1 is the
// number of the group: from sqlAdvance and sqlCreate on, a commit that was applied is known by it.
//
// Here and elsewhere, "taken IS NOT TRUE" is what "NOT taken" would be if the
// planner did not then prefer a partial index to the primary key; and "(x IN (SELECT
// ...)) IS TRUE" looks x up in a hash table, where a join of two lists would compare all with all.
const (
	// Locks the messages to take, so that what the next statements see of them holds. By primary key.
	sqlLockMail = `SELECT m.id FROM unnest($1::text[], $2::text[]) AS t (mailbox, id)
		JOIN mail AS m ON m.mailbox = t.mailbox AND m.id = t.id WHERE m.taken IS NOT TRUE ORDER BY m.mailbox, m.id FOR UPDATE OF m`

	// All messages that commit i takes are there, and those that it sends itself were
	// not sent before. By the primary key of mail.
	sqlAllThere = ` (i.run_id IN (SELECT t.run_id FROM unnest($%d::text[], $%d::text[], $%d::text[], $%d::boolean[]) AS t (run_id, mailbox, id, sent)
		WHERE CASE WHEN t.sent THEN EXISTS (SELECT 1 FROM mail AS m WHERE m.mailbox = t.mailbox AND m.id = t.id)
			ELSE NOT EXISTS (SELECT 1 FROM mail AS m WHERE m.mailbox = t.mailbox AND m.id = t.id AND m.taken IS NOT TRUE) END)) IS NOT TRUE`

	// The records of the runs that were moved or begun. $2 to $4 are all records of the group, some of them
	// packed: a frame begins with the byte 40, and a record's text, which is an object, does not.
	sqlRecord = ` recorded AS (
		INSERT INTO ledger (run_id, seq, body, packed)
		SELECT l.run_id, l.seq, CASE WHEN get_byte(l.body, 0) = 40 THEN '' ELSE convert_from(l.body, 'UTF8') END, CASE WHEN get_byte(l.body, 0) = 40 THEN l.body END
		FROM unnest($2::text[], $3::bigint[], $4::bytea[]) AS l (run_id, seq, body)
		WHERE (l.run_id IN (SELECT c.run_id FROM changed AS c)) IS TRUE
	)`

	// Their place in the feed. %d is the part of the group. Its time is later than
	// those of the commits that it follows, and so are the rows in an order that all can go
	// by; $5 helps when the server's clock was set back.
	sqlFeedTime = `greatest(` + sqlServerTime + `, $5::bigint)`
	sqlFeedNew  = ` fed AS (
		INSERT INTO feed_new (at, txn, part, size, runs, borns, firsts, lasts)
		SELECT ` + sqlFeedTime + `, $1, %d, sum(c.fed - c.fed_before)::bigint, array_agg(c.run_id), array_agg(c.born), array_agg(c.fed_before + 1), array_agg(c.fed)
		FROM changed AS c HAVING count(*) > 0
	)`

	// Moves runs on by primary key, and appends the records of those that were
	// where their commits expect them. When nothing but the position changes, no
	// index is touched. The second column says whether somebody may want to look at the run.
	sqlAdvance = `WITH changed AS (
		UPDATE runs AS r SET seq = i.seq, head = i.head, status = i.status, wake_at = nullif(i.wake_at, -4611686018427387904),
			node = i.node, step = i.step, version = i.version, definition = i.definition,
			updated_at = i.updated_at, ended_at = nullif(i.ended_at, -4611686018427387904),
			mail_seen = greatest(r.mail_seen, i.mail_seen),
			owned = ` + sqlOwned + `,
			owner = CASE WHEN` + sqlClaiming + ` THEN i.owner ELSE r.owner END,
			fence = CASE WHEN` + sqlClaiming + ` THEN i.claimed ELSE r.fence END,
			claim_mail = CASE WHEN` + sqlClaiming + ` THEN i.mail_seen ELSE r.claim_mail END,
			claim_txn = CASE WHEN` + sqlClaiming + ` THEN 0 ELSE r.claim_txn END,
			ready_at = CASE
				WHEN r.set_aside <> '' OR ` + sqlOwned + ` THEN NULL
				WHEN i.status = 'running' AND i.updated_at - r.ready_at BETWEEN 0 AND 999999 THEN r.ready_at
				WHEN i.status = 'running' OR i.status = 'waiting' AND r.mail_seq > greatest(r.mail_seen, i.mail_seen) THEN i.updated_at
			END,
			fed_before = r.fed, fed = i.seq, fed_at = ` + sqlFeedTime + `, txn = $1
		FROM unnest($6::text[], $7::bigint[], $8::bytea[], $9::bigint[], $10::bigint[], $11::bytea[], $12::text[], $13::bigint[],
			$14::text[], $15::bigint[], $16::text[], $17::text[], $18::bigint[], $19::bigint[], $20::bigint[], $21::text[], $22::bigint[])
			AS i (run_id, from_seq, from_head, fence, seq, head, status, wake_at, node, step, version, definition, updated_at, ended_at, mail_seen, owner, claimed)
		WHERE r.run_id = i.run_id AND r.seq = i.from_seq AND r.head = i.from_head AND (i.fence = 0 OR i.fence = r.fence)
			AND (NOT` + sqlClaiming + ` OR i.claimed = r.fence + 1) AND r.fed_at < ` + sqlFeedTime + ``
	sqlAdvanceRest = ` RETURNING r.run_id, r.born, r.fed_before, r.fed,
			coalesce(r.ready_at = r.updated_at, false) OR r.owned AND i.fence = 0 AND NOT` + sqlClaiming + ` AS look
	),` + sqlRecord + `,` + sqlFeedNew + ` SELECT run_id, look FROM changed`

	// Whether a commit claims its run, and whether a run is owned after it (see bide.Claims).
	sqlClaiming = ` (i.owner <> '' AND i.status = 'running')`
	sqlOwned    = `CASE WHEN i.fence <> 0 THEN i.status = 'running' ELSE` + sqlClaiming + ` OR r.owned AND (i.status <> 'running' OR r.status = 'running') END`

	// Begins runs that are not there yet, with their records. A run whose parent
	// is not empty begins only if the parent's commit was applied.
	sqlCreate = `WITH changed AS (
		INSERT INTO runs (run_id, seq, head, status, wake_at, node, step, version, definition, updated_at, ended_at, mail_seen,
			workflow, run_key, session, actor, parent, root, origin, labels, created_at,
			owner, owned, fence, claim_mail, ready_at, born, fed, fed_at, fed_since, txn)
		SELECT i.run_id, i.seq, i.head, i.status, nullif(i.wake_at, -4611686018427387904), i.node, i.step, i.version, i.definition,
			i.updated_at, nullif(i.ended_at, -4611686018427387904), i.mail_seen,
			i.workflow, i.run_key, i.session, i.actor, i.parent, nullif(i.root, i.run_id), i.origin, i.labels, i.created_at,
			CASE WHEN` + sqlClaiming + ` THEN i.owner ELSE '' END,` + sqlClaiming + `, CASE WHEN` + sqlClaiming + ` THEN 1 ELSE 0 END, i.mail_seen,
			CASE WHEN i.status = 'running' AND i.owner = '' THEN i.updated_at END, $1, i.seq, ` + sqlFeedTime + `, $6::bigint, $1
		FROM unnest($7::text[], $8::text[], $9::bigint[], $10::bytea[], $11::text[], $12::bigint[], $13::text[], $14::bigint[], $15::text[], $16::text[],
			$17::bigint[], $18::bigint[], $19::bigint[], $20::text[], $21::bigint[],
			$22::text[], $23::text[], $24::text[], $25::text[], $26::text[], $27::text[], $28::text[], $29::text[], $30::bigint[])
			AS i (by, run_id, seq, head, status, wake_at, node, step, version, definition, updated_at, ended_at, mail_seen, owner, claimed,
			workflow, run_key, session, actor, parent, root, origin, labels, created_at)
		WHERE (i.by = '' OR EXISTS (SELECT 1 FROM runs AS p WHERE p.run_id = i.by AND p.txn = $1)) AND (NOT` + sqlClaiming + ` OR i.claimed = 1)`
	sqlCreateRest = ` ON CONFLICT (run_id) DO NOTHING RETURNING run_id, born, fed_before, fed, ready_at IS NOT NULL AS look
	),` + sqlRecord + `,` + sqlFeedNew + ` SELECT run_id, look FROM changed`

	// Removes runs where their commits expect them, and all that is kept of them.
	// By primary key. What the feed has of them is passed over, and pruned later.
	sqlDelete = `WITH gone AS (
		DELETE FROM runs AS r USING unnest($1::text[], $2::bigint[], $3::bytea[], $4::bigint[]) AS i (run_id, seq, head, fence)
		WHERE r.run_id = i.run_id AND r.seq = i.seq AND r.head = i.head AND (i.fence = 0 OR i.fence = r.fence) RETURNING r.run_id
	), records AS (DELETE FROM ledger AS x USING gone AS g WHERE x.run_id = g.run_id
	), open AS (DELETE FROM waits AS x USING gone AS g WHERE x.run_id = g.run_id
	), seen AS (DELETE FROM commands AS x USING gone AS g WHERE x.run_id = g.run_id
	), state AS (DELETE FROM snapshots AS x USING gone AS g WHERE x.run_id = g.run_id
	), named AS (DELETE FROM labels AS x USING gone AS g WHERE x.run_id = g.run_id
	), letters AS (DELETE FROM mail AS x USING gone AS g WHERE x.mailbox = g.run_id
	) SELECT run_id, false FROM gone`

	// What follows is for the commits that were applied; all of it by primary key.
	sqlApplied = ` JOIN runs AS r ON r.run_id = i.run_id AND r.txn = $1`

	sqlCloseWaits = `DELETE FROM waits AS w USING unnest($2::text[], $3::text[]) AS i (run_id, wait_id)` + sqlApplied + `
		WHERE w.run_id = i.run_id AND w.wait_id = i.wait_id`

	sqlOpenWaits = `INSERT INTO waits (run_id, wait_id, kind, wait_key, created_at, body, mailbox, mailbox_end, since, moment, opened_at, looked)
		SELECT i.run_id, i.wait_id, i.kind, i.wait_key, i.created_at, i.body, i.mailbox, i.mailbox_end, nullif(i.since, -4611686018427387904), i.moment,
			` + sqlServerTime + `, i.mailbox IS NULL
		FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::text[], $8::text[], $9::text[], $10::bigint[], $11::bigint[])
			AS i (run_id, wait_id, kind, wait_key, created_at, body, mailbox, mailbox_end, since, moment)` + sqlApplied + `
		ON CONFLICT (run_id, wait_id) DO NOTHING`

	sqlPutCommands = `INSERT INTO commands AS c (run_id, command_id, fingerprint, seq)
		SELECT i.run_id, i.command_id, i.fingerprint, i.seq FROM unnest($2::text[], $3::text[], $4::bytea[], $5::bigint[])
			AS i (run_id, command_id, fingerprint, seq)` + sqlApplied + `
		ON CONFLICT (run_id, command_id) DO UPDATE SET fingerprint = excluded.fingerprint, seq = excluded.seq`

	sqlPutSnapshots = `INSERT INTO snapshots AS s (run_id, seq, body)
		SELECT i.run_id, i.seq, i.body FROM unnest($2::text[], $3::bigint[], $4::bytea[]) AS i (run_id, seq, body)` + sqlApplied + `
		ON CONFLICT (run_id) DO UPDATE SET seq = excluded.seq, body = excluded.body`

	sqlPutLabels = `INSERT INTO labels (run_id, label, created_at)
		SELECT i.run_id, i.label, r.created_at FROM unnest($2::text[], $3::text[]) AS i (run_id, label)` + sqlApplied + `
		ON CONFLICT (run_id, label) DO NOTHING`

	sqlTakeMail = `UPDATE mail AS m SET taken = true, payload = NULL FROM unnest($2::text[], $3::text[], $4::text[]) AS i (run_id, mailbox, id)` + sqlApplied + `
		WHERE m.mailbox = i.mailbox AND m.id = i.id`

	// Messages that are taken by the commit that sends them. When somebody else
	// sends one meanwhile, the group fails, and is tried again.
	sqlSendTaken = `INSERT INTO mail (mailbox, id, mail_key, at, sent_at, ord, told, taken)
		SELECT i.mailbox, i.id, i.mail_key, i.at, ` + sqlServerTime + `, i.ord, true, true
		FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::integer[])
			AS i (run_id, mailbox, id, mail_key, at, ord)` + sqlApplied

	// A message counts when its commit has no run or was applied.
	sqlSent = ` (i.run_id = '' OR EXISTS (SELECT 1 FROM runs AS r WHERE r.run_id = i.run_id AND r.txn = $1))`

	sqlSend = `INSERT INTO mail (mailbox, id, mail_key, payload, at, sent_at, ord, told, taken)
		SELECT i.mailbox, i.id, i.mail_key, i.payload, i.at, ` + sqlServerTime + `, i.ord, false, false
		FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::integer[])
			AS i (run_id, mailbox, id, mail_key, payload, at, ord)
		WHERE` + sqlSent + ` ON CONFLICT (mailbox, id) DO NOTHING RETURNING mailbox, id`

	// sqlServerTime is the start of the transaction by the server's clock, in microseconds.
	sqlServerTime = `(extract(epoch FROM transaction_timestamp()) * 1000000)::bigint`

	// Where the runs of refused commits are, and a record of theirs. By primary key.
	sqlWhere = `SELECT r.run_id, r.seq, r.head, r.fence, r.owner, r.fed_at, l.body, l.packed FROM unnest($1::text[], $2::bigint[]) AS i (run_id, seq)
		JOIN runs AS r ON r.run_id = i.run_id LEFT JOIN ledger AS l ON l.run_id = i.run_id AND l.seq = i.seq`
)
