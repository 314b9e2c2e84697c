package postgres

// Broadcasts: copies for the waits that are open, and for those that are opened
// while a broadcast is kept.
//
// A broadcast and a wait may be committed at the same time by two transactions
// that do not see each other. So copies are made again from both sides when runs are
// told of mail (see queueTell); one that is there already is left alone.
const (
	// Copies broadcasts to the runs with matching waits. The index waits_key serves it.
	sqlCopy = `INSERT INTO mail (mailbox, id, mail_key, payload, at, sent_at, ord, told, taken)
		SELECT w.run_id, i.id || '/' || w.wait_id, i.mail_key, i.payload, i.at, ` + sqlServerTime + `, i.ord, false, false
		FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::integer[]) AS i (run_id, id, mail_key, payload, at, ord)
		JOIN unnest($8::integer[], $9::text[]) AS k (ord, wait_key) ON k.ord = i.ord
		JOIN waits AS w ON w.wait_key = k.wait_key AND w.wait_key <> ''
		WHERE` + sqlSent + ` ON CONFLICT (mailbox, id) DO NOTHING RETURNING mailbox, id`

	// Makes room for broadcasts that are sent again after those of the same id are over. By primary key.
	sqlUnkeep = `DELETE FROM broadcasts AS b USING unnest($1::text[], $2::text[], $3::bigint[]) AS i (mailbox, id, at)
		WHERE b.mailbox = i.mailbox AND b.id = i.id AND b.until <= i.at`

	// By primary key.
	sqlKeep = `INSERT INTO broadcasts (mailbox, id, mail_key, payload, at, until, sent_at, ord, told)
		SELECT i.mailbox, i.id, i.mail_key, i.payload, i.at, i.until, ` + sqlServerTime + `, i.ord, false
		FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::bigint[], $9::integer[])
			AS i (run_id, mailbox, id, mail_key, payload, at, until, ord)
		WHERE` + sqlSent + ` ON CONFLICT (mailbox, id) DO NOTHING RETURNING mailbox, id`

	// The copies of what is kept for waits: by the primary key of waits and the index
	// broadcasts_at. They come before all that is sent with the wait.
	sqlKept = `SELECT i.n, w.run_id, b.id || '/' || w.wait_id AS id, b.mail_key, b.payload, b.at, b.sent_at, b.ord
		FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS i (run_id, wait_id, n)
		JOIN waits AS w ON w.run_id = i.run_id AND w.wait_id = i.wait_id
		JOIN broadcasts AS b ON b.at >= w.since AND b.until > w.moment AND `
	sqlCopyKept = `INSERT INTO mail (mailbox, id, mail_key, payload, at, sent_at, ord, told, taken)
		SELECT k.run_id, k.id, k.mail_key, k.payload, k.at, ` + sqlServerTime + `,
			row_number() OVER (ORDER BY k.n, k.at, k.sent_at, k.ord)::integer - 1000000, $3::boolean, false
		FROM (` + sqlKept + `b.mailbox = w.mailbox AND w.mailbox_end IS NULL
			UNION ALL ` + sqlKept + `b.mailbox >= w.mailbox AND b.mailbox < w.mailbox_end) AS k
		ON CONFLICT (mailbox, id) DO NOTHING RETURNING mailbox, id`

	// The same when it is too late to do it with the commit: from the side of waits,
	sqlCopyLate = `WITH copies AS (` + sqlCopyKept + `)` + sqlTellCopies + ` AND r.run_id = ANY($1::text[])`

	// and from that of broadcasts, by their primary key and the index waits_key.
	sqlCopyAgain = `WITH told AS (
		UPDATE broadcasts AS b SET told = true FROM unnest($1::text[], $2::text[]) AS i (mailbox, id)
		WHERE b.mailbox = i.mailbox AND b.id = i.id AND b.told IS NOT TRUE RETURNING b.mailbox, b.id, b.mail_key, b.payload, b.at, b.until, b.ord
	), copies AS (
		INSERT INTO mail (mailbox, id, mail_key, payload, at, sent_at, ord, told, taken)
		SELECT w.run_id, t.id || '/' || w.wait_id, t.mail_key, t.payload, t.at, ` + sqlServerTime + `, t.ord, true, false
		FROM told AS t JOIN unnest($3::text[], $4::text[]) AS k (mailbox, wait_key) ON k.mailbox = t.mailbox
		JOIN waits AS w ON w.wait_key = k.wait_key AND w.wait_key <> '' AND w.since <= t.at AND w.moment < t.until
		ON CONFLICT (mailbox, id) DO NOTHING RETURNING mailbox, id
	)` + sqlTellCopies

	sqlTellCopies = `, concerned AS (
		SELECT mailbox AS run_id, count(*) AS n FROM copies GROUP BY mailbox ORDER BY mailbox
	) UPDATE runs AS r SET mail_seq = r.mail_seq + c.n` + sqlReadyAt + ` FROM concerned AS c WHERE r.run_id = c.run_id`

	// The index broadcasts_untold serves it.
	sqlBroadcastsUntold = `SELECT mailbox, id FROM broadcasts WHERE NOT told AND sent_at < ` + sqlServerTime + ` - $1::bigint ORDER BY sent_at LIMIT $2`

	// The index broadcasts_until serves it.
	sqlForgetBroadcasts = `DELETE FROM broadcasts WHERE until < $1`
)
