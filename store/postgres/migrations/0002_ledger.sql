-- The ledger is appended to and never changed. The body is exactly the bytes
-- that were hashed: text, not jsonb, which would reorder them.
CREATE TABLE IF NOT EXISTS ledger (
  run_id text COLLATE "C" NOT NULL,
  seq    bigint NOT NULL,
  body   text   NOT NULL,
  PRIMARY KEY (run_id, seq)
);
