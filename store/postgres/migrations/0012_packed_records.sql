-- A record with much text is kept compressed, as a Zstandard frame, and its body is empty then. The server would
-- keep it in a table of its own, cut up, and compress only what repeats.
ALTER TABLE ledger ADD COLUMN IF NOT EXISTS packed bytea;
