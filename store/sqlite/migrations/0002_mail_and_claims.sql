-- Who drives a run. It does so as long as it is said to live.
CREATE TABLE owners (
  owner TEXT    NOT NULL PRIMARY KEY,
  until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

ALTER TABLE runs ADD COLUMN fence      INTEGER NOT NULL DEFAULT 0;  -- number of the last claim
ALTER TABLE runs ADD COLUMN owner      TEXT    NOT NULL DEFAULT ''; -- who made it
ALTER TABLE runs ADD COLUMN driven     INTEGER NOT NULL DEFAULT 0;  -- 1 while that claim lasts
ALTER TABLE runs ADD COLUMN mail_seq   INTEGER NOT NULL DEFAULT 0;  -- times it was told of mail
ALTER TABLE runs ADD COLUMN mail_seen  INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN claim_mail INTEGER NOT NULL DEFAULT 0;  -- mail_seq at the last claim
ALTER TABLE runs ADD COLUMN set_aside  TEXT;                        -- why nobody may claim it
ALTER TABLE runs ADD COLUMN ready_at   INTEGER NOT NULL DEFAULT 0;  -- when it last got its status, was told of mail, or was given back
UPDATE runs SET ready_at = updated_at;

-- What follows from the columns above: whether only a timer can move the run,
-- and since when it can proceed; NULL means that nothing is known that could move it. No
-- column is among them that changes with every step, so that a step leaves their indexes alone.
ALTER TABLE runs ADD COLUMN timed INTEGER NOT NULL AS (status = 'waiting' AND mail_seq <= mail_seen) VIRTUAL;
ALTER TABLE runs ADD COLUMN since INTEGER AS (CASE
  WHEN set_aside IS NOT NULL THEN NULL
  WHEN status = 'running'    THEN ready_at
  WHEN status <> 'waiting'   THEN NULL
  WHEN mail_seq > mail_seen  THEN min(ready_at, ifnull(wake_at, ready_at))
  ELSE wake_at END) VIRTUAL;

CREATE INDEX runs_free   ON runs (workflow, version, timed, since, run_id) WHERE driven = 0 AND since IS NOT NULL;
CREATE INDEX runs_driven ON runs (owner, workflow, version, timed, since, run_id) WHERE driven = 1;

DROP INDEX runs_wake;
CREATE INDEX runs_wake    ON runs (status, wake_at, run_id)     WHERE wake_at IS NOT NULL;
CREATE INDEX runs_session ON runs (session, created_at, run_id) WHERE session <> '';
CREATE INDEX runs_parent  ON runs (parent, created_at, run_id)  WHERE parent <> '';
CREATE INDEX runs_aside   ON runs (created_at, run_id)          WHERE set_aside IS NOT NULL;

-- The keys of messages that a wait matches go from key_first to key_last.
ALTER TABLE waits ADD COLUMN run_no INTEGER NOT NULL DEFAULT 0;
ALTER TABLE waits ADD COLUMN key_first TEXT NOT NULL AS
  (CASE WHEN substr(wait_key, -2) = ':*' THEN substr(wait_key, 1, length(wait_key) - 1) ELSE wait_key END) VIRTUAL;
ALTER TABLE waits ADD COLUMN key_last TEXT NOT NULL AS
  (CASE WHEN substr(wait_key, -2) = ':*' THEN substr(wait_key, 1, length(wait_key) - 1) || char(0x10FFFF) ELSE wait_key END) VIRTUAL;

-- A wait's id is its run's, a dot and a number.
UPDATE waits SET run_no = ifnull((SELECT run_no FROM runs
  WHERE run_id = substr(rtrim(wait_id, '0123456789'), 1, length(rtrim(wait_id, '0123456789')) - 1)), 0);

CREATE INDEX waits_run ON waits (run_no, wait_key) WHERE wait_key <> '';

-- Messages in the order of sending. One that was taken stays, without its
-- payload, so that its id is known.
CREATE TABLE messages (
  id      INTEGER PRIMARY KEY,
  msg_id  TEXT    NOT NULL,
  direct  INTEGER NOT NULL, -- 1: the mailbox is a run's; 0: it is a key's
  mailbox TEXT    NOT NULL, -- the id of the run, or the key
  msg_key TEXT,             -- NULL when it is the mailbox
  payload TEXT,             -- JSON
  at      INTEGER NOT NULL,
  taken   INTEGER NOT NULL DEFAULT 0,
  UNIQUE (msg_id, direct, mailbox)
) STRICT;

CREATE INDEX messages_open ON messages (direct, mailbox, id) WHERE taken = 0;
