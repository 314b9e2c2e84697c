package sqlite

import (
	"bytes"

	"github.com/ncruces/go-sqlite3"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/internal/pack"
)

// The statements of the ledger. A row's id and seq are those of its last record.
const (
	// By primary key: a row goes behind all others, and leaves its records a position of the feed each.
	sqlInsertRecords = `INSERT INTO ledger (id, run_no, seq, records, body, packed) VALUES ((SELECT ifnull(max(id), 0) FROM ledger) + ?3, ?1, ?2, ?3, ?4, ?5)`
	// By the index of ledger (run_no, seq).
	sqlRecords = `SELECT seq, records, body, packed FROM ledger WHERE run_no = ? AND seq >= ? ORDER BY seq`
)

// rowBytes is how much text is put into one row when there are several records to share it: so much is
// read, at most, to give one of them. That is enough to fill pages well.
const rowBytes = 64 << 10

// ledgerRow is a row of the ledger: records of one run that follow each other.
type ledgerRow struct {
	seq     int64 // of the last one
	records int64
	body    []byte // their texts, with a line break between them; empty when they are packed
	packed  []byte
}

// addRecords adds the rows for the records of a commit. Text with a line break of its own, which the
// runtime does not write, has a row to itself.
func (e *entry) addRecords(records []bide.Record, packer *pack.Packer) {
	for len(records) > 0 {
		n, size := 1, len(records[0].Raw)
		for alone := hasLines(records[0].Raw); !alone && n < len(records); n++ {
			if size += len(records[n].Raw); size > rowBytes || hasLines(records[n].Raw) {
				break
			}
		}
		row := ledgerRow{seq: records[n-1].Seq, records: int64(n), body: e.join(records[:n])}
		if row.packed = packer.Pack(row.body); row.packed != nil {
			row.body = []byte{}
		}
		e.ledger = append(e.ledger, row)
		records = records[n:]
	}
}

// join returns the body of a row. It is the records' own text when there is one.
func (e *entry) join(records []bide.Record) []byte {
	if len(records) == 1 {
		return records[0].Raw
	}
	start := len(e.joined)
	for i := range records {
		if i > 0 {
			e.joined = append(e.joined, '\n')
		}
		e.joined = append(e.joined, records[i].Raw...)
	}
	return e.joined[start:]
}

func hasLines(text []byte) bool { return bytes.IndexByte(text, '\n') >= 0 }

// texts returns the texts of a row's records, given the first of the columns records, body and packed. They are
// valid until the next row.
func (r *reader) texts(row *sqlite3.Stmt, column int) ([][]byte, error) {
	n, text := row.ColumnInt64(column), row.ColumnRawText(column+1)
	if row.ColumnType(column+2) != sqlite3.NULL {
		var err error
		if text, err = r.packer.Unpack(row.ColumnRawBlob(column + 2)); err != nil {
			return nil, bide.Errorf(bide.CodeCorrupt, "a row of the ledger cannot be read: %w", err)
		}
	}
	if n == 1 || row.Err() != nil {
		return [][]byte{text}, row.Err()
	}
	lines := bytes.Split(text, []byte("\n"))
	if int64(len(lines)) != n {
		return nil, bide.Errorf(bide.CodeCorrupt, "a row of the ledger has %d records, and should have %d", len(lines), n)
	}
	return lines, nil
}

// records reads so many records of a run, at least one.
func (r *reader) records(runNo, from, limit int64) ([][]byte, error) {
	out := make([][]byte, 0, min(limit, 1000))
	err := r.query(sqlRecords).int(runNo).int(from).rows(func(row *sqlite3.Stmt) error {
		all, err := r.texts(row, 1)
		if err != nil {
			return err
		}
		first := row.ColumnInt64(0) - row.ColumnInt64(1) + 1
		for _, text := range all[max(from-first, 0):] {
			if out = append(out, bytes.Clone(text)); int64(len(out)) == limit {
				return errEnough
			}
		}
		return nil
	})
	return out, err
}
