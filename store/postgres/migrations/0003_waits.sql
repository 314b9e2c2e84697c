-- Open waits. A wait that is closed is gone from here; the ledger has it.
CREATE TABLE IF NOT EXISTS waits (
  run_id      text COLLATE "C" NOT NULL,
  wait_id     text COLLATE "C" NOT NULL,
  kind        text   NOT NULL,
  wait_key    text   NOT NULL,
  created_at  bigint NOT NULL,
  body        text   NOT NULL,  -- the wait as JSON
  -- The mailbox of its key; of a key that ends in ":*", the first mailbox that
  -- it matches and the first after those. Null without a key.
  mailbox     text COLLATE "C",
  mailbox_end text COLLATE "C",
  opened_at   bigint NOT NULL,  -- by the server's clock
  looked      boolean NOT NULL, -- whether the sweep need not look for mail that it may have missed
  PRIMARY KEY (run_id, wait_id)
);

CREATE INDEX IF NOT EXISTS waits_created ON waits (created_at, wait_id);
CREATE INDEX IF NOT EXISTS waits_kind ON waits (kind, created_at, wait_id);
CREATE INDEX IF NOT EXISTS waits_key ON waits (wait_key, created_at, wait_id) WHERE wait_key <> '';
CREATE INDEX IF NOT EXISTS waits_unlooked ON waits (opened_at) WHERE NOT looked;
