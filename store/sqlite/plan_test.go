package sqlite

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ncruces/go-sqlite3"
)

func TestQueriesUseTheIndexTheyName(t *testing.T) {
	s := openForPlans(t)
	const primary = "INTEGER PRIMARY KEY"
	for _, test := range []struct {
		name, sql string
		index     []string // of each step that reads
	}{
		{"runs", sqlRuns, []string{"runs_created"}},
		{"runs by status", sqlRunsByStatus, []string{"runs_status"}},
		{"runs by workflow", sqlRunsByWorkflow, []string{"runs_workflow"}},
		{"runs by session", sqlRunsBySession, []string{"runs_session"}},
		{"runs by parent", sqlRunsByParent, []string{"runs_parent"}},
		{"runs set aside", sqlRunsAside, []string{"runs_aside"}},
		{"runs that are due", sqlRunsDue, []string{"runs_wake", "runs_wake"}},
		{"waits", sqlWaits, []string{"waits_created"}},
		{"waits by kind", sqlWaitsByKind, []string{"waits_kind"}},
		{"waits by key", sqlWaitsByKey, []string{"waits_key"}},
		{"the position of a run", sqlPosition, []string{"sqlite_autoindex_runs_1"}},
		{"the records of a run", sqlRecords, []string{"sqlite_autoindex_ledger_1"}},
		{"the snapshot of a run", sqlSnapshot, []string{primary}},
		{"a command", sqlCommand, []string{"PRIMARY KEY"}},

		{"finding a run to commit", sqlFindRun, []string{"sqlite_autoindex_runs_1"}},
		{"advancing a run", sqlAdvanceRun, []string{primary}},
		{"updating a run", sqlUpdateRun, []string{primary}},
		{"the owner of a run", sqlOwner, []string{primary}},
		{"closing a wait", sqlDeleteWait, []string{"sqlite_autoindex_waits_1"}},

		{"telling a run by its id", sqlTellRun, []string{"sqlite_autoindex_runs_1"}},
		{"telling a run by its number", sqlTellNo, []string{primary}},
		{"telling the runs that wait", sqlTellWaiting, []string{primary, "waits_key"}},
		{"who listens", sqlListeners, []string{"waits_key", primary}},
		{"a message to a run", sqlFindDirect, []string{"sqlite_autoindex_messages_1"}},
		{"a message to a key", sqlFindKeyed, []string{"waits_run", "sqlite_autoindex_messages_1", "sqlite_autoindex_messages_1"}},
		{"taking a message", sqlTake, []string{primary}},
		{"mail for a new wait", sqlKept, []string{"sqlite_autoindex_waits_1", "messages_open"}},
		{"the mailboxes of a run", sqlMailboxes, []string{"waits_run", "messages_open"}},
		{"the next mailbox", sqlNextMailbox, []string{"messages_open"}},
		{"a mailbox", sqlMail, []string{"messages_open"}},

		{"runs to claim that nobody owns", sqlFree, []string{"runs_free"}},
		{"runs to claim of a dead owner", sqlOwned, []string{"runs_driven"}},
		{"the next owner", sqlNextOwner, []string{"runs_driven"}},
		{"how long an owner lives", sqlUntil, []string{"PRIMARY KEY"}},
		{"claiming a run", sqlClaim, []string{primary}},
		{"releasing a run", sqlReleaseRun, []string{"sqlite_autoindex_runs_1"}},
		{"releasing all", sqlReleaseAll, []string{"runs_driven"}},
		{"setting a run aside", sqlSetAside, []string{"sqlite_autoindex_runs_1"}},
		{"the next timer", sqlNextWake, []string{"runs_wake"}},

		{"deleting the mail of a run", sqlDeleteMail, []string{"messages_box"}},
		{"deleting the records of a run", sqlDeleteRun[0], []string{"sqlite_autoindex_ledger_1"}},
		{"deleting the snapshot of a run", sqlDeleteRun[1], []string{primary}},
		{"deleting the commands of a run", sqlDeleteRun[2], []string{"PRIMARY KEY"}},
		{"deleting the waits of a run", sqlDeleteRun[3], []string{"waits_run"}},
		{"deleting a run", sqlDeleteRun[4], []string{primary}},
	} {
		t.Run(test.name, func(t *testing.T) {
			plan := explainPlan(t, s, test.sql)
			var reads []string
			for _, step := range plan {
				switch {
				case strings.HasPrefix(step, "SCAN json_each"): // the keys that one message has
				case strings.HasPrefix(step, "SCAN"), strings.Contains(step, "TEMP B-TREE") && test.sql != sqlFindKeyed:
					t.Errorf("it reads or sorts a whole table: %s", step)
				case strings.HasPrefix(step, "SEARCH"):
					reads = append(reads, step)
				}
			}
			if !slices.EqualFunc(reads, test.index, strings.Contains) {
				t.Errorf("its plan is %q, want searches by %s", plan, test.index)
			}
		})
	}
}

func TestAStepTouchesNoIndexOfRuns(t *testing.T) {
	s := openForPlans(t)
	if touched := indexesWritten(t, s, sqlAdvanceRun); touched > 0 {
		t.Errorf("a step that changes neither status, timer nor mail writes to %d indexes of runs", touched)
	}
	if indexesWritten(t, s, sqlUpdateRun) == 0 {
		t.Error("a change of status writes to no index: the check above sees nothing")
	}
}

func openForPlans(t *testing.T) *Store {
	t.Helper()
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "bide.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// explainPlan returns the steps by which SQLite carries out a query.
func explainPlan(t *testing.T, s *Store, sql string) (steps []string) {
	t.Helper()
	explain(t, s, "EXPLAIN QUERY PLAN "+sql, func(row *sqlite3.Stmt) { steps = append(steps, row.ColumnText(3)) })
	return steps
}

// indexesWritten counts the writes to indexes in a statement's program.
func indexesWritten(t *testing.T, s *Store, sql string) (n int) {
	t.Helper()
	explain(t, s, "EXPLAIN "+sql, func(row *sqlite3.Stmt) {
		if row.ColumnText(1) == "IdxInsert" {
			n++
		}
	})
	return n
}

func explain(t *testing.T, s *Store, sql string, each func(*sqlite3.Stmt)) {
	t.Helper()
	err := s.read(t.Context(), "explain", func(r *reader) error {
		stmt, _, err := r.conn.Prepare(sql)
		if err != nil {
			return err
		}
		return errors.Join(with(stmt).rows(func(stmt *sqlite3.Stmt) error {
			each(stmt)
			return nil
		}), stmt.Close())
	})
	if err != nil {
		t.Fatal(err)
	}
}
