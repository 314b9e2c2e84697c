-- The roots of runs that have a parent.
WITH RECURSIVE tree AS (
  SELECT run_id, run_id AS root FROM runs WHERE parent = ''
  UNION ALL
  SELECT r.run_id, t.root FROM tree AS t JOIN runs AS r ON r.parent = t.run_id AND r.parent <> ''
) UPDATE runs AS r SET root = t.root FROM tree AS t WHERE r.run_id = t.run_id AND r.parent <> '' AND r.root IS NULL;

CREATE INDEX IF NOT EXISTS runs_root ON runs (root, created_at, run_id) WHERE root IS NOT NULL;
CREATE INDEX IF NOT EXISTS runs_origin ON runs (origin, created_at, run_id) WHERE origin <> '';
CREATE INDEX IF NOT EXISTS runs_settled ON runs (settled_at, run_id) WHERE settled_at IS NOT NULL;

-- The labels of runs: the name and the value as a JSON array, or the hash of a long one.
CREATE TABLE IF NOT EXISTS labels (
  run_id     text COLLATE "C" NOT NULL,
  label      text COLLATE "C" NOT NULL,
  created_at bigint NOT NULL, -- the run's
  PRIMARY KEY (run_id, label)
);

CREATE INDEX IF NOT EXISTS labels_label ON labels (label, created_at, run_id);

-- Documents, which belong to no run.
CREATE TABLE IF NOT EXISTS documents (
  kind       text COLLATE "C" NOT NULL,
  id         text COLLATE "C" NOT NULL,
  rev        bigint NOT NULL,
  body       text   NOT NULL,
  updated_at bigint NOT NULL, -- the writer's time
  PRIMARY KEY (kind, id)
);
