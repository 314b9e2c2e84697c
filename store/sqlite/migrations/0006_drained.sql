-- Whether the owner is to take on no more runs.
ALTER TABLE owners ADD COLUMN drained INTEGER NOT NULL DEFAULT 0;
