-- One row per run. Times are microseconds since 1970 UTC. Ids compare by their
-- bytes, whatever the database's collation: cursors depend on it.
--
-- A step changes no column that an index has, so that PostgreSQL writes the new
-- row into the same page and no index at all (HOT); hence the free space.
CREATE TABLE IF NOT EXISTS runs (
  run_id     text COLLATE "C" NOT NULL PRIMARY KEY,
  seq        bigint NOT NULL, -- number of ledger records
  head       bytea  NOT NULL, -- SHA-256 of the last one
  status     text   NOT NULL,
  wake_at    bigint,
  node       text   NOT NULL,
  step       bigint NOT NULL,
  version    text   NOT NULL,
  definition text   NOT NULL,
  updated_at bigint NOT NULL,
  ended_at   bigint,

  workflow   text   NOT NULL,
  run_key    text   NOT NULL,
  session    text   NOT NULL,
  actor      text   NOT NULL,
  parent     text   NOT NULL,
  labels     text,            -- a JSON object
  created_at bigint NOT NULL,

  set_aside  text   NOT NULL DEFAULT '', -- why no worker takes it
  owner      text   NOT NULL DEFAULT '', -- of the last claim
  owned      boolean NOT NULL DEFAULT false, -- that claim has not ended
  fence      bigint NOT NULL DEFAULT 0,  -- number of its last claim
  mail_seq   bigint NOT NULL DEFAULT 0,  -- how often it was told of mail
  mail_seen  bigint NOT NULL,            -- mail_seq that its commits have seen
  claim_mail bigint NOT NULL DEFAULT 0,  -- mail_seq at its last claim
  claim_txn  bigint NOT NULL DEFAULT 0,  -- number of the call that claimed it, for when its answer is lost
  -- Since when it can proceed without a timer and nobody drives it; null when it
  -- cannot, or is owned. While steps are made without a claim it lags by up to a second.
  ready_at   bigint,
  -- The number of the group of commits that wrote the row last: later
  -- statements of the group know by it which of its commits were applied.
  txn        bigint NOT NULL
) WITH (fillfactor = 70);

CREATE INDEX IF NOT EXISTS runs_created ON runs (created_at, run_id);
CREATE INDEX IF NOT EXISTS runs_status ON runs (status, created_at, run_id);
CREATE INDEX IF NOT EXISTS runs_workflow ON runs (workflow, created_at, run_id);
CREATE INDEX IF NOT EXISTS runs_session ON runs (session, created_at, run_id) WHERE session <> '';
CREATE INDEX IF NOT EXISTS runs_parent ON runs (parent, created_at, run_id) WHERE parent <> '';
CREATE INDEX IF NOT EXISTS runs_aside ON runs (created_at, run_id) WHERE set_aside <> '';
CREATE INDEX IF NOT EXISTS runs_wake ON runs (wake_at, run_id) WHERE wake_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS runs_due ON runs (wake_at, run_id) WHERE status = 'waiting' AND set_aside = '' AND wake_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS runs_ready ON runs (ready_at, run_id) WHERE ready_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS runs_owner ON runs (owner, run_id) WHERE owned;
