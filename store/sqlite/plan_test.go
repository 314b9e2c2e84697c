package sqlite

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ncruces/go-sqlite3"
)

func TestQueriesUseTheIndexTheyName(t *testing.T) {
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "bide.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, test := range []struct{ name, sql, index string }{
		{"runs", sqlRuns, "runs_created"},
		{"runs by status", sqlRunsByStatus, "runs_status"},
		{"runs by workflow", sqlRunsByWorkflow, "runs_workflow"},
		{"runs by both", sqlRunsByBoth, "runs_status"},
		{"runs that are due", sqlRunsDue, "runs_wake"},
		{"waits", sqlWaits, "waits_created"},
		{"waits by kind", sqlWaitsByKind, "waits_kind"},
		{"waits by key", sqlWaitsByKey, "waits_key"},
		{"the position of a run", sqlPosition, "sqlite_autoindex_runs_1"},
		{"the records of a run", sqlRecords, "sqlite_autoindex_ledger_1"},
		{"the snapshot of a run", sqlSnapshot, "INTEGER PRIMARY KEY"},
		{"a command", sqlCommand, "PRIMARY KEY"},
		{"finding a run to commit", sqlFindRun, "sqlite_autoindex_runs_1"},
		{"advancing a run", sqlAdvanceRun, "INTEGER PRIMARY KEY"},
		{"updating a run", sqlUpdateRun, "INTEGER PRIMARY KEY"},
		{"closing a wait", sqlDeleteWait, "sqlite_autoindex_waits_1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			plan := explainPlan(t, s, test.sql)
			for _, step := range plan {
				if strings.HasPrefix(step, "SCAN") || strings.Contains(step, "TEMP B-TREE") {
					t.Errorf("it reads or sorts a whole table: %s", step)
				}
			}
			if len(plan) != 1 || !strings.Contains(plan[0], test.index) {
				t.Errorf("its plan is %q, want a search by %s", plan, test.index)
			}
		})
	}
}

// explainPlan returns the steps by which SQLite carries out a query.
func explainPlan(t *testing.T, s *Store, sql string) (steps []string) {
	t.Helper()
	err := s.read(t.Context(), "explain", func(r *reader) error {
		stmt, _, err := r.conn.Prepare("EXPLAIN QUERY PLAN " + sql)
		if err != nil {
			return err
		}
		return errors.Join(with(stmt).rows(func(stmt *sqlite3.Stmt) error {
			steps = append(steps, stmt.ColumnText(3))
			return nil
		}), stmt.Close())
	})
	if err != nil {
		t.Fatal(err)
	}
	return steps
}
