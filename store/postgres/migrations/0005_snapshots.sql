-- The last snapshot of a run's state: a cache of what its records give.
CREATE TABLE IF NOT EXISTS snapshots (
  run_id text COLLATE "C" NOT NULL PRIMARY KEY,
  seq    bigint NOT NULL,
  body   bytea  NOT NULL
);
