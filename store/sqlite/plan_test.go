package sqlite

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ncruces/go-sqlite3"
)

// filters are the steps by which sqlRunFilter looks at one run.
var filters = []string{
	"SEARCH l USING PRIMARY KEY (name=? AND value=? AND created_at=? AND run_id=?)",
	"SEARCH w USING COVERING INDEX waits_run_kind (kind=? AND run_created=? AND run_id=?)",
}

// sorting are the queries that sort what they have found, and say that it is little.
var sorting = []string{
	runsChanged.created(downwards), runsChanged.updated(downwards), runsLabel.updated(downwards), runsStatus.updated(downwards), runsStatus.updated(upwards),
	runsLabel.due(upwards), runsSession.due(upwards), runsUpdated(downwards), runsUpdated(upwards),
	sqlCount + runsCreated.created(downwards) + sqlCounted, sqlCount + runsUpdated(downwards) + sqlCounted, sqlWaitsByRun, sqlFindKeyed, sqlBroadcasts,
}

func TestQueriesUseTheIndexTheyName(t *testing.T) {
	s := openForPlans(t)
	const primary = "INTEGER PRIMARY KEY"
	for _, test := range []struct {
		name, sql string
		index     []string // of each step that reads
	}{
		{"runs", runsCreated.created(downwards), []string{"runs_created (created_at>? AND (created_at,run_id)<(?,?))"}},
		{"runs by status", runsStatus.created(downwards), []string{"runs_status"}},
		{"runs by workflow", runsWorkflow.created(downwards), []string{"runs_workflow"}},
		{"runs by session", runsSession.created(downwards), []string{"runs_session"}},
		{"runs by parent", runsParent.created(downwards), []string{"runs_parent"}},
		{"runs by root", runsRoot.created(downwards), []string{"runs_root"}},
		{"runs by origin", runsOrigin.created(downwards), []string{"runs_origin"}},
		{"runs set aside", runsAside.created(downwards), []string{"runs_aside"}},
		{"runs by label", runsLabel.created(downwards), []string{"PRIMARY KEY (name=? AND value=? AND created_at>? AND (created_at,run_id)<(?,?))", "sqlite_autoindex_runs_1"}},
		{"runs by wait", runsWaiting.created(downwards), []string{"waits_run_kind", "waits_run_kind", primary}},
		{"few runs that changed", runsChanged.created(downwards), []string{primary, "runs_rested", "runs_status"}},
		{"few runs that changed, in order", runsChanged.updated(downwards), []string{primary, "runs_rested", "runs_status"}},
		{"few runs by label, in order", runsLabel.updated(downwards), []string{"PRIMARY KEY (name=? AND value=?)", "sqlite_autoindex_runs_1"}},
		{"few runs by status, in order", runsStatus.updated(downwards), []string{"runs_status"}},
		{"runs in the order of change", runsUpdated(downwards), []string{"runs_rested", "runs_status"}},
		{"few runs by label that are due", runsLabel.due(upwards), []string{"PRIMARY KEY (name=? AND value=?)", "sqlite_autoindex_runs_1"}},
		{"few runs by session that are due", runsSession.due(upwards), []string{"runs_session"}},
		{"the oldest runs", runsCreated.created(upwards), []string{"runs_created ((created_at,run_id)>(?,?) AND created_at<?)"}},
		{"the oldest runs by status", runsStatus.created(upwards), []string{"runs_status"}},
		{"few runs by status, in rising order", runsStatus.updated(upwards), []string{"runs_status"}},
		{"runs that have not changed for longest", runsUpdated(upwards), []string{"runs_rested", "runs_status"}},
		{"counts of runs", sqlCount + runsCreated.created(downwards) + sqlCounted, []string{"runs_created", "sqlite_autoindex_runs_1"}},
		{"counts of runs that changed", sqlCount + runsUpdated(downwards) + sqlCounted, []string{"runs_rested", "runs_status", "sqlite_autoindex_runs_1"}},
		{"whether an owner is drained", sqlDrained, []string{"PRIMARY KEY"}},
		{"draining an owner", sqlDrain, []string{"PRIMARY KEY"}},
		{"runs that are due", sqlRunsDue, []string{"runs_wake", "runs_wake"}},
		{"a count by status", runsStatus.count(), []string{"runs_status"}},
		{"a count by label", runsLabel.count(), []string{"PRIMARY KEY", "sqlite_autoindex_runs_1"}},
		{"a count by wait", runsWaiting.count(), []string{"waits_run_kind", "waits_run_kind", primary}},
		{"a count by change", runsChanged.count(), []string{"runs_rested", "runs_status"}},
		{"waits", sqlWaits, []string{"waits_created"}},
		{"waits by kind", sqlWaitsByKind, []string{"waits_kind"}},
		{"waits by key", sqlWaitsByKey, []string{"waits_key"}},
		{"waits by run", sqlWaitsByRun, []string{"waits_run", "sqlite_autoindex_runs_1"}},
		{"waits by root", sqlWaitsByRoot, []string{"waits_root"}},
		{"the feed", sqlFeed, []string{primary, primary}},
		{"the end of the feed", sqlFeedEnd, []string{"ledger"}},
		{"what was before a run", sqlBefore, []string{"sqlite_autoindex_runs_1", "sqlite_autoindex_ledger_1"}},
		{"the position of a run", sqlPosition, []string{"sqlite_autoindex_runs_1", "messages_open", "waits_run (run_no=? AND wait_key>?)"}},
		{"the records of a run", sqlRecords, []string{"sqlite_autoindex_ledger_1"}},
		{"the snapshot of a run", sqlSnapshot, []string{primary}},
		{"a command", sqlCommand, []string{"PRIMARY KEY"}},

		{"appending to the ledger", sqlInsertRecords, []string{"ledger"}},
		{"finding a run to commit", sqlFindRun, []string{"sqlite_autoindex_runs_1"}},
		{"advancing a run", sqlAdvanceRun, []string{primary}},
		{"updating a run", sqlUpdateRun, []string{primary}},
		{"the owner of a run", sqlOwner, []string{primary}},
		{"closing a wait", sqlDeleteWait, []string{"sqlite_autoindex_waits_1"}},

		{"telling a run by its id", sqlTellRun, []string{"sqlite_autoindex_runs_1"}},
		{"telling a run by its number", sqlTellNo, []string{primary}},
		{"telling the runs that wait", sqlTellWaiting, []string{primary, "waits_key"}},
		{"who listens", sqlListeners, []string{"waits_key"}},
		{"a message to a run", sqlFindDirect, []string{"sqlite_autoindex_messages_1"}},
		{"a message that was sent", sqlSent, []string{"sqlite_autoindex_messages_1"}},
		{"a message to a key", sqlFindKeyed, []string{"sqlite_autoindex_messages_1", "waits_run", "waits_star"}},
		{"taking a message", sqlTake, []string{primary}},
		{"mail to a key for a new wait", sqlKeptKeyed, []string{"messages_open"}},
		{"mail to a run for a new wait", sqlKeptDirect, []string{"messages_open", "waits_run", "waits_star"}},
		{"the mail of a run", sqlDirect, []string{"messages_open", "waits_run", "waits_star"}},
		{"all mail of a run", sqlAllDirect, []string{"messages_open"}},
		{"the mailboxes of a run", sqlMailboxes, []string{"waits_run", "messages_open", "messages_open", "messages_open"}},
		{"the waits for many keys", sqlStars, []string{"waits_star"}},
		{"the next mailbox", sqlNextMailbox, []string{"messages_open"}},
		{"a mailbox", sqlMailbox, []string{"messages_open"}},
		{"a message", sqlMessage, []string{primary}},
		{"kept broadcasts", sqlBroadcasts, []string{"broadcasts_key"}},
		{"pruning broadcasts", sqlPruneBroadcasts, []string{primary, "broadcasts_until"}},
		{"a document", sqlDocument, []string{"PRIMARY KEY"}},
		{"the revision of a document", sqlRevision, []string{"PRIMARY KEY"}},
		{"documents", sqlDocuments, []string{"PRIMARY KEY (kind=? AND doc_id>? AND doc_id<?)"}},

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
		{"deleting the labels of a run", sqlDeleteRun[0], []string{"PRIMARY KEY", primary}},
		{"deleting the snapshot of a run", sqlDeleteRun[1], []string{primary}},
		{"deleting the commands of a run", sqlDeleteRun[2], []string{"PRIMARY KEY"}},
		{"deleting the waits of a run", sqlDeleteRun[3], []string{"waits_run"}},
		{"deleting a run", sqlDeleteRun[4], []string{primary}},
		{"deleting the records of a run", sqlDeleteRun[5], []string{"sqlite_autoindex_ledger_1", "ledger"}},
		{"digging a grave", sqlDeleteRun[6], []string{"sqlite_autoindex_ledger_1"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			plan := explainPlan(t, s, test.sql)
			var reads []string
			for _, step := range plan {
				switch {
				case strings.HasPrefix(step, "SCAN json_each"), strings.Contains(step, "VIRTUAL TABLE"): // the items of a parameter or a row
				case strings.HasPrefix(step, "SCAN (subquery"), step == "SCAN counted": // of what it has found
				case slices.Contains(filters, step):
				case strings.HasPrefix(step, "SCAN"), strings.Contains(step, "TEMP B-TREE") && !slices.Contains(sorting, test.sql):
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
