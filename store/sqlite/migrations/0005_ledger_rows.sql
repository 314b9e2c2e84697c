-- A row of the ledger holds the records of a commit, one after the other with a line break between
-- them: large rows fill their pages, while a record of more than half a page takes a whole one. id and seq are
-- those of the row's last record, so that the row a record is in is the first that is not below it. The rows
-- there are have one record each and stay as they are.
ALTER TABLE ledger ADD COLUMN records INTEGER NOT NULL DEFAULT 1;
