-- The tree that a run is of, and the run it was forked from. What a run began with
-- costs an index when the run begins, never when it goes on.
ALTER TABLE runs ADD COLUMN root   TEXT NOT NULL DEFAULT '';
ALTER TABLE runs ADD COLUMN origin TEXT NOT NULL DEFAULT '';

WITH RECURSIVE tree (run_no, run_id, root) AS (
  SELECT run_no, run_id, run_id FROM runs WHERE parent = '' OR parent NOT IN (SELECT run_id FROM runs)
  UNION ALL
  SELECT c.run_no, c.run_id, t.root FROM tree t JOIN runs c ON c.parent = t.run_id AND c.parent <> ''
)
UPDATE runs SET root = tree.root FROM tree WHERE tree.run_no = runs.run_no;

CREATE INDEX runs_root   ON runs (root, created_at, run_id);
CREATE INDEX runs_origin ON runs (origin, created_at, run_id) WHERE origin <> '';

-- updated_at of a run that is not running. One that is changes with every step,
-- and must not move in an index each time; those that run at a moment are few.
ALTER TABLE runs ADD COLUMN rested_at INTEGER;
UPDATE runs SET rested_at = updated_at WHERE status <> 'running';
CREATE INDEX runs_rested ON runs (rested_at, run_id) WHERE rested_at IS NOT NULL;

-- The labels of runs, in the order in which runs are listed. They do not change.
CREATE TABLE labels (
  name       TEXT    NOT NULL,
  value      TEXT    NOT NULL,
  created_at INTEGER NOT NULL, -- of the run
  run_id     TEXT    NOT NULL,
  PRIMARY KEY (name, value, created_at, run_id)
) STRICT, WITHOUT ROWID;

INSERT INTO labels (name, value, created_at, run_id)
  SELECT l.key, l.value, r.created_at, r.run_id FROM runs r, json_each(r.labels) l;

-- Waits know what of their run lists them, and lists runs by them.
ALTER TABLE waits ADD COLUMN run_id      TEXT    NOT NULL DEFAULT '';
ALTER TABLE waits ADD COLUMN run_created INTEGER NOT NULL DEFAULT 0;
ALTER TABLE waits ADD COLUMN root        TEXT    NOT NULL DEFAULT '';
UPDATE waits SET run_id = r.run_id, run_created = r.created_at, root = r.root FROM runs r WHERE r.run_no = waits.run_no;

DROP INDEX waits_run;
CREATE INDEX waits_run      ON waits (run_no, wait_key);
CREATE INDEX waits_star     ON waits (run_no, wait_key) WHERE substr(wait_key, -2) = ':*';
CREATE INDEX waits_root     ON waits (root, created_at, wait_id);
CREATE INDEX waits_run_kind ON waits (kind, run_created, run_id);

-- Broadcasts that are kept for later waits.
CREATE TABLE broadcasts (
  id      INTEGER PRIMARY KEY,
  msg_id  TEXT    NOT NULL,
  msg_key TEXT    NOT NULL,
  payload TEXT,             -- JSON
  at      INTEGER NOT NULL,
  until   INTEGER NOT NULL,
  UNIQUE (msg_id, msg_key)
) STRICT;

CREATE INDEX broadcasts_key   ON broadcasts (msg_key, at);
CREATE INDEX broadcasts_until ON broadcasts (until);

CREATE TABLE documents (
  kind       TEXT    NOT NULL,
  doc_id     TEXT    NOT NULL,
  rev        INTEGER NOT NULL,
  body       TEXT    NOT NULL, -- JSON
  updated_at INTEGER NOT NULL,
  PRIMARY KEY (kind, doc_id)
) STRICT, WITHOUT ROWID;
