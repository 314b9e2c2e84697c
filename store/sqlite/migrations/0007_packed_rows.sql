-- A row of the ledger with much text has it compressed, as a Zstandard frame, and its body is empty then. A
-- row of more than half a page would have a page to itself. The rows there are stay as they are.
ALTER TABLE ledger ADD COLUMN packed BLOB;
