-- Whether the owner is to take on no more runs.
ALTER TABLE owners ADD COLUMN IF NOT EXISTS drained boolean NOT NULL DEFAULT false;
