-- The feed of all records. Every group of commits leaves a row in feed_new, in
-- its own transaction; later, and in one order for all, the rows are moved to
-- feed, where they have positions. So commits never wait for each other, and a position
-- never comes up below one that was read. Each row holds, of one or many runs, the
-- number of the group that began the run, and the first and last of the records.
CREATE TABLE IF NOT EXISTS feed_new (
  at     bigint  NOT NULL, -- by the server's clock, and later than that of any commit that it follows
  txn    bigint  NOT NULL, -- number of the group
  part   integer NOT NULL, -- the parts of a group follow each other
  size   bigint  NOT NULL, -- number of records
  runs   text[]   NOT NULL,
  borns  bigint[] NOT NULL,
  firsts bigint[] NOT NULL,
  lasts  bigint[] NOT NULL,
  PRIMARY KEY (at, txn, part)
);

CREATE TABLE IF NOT EXISTS feed (
  pos    bigint NOT NULL PRIMARY KEY, -- of the last record of the row
  size   bigint NOT NULL,             -- number of its records, also of those of runs that are gone
  runs   text[]   NOT NULL,
  borns  bigint[] NOT NULL,
  firsts bigint[] NOT NULL,
  lasts  bigint[] NOT NULL
);

-- The last position that was given. Whoever moves rows locks it.
CREATE TABLE IF NOT EXISTS feed_end (
  id  integer NOT NULL PRIMARY KEY,
  pos bigint  NOT NULL
);

INSERT INTO feed_end (id, pos) VALUES (1, 0) ON CONFLICT (id) DO NOTHING;

-- root: the first run of the tree; null for that run itself.
-- born: the number of the group that began the run; tells it from one of the same id that was deleted.
-- fed: how many records are in the feed, and were before the last commit; processes of the version before leave it behind.
-- fed_at: at of the last group.
-- fed_since: a position of the feed before the run's first record.
-- settled_at: updated_at of a run that does not run: no index changes while it does.
ALTER TABLE runs
  ADD COLUMN IF NOT EXISTS root text COLLATE "C",
  ADD COLUMN IF NOT EXISTS origin text COLLATE "C" NOT NULL DEFAULT '',
  ADD COLUMN IF NOT EXISTS born bigint NOT NULL DEFAULT 0,
  ADD COLUMN IF NOT EXISTS fed bigint NOT NULL DEFAULT 0,
  ADD COLUMN IF NOT EXISTS fed_before bigint NOT NULL DEFAULT 0,
  ADD COLUMN IF NOT EXISTS fed_at bigint NOT NULL DEFAULT 0,
  ADD COLUMN IF NOT EXISTS fed_since bigint NOT NULL DEFAULT 0,
  ADD COLUMN IF NOT EXISTS settled_at bigint GENERATED ALWAYS AS (CASE WHEN status = 'running' THEN NULL ELSE updated_at END) STORED;

-- The records that are there already, by the age of their runs.
WITH old AS (
  UPDATE runs SET fed_before = fed, fed = seq, fed_at = (extract(epoch FROM transaction_timestamp()) * 1000000)::bigint WHERE fed < seq RETURNING run_id, created_at, born, fed_before + 1 AS first, seq AS last
), ordered AS (
  SELECT run_id, born, first, last, row_number() OVER (ORDER BY created_at, run_id) AS n FROM old
) INSERT INTO feed_new (at, txn, part, size, runs, borns, firsts, lasts)
  SELECT (extract(epoch FROM transaction_timestamp()) * 1000000)::bigint, (n - 1) / 256, 0, sum(last - first + 1)::bigint,
    array_agg(run_id ORDER BY n), array_agg(born ORDER BY n), array_agg(first ORDER BY n), array_agg(last ORDER BY n)
  FROM ordered GROUP BY (n - 1) / 256;
