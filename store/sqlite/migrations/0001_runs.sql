-- One row per run. The first block changes with every commit, the second is
-- written once, so that a step rewrites little more than its position.
CREATE TABLE runs (
  run_no     INTEGER PRIMARY KEY, -- internal; keeps the other tables small
  run_id     TEXT    NOT NULL UNIQUE,
  seq        INTEGER NOT NULL,    -- number of ledger records
  head       BLOB    NOT NULL,    -- SHA-256 of the last one
  status     TEXT    NOT NULL,
  wake_at    INTEGER,             -- times are microseconds since 1970 UTC
  node       TEXT    NOT NULL,
  step       INTEGER NOT NULL,
  version    TEXT    NOT NULL,
  definition TEXT    NOT NULL,
  updated_at INTEGER NOT NULL,
  ended_at   INTEGER,

  workflow   TEXT    NOT NULL,
  run_key    TEXT    NOT NULL,
  session    TEXT    NOT NULL,
  actor      TEXT    NOT NULL,
  parent     TEXT    NOT NULL,
  labels     TEXT,                -- a JSON object
  created_at INTEGER NOT NULL
) STRICT;

CREATE INDEX runs_created  ON runs (created_at, run_id);
CREATE INDEX runs_status   ON runs (status, created_at, run_id);
CREATE INDEX runs_workflow ON runs (workflow, created_at, run_id);
CREATE INDEX runs_wake     ON runs (wake_at, run_id) WHERE wake_at IS NOT NULL;

-- The ledger is appended to and never changed. It is not clustered by run:
-- appending at the end of one table is three times as fast.
CREATE TABLE ledger (
  id     INTEGER PRIMARY KEY,
  run_no INTEGER NOT NULL,
  seq    INTEGER NOT NULL,
  body   TEXT    NOT NULL,        -- exactly the bytes that were hashed
  UNIQUE (run_no, seq)
) STRICT;

-- The last snapshot of a run's state: a cache of what its records give.
CREATE TABLE snapshots (
  run_no INTEGER PRIMARY KEY,
  seq    INTEGER NOT NULL,
  body   BLOB    NOT NULL
) STRICT;

-- Open waits. A wait that is closed is gone from here; the ledger has it.
CREATE TABLE waits (
  id         INTEGER PRIMARY KEY,
  wait_id    TEXT    NOT NULL UNIQUE,
  kind       TEXT    NOT NULL,
  wait_key   TEXT    NOT NULL,
  created_at INTEGER NOT NULL,
  body       TEXT    NOT NULL     -- the wait as JSON
) STRICT;

CREATE INDEX waits_created ON waits (created_at, wait_id);
CREATE INDEX waits_kind    ON waits (kind, created_at, wait_id);
CREATE INDEX waits_key     ON waits (wait_key, created_at, wait_id) WHERE wait_key <> '';

-- What commands did, so that a command sent again is not carried out again.
CREATE TABLE commands (
  run_no      INTEGER NOT NULL,
  command_id  TEXT    NOT NULL,
  fingerprint BLOB    NOT NULL,
  seq         INTEGER NOT NULL,
  PRIMARY KEY (run_no, command_id)
) STRICT, WITHOUT ROWID;
