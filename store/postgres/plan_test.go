package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/bide-dev/bide/internal/pgtest"
)

// big fills the tables with 10,000 runs and what belongs to them.
const big = `
	INSERT INTO runs (run_id, seq, head, status, wake_at, node, step, version, definition, updated_at, mail_seen,
		workflow, run_key, session, actor, parent, created_at, set_aside, owner, owned, ready_at, root, origin, txn)
	SELECT 'run-' || i, 2, sha256('x'), CASE WHEN i % 200 = 3 THEN 'failed' ELSE (ARRAY['running', 'waiting', 'completed', 'cancelled', 'paused'])[1 + i % 5] END,
		CASE WHEN i % 5 = 1 THEN i END, 'node', 1, '1', 'd', i, 0,
		'wf-' || i % 20, '', CASE WHEN i % 10 = 0 THEN 's-' || i % 100 ELSE '' END, '', CASE WHEN i % 7 = 0 THEN 'run-' || i / 7 ELSE '' END,
		i, CASE WHEN i % 500 = 0 THEN 'broken' ELSE '' END, CASE WHEN i % 50 = 0 THEN 'w-' || i % 8 ELSE '' END, i % 50 = 0,
		CASE WHEN i % 5 = 0 AND i % 50 > 0 THEN i END, CASE WHEN i % 7 = 0 THEN 'run-' || i / 7 END, CASE WHEN i % 11 = 0 THEN 'run-' || i / 11 ELSE '' END, 0
	FROM generate_series(1, 10000) AS i;
	INSERT INTO ledger SELECT 'run-' || i, s, repeat('x', 200) FROM generate_series(1, 10000) AS i, generate_series(1, 2) AS s;
	INSERT INTO waits SELECT 'run-' || i, 'run-' || i || '.1', CASE WHEN i % 400 = 0 THEN 'form' ELSE (ARRAY['question', 'event', 'job'])[1 + i % 3] END, 'k-' || i, i, '{}', '/k-' || i,
		CASE WHEN i % 100 = 0 THEN '/k-' || i || '0' END, i, i % 200 > 0, i, i FROM generate_series(1, 10000) AS i;
	INSERT INTO mail SELECT '/k-' || i, 'm-' || i, 'k-' || i, NULL, i, i, 0, i % 300 > 0, i % 3 = 0 FROM generate_series(1, 10000) AS i;
	INSERT INTO broadcasts SELECT '/k-' || i, 'b-' || i, 'k-' || i, NULL, i, i + 100, i, 0, i % 300 > 0 FROM generate_series(1, 10000) AS i;
	INSERT INTO labels SELECT 'run-' || i, '["a","' || i % 500 || '"]', i FROM generate_series(1, 10000) AS i;
	INSERT INTO labels SELECT 'run-' || i, '["all",""]', i FROM generate_series(1, 10000) AS i;
	INSERT INTO documents SELECT 'flow', 'f-' || i, 1, '{}', i FROM generate_series(1, 10000) AS i;
	INSERT INTO feed_new SELECT i, i, 0, 1, ARRAY['run-' || i], ARRAY[0], ARRAY[1], ARRAY[1] FROM generate_series(1, 10000) AS i;
	INSERT INTO feed SELECT i, 1, ARRAY['run-' || i], ARRAY[0], ARRAY[1], ARRAY[1] FROM generate_series(1, 10000) AS i;
	INSERT INTO snapshots SELECT 'run-' || i, 1, 'x' FROM generate_series(1, 10000) AS i;
	INSERT INTO commands SELECT 'run-' || i, 'cmd', 'x', 1 FROM generate_series(1, 10000) AS i;
	INSERT INTO owners SELECT 'w-' || i, i FROM generate_series(0, 200) AS i;
	ANALYZE`

// TestStatementsUseTheIndexesTheyName explains every statement on tables with
// 10,000 runs: with and without the store's settings, planned for its parameters and
// as a plan that is kept for all.
func TestStatementsUseTheIndexesTheyName(t *testing.T) {
	url := pgtest.Start(t)
	s, err := Open(t.Context(), url, &Options{Sweep: time.Hour}) // the tables stay as they are filled
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	conn, err := s.pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	for sql := range strings.SplitSeq(big, ";\n") {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	ids, ints, times := []string{"run-7", "run-70"}, []int64{2, 2}, []int64{9, 9}
	heads := [][]byte{{1}, {2}}
	listing := func(more ...any) []any {
		return append([]any{"", "", "", "", "", "", []string{}, "", false, nil, nil, nil, nil, int64(9999), "run-9999", 100}, more...)
	}
	advance := []any{int64(1), ids, ints, ids, int64(1), ids, ints, heads, ints, ints, heads, ids, times, ids, ints, ids, ids, times, times, ints, ids, ints}
	waits := []any{[]string{}, "", "", int64(5), "run-5.1", 100}
	bools := []bool{false, true}
	columns := []any{ids, ints, heads, ids, times, ids, ints, ids, ids, times, times, ints, ids, ints}
	create := append(append([]any{int64(1), ids, ints, ids, int64(1), int64(1), ids}, columns...), ids, ids, ids, ids, ids, ids, ids, ids, times)
	for _, test := range []struct {
		name, sql string
		args      []any
		indexes   []string
	}{
		{"advance", sqlAdvanceAll, advance, []string{"runs_pkey"}},
		{"take", sqlAdvanceTook, slices.Concat(advance, []any{ids, ids, ids, bools}), []string{"runs_pkey", "mail_pkey"}},
		{"create", sqlCreateTook, slices.Concat(create, []any{ids, ids, ids, bools}), []string{"runs_pkey", "mail_pkey"}},
		{"send", sqlSend, []any{int64(1), ids, ids, ids, ids, ids, times, []int32{1, 2}}, []string{"runs_pkey"}},
		{"send what is taken", sqlSendTaken, []any{int64(1), ids, ids, ids, ids, times, []int32{1, 2}}, []string{"runs_pkey"}},
		{"lock mail", sqlLockMail, []any{ids, ids}, []string{"mail_pkey"}},
		{"close waits", sqlCloseWaits, []any{int64(1), ids, ids}, []string{"runs_pkey", "waits_pkey"}},
		{"put labels", sqlPutLabels, []any{int64(1), ids, ids}, []string{"runs_pkey"}},
		{"take mail", sqlTakeMail, []any{int64(1), ids, ids, ids}, []string{"runs_pkey", "mail_pkey"}},
		{"copy", sqlCopy, []any{int64(1), ids, ids, ids, ids, times, []int32{1, 2}, []int32{1, 2}, ids}, []string{"waits_key"}},
		{"copy what is kept", sqlCopyKept, []any{ids, ids, false}, []string{"waits_pkey", "broadcasts_"}},
		{"copy what is kept late", sqlCopyLate, []any{ids, ids, true}, []string{"waits_pkey", "broadcasts_", "runs_pkey"}},
		{"copy again", sqlCopyAgain, []any{ids, ids, ids, ids}, []string{"broadcasts_", "waits_key", "runs_pkey"}},
		{"unkeep", sqlUnkeep, []any{ids, ids, times}, []string{"broadcasts_"}},
		{"keep", sqlKeep, []any{int64(1), ids, ids, ids, ids, ids, times, times, []int32{1, 2}}, []string{"runs_pkey"}},
		{"forget broadcasts", sqlForgetBroadcasts, []any{int64(5)}, []string{"broadcasts_until"}},
		{"untold broadcasts", sqlBroadcastsUntold, []any{int64(5), 100}, []string{"broadcasts_untold"}},
		{"delete", sqlDelete, []any{ids, ints, heads, ints}, []string{"runs_pkey", "ledger_pkey", "waits_pkey", "commands_pkey", "snapshots_pkey", "labels_pkey", "mail_pkey"}},
		{"where", sqlWhere, []any{ids, ints}, []string{"runs_pkey", "ledger_pkey"}},
		{"tell", sqlTell, []any{ids, ids, ids, ids}, []string{"mail_pkey", "waits_key", "runs_pkey"}},
		{"look", sqlLook, []any{ids, ids, ids, ids}, []string{"waits_pkey", "mail_waiting", "runs_pkey"}},
		{"untold", sqlUntold, []any{int64(5), 100}, []string{"mail_untold"}},
		{"unlooked", sqlUnlooked, []any{int64(5), 100}, []string{"waits_unlooked"}},
		{"find took", sqlFindTook, []any{"run-7", ids}, []string{"mail_pkey", "waits_pkey"}},
		{"position", sqlPosition, []any{"run-7"}, []string{"runs_pkey"}},
		{"snapshot", sqlSnapshot, []any{"run-7"}, []string{"snapshots_pkey"}},
		{"records", sqlRecords, []any{"run-7", int64(1), int64(100)}, []string{"ledger_pkey"}},
		{"records after snapshot", sqlRecordsAfterSnapshot, []any{"run-7"}, []string{"ledger_pkey", "snapshots_pkey"}},
		{"command", sqlCommand, []any{"run-7", "cmd"}, []string{"commands_pkey"}},
		{"mail", sqlMail, []any{"run-7", 101}, []string{"waits_pkey", "mail_waiting"}},
		{"all mail", sqlAllMail, []any{"run-7"}, []string{"mail_waiting"}},
		{"mail of many keys", sqlWideMail, []any{"run-7", 101}, []string{"waits_pkey", "mail_waiting"}},
		{"claim", sqlClaim, []any{"w-1", int64(9000), 32, false, []string{"wf-1/1", "wf-5/1"}, int64(1), 64, int64(2)}, []string{"runs_ready", "runs_due", "runs_owner", "runs_pkey", "ledger_pkey", "snapshots_pkey"}},
		{"release", sqlReleaseAll, []any{"w-1", false}, []string{"runs_owner"}},
		{"release some", sqlReleaseSome, []any{"w-1", false, ids}, []string{"runs_pkey"}},
		{"next wake", sqlNextWake, []any{int64(8000)}, []string{"runs_due"}},
		{"feed", sqlFeed, []any{int64(5000), int64(100), ""}, []string{"feed_pkey", "runs_pkey", "ledger_pkey"}},
		{"feed that is fresh", sqlFeedAny, nil, []string{"feed_new_pkey"}},
		{"feed that moves", sqlFeedMove, []any{100}, []string{"feed_new_pkey", "feed_end_pkey"}},
		{"feed that is dead", sqlFeedDead, []any{int64(5), 500}, []string{"feed_pkey", "runs_pkey"}},
		{"feed that is pruned", sqlFeedPrune, []any{times}, []string{"feed_pkey"}},
		{"document", sqlDocument, []any{"flow", "f-7"}, []string{"documents_pkey"}},
		{"documents", sqlDocuments, []any{"flow", "f-7", "", 100}, []string{"documents_pkey"}},
		{"document that changes", sqlChangeDocument, []any{"flow", "f-7", int64(1), "{}", int64(1)}, []string{"documents_pkey"}},
		{"document that is deleted", sqlDeleteDocument, []any{"flow", "f-7", int64(1)}, []string{"documents_pkey"}},
		{"runs", sqlRuns, listing(), []string{"runs_created"}},
		{"runs by status", sqlRuns, with(listing(), 0, "failed"), []string{"runs_status"}},
		{"runs by workflow", sqlRuns, with(listing(), 1, "wf-3"), []string{"runs_workflow"}},
		{"runs by session", sqlRuns, with(listing(), 2, "s-10"), []string{"runs_session"}},
		{"runs by parent", sqlRuns, with(listing(), 3, "run-9"), []string{"runs_parent"}},
		{"runs by origin", sqlRuns, with(listing(), 5, "run-9"), []string{"runs_origin"}},
		{"runs of a tree", sqlTree, with(listing(), 4, "run-9"), []string{"runs_pkey", "runs_root"}},
		{"runs of a tree by change", sqlTreeChanged, with(listing(), 4, "run-9"), []string{"runs_pkey", "runs_root"}},
		{"runs with a label", sqlLabelled, with(listing(`["a","7"]`), 6, []string{`["a","7"]`}), []string{"labels_label", "runs_pkey"}},
		{"runs with labels", sqlLabelled, with(listing(`["a","7"]`), 6, []string{`["a","7"]`, `["all",""]`}), []string{"labels_label", "labels_pkey", "runs_pkey"}},
		{"runs with a label by change", sqlLabelledChanged, with(listing(`["a","7"]`), 6, []string{`["a","7"]`}), []string{"labels_label", "runs_pkey"}},
		{"runs by kind of wait", sqlWaiting, with(listing(), 7, "form"), []string{"waits_kind", "runs_pkey"}},
		{"runs by kind of many waits", sqlRuns, with(listing(), 7, "job"), []string{"runs_created", "waits_pkey"}},
		{"runs set aside", sqlRuns, with(listing(), 8, true), []string{"runs_aside"}},
		{"runs of a time", sqlRuns, with(listing(), 9, int64(9990)), []string{"runs_created"}},
		{"runs by change", sqlChanged, listing(), []string{"runs_status", "runs_settled"}},
		{"runs that changed in a time", sqlChangedByCreated, with(with(listing(), 11, int64(9990)), 12, int64(9995)), []string{"runs_settled"}},
		{"runs, the oldest first", ascending.Replace(sqlRuns), with(with(listing(), 13, int64(1)), 14, ""), []string{"runs_created"}},
		{"runs by status, the oldest first", ascending.Replace(sqlRuns), with(with(with(listing(), 0, "failed"), 13, int64(1)), 14, ""), []string{"runs_status"}},
		{"runs that have not changed for longest", ascending.Replace(sqlChanged), with(with(listing(), 13, int64(1)), 14, ""), []string{"runs_status", "runs_settled"}},
		{"runs that are counted", fmt.Sprintf(sqlCount, 17, 18, 19, sqlRuns), listing(int64(1000), "team", false), []string{"runs_created", "runs_pkey"}},
		{"runs that are counted by change", fmt.Sprintf(sqlCount, 17, 18, 19, sqlChanged), with(listing(int64(1000), "team", true), 11, int64(9990)), []string{"runs_settled", "runs_pkey"}},
		{"draining", sqlDrain, []any{"w-1", true}, []string{"owners_pkey"}},
		{"runs that are due", sqlRunsDue, listing(int64(9000)), []string{"runs_wake"}},
		{"waits", sqlWaits, waits, []string{"waits_created"}},
		{"waits by kind", sqlWaitsByKind, with(waits, 0, []string{"form", "job"}), []string{"waits_kind"}},
		{"waits by key", sqlWaitsByKey, with(waits, 1, "k-77"), []string{"waits_key"}},
		{"waits of a run", sqlWaitsOfRun, with(waits, 2, "run-77"), []string{"waits_pkey"}},
		{"waits of a tree", sqlWaitsOfTree, append(slices.Clone(waits), "run-77"), []string{"runs_root", "waits_pkey"}},
		{"few waits", sqlFewWait, []any{"form"}, []string{"waits_kind"}},
		{"rarest label", sqlRarest, []any{[]string{`["a","7"]`, `["all",""]`}}, []string{"labels_label"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			modes := []string{"force_custom_plan", "force_generic_plan"}
			if strings.HasPrefix(test.name, "runs") || strings.HasPrefix(test.name, "waits") {
				modes = modes[:1] // listings are planned for their values
			}
			for _, mode := range modes {
				wantNoScan(t, explain(t, conn.Conn(), sqlUnset+"; SET LOCAL plan_cache_mode = "+mode, test.sql, test.args))
				plan := explain(t, conn.Conn(), "SET LOCAL plan_cache_mode = "+mode, test.sql, test.args)
				wantNoScan(t, plan)
				for _, index := range test.indexes {
					if !strings.Contains(plan, index) {
						t.Errorf("with %s it does not use the index %s:\n%s", mode, index, plan)
					}
				}
				if strings.Contains(plan, "Sort Key: runs") && !sorts[test.name] {
					t.Errorf("with %s it sorts runs:\n%s", mode, plan)
				}
			}
		})
	}
}

// sorts are the listings that sort what an index has selected.
var sorts = map[string]bool{"runs by kind of wait": true, "runs of a tree": true, "runs of a tree by change": true, "runs by change": true, "runs with a label by change": true, "runs that changed in a time": true,
	"runs that have not changed for longest": true, "runs that are counted": true, "runs that are counted by change": true}

// sqlUnset leaves the server to itself.
const sqlUnset = `SET LOCAL enable_seqscan = on; SET LOCAL enable_bitmapscan = on; SET LOCAL enable_hashjoin = on; SET LOCAL enable_mergejoin = on`

// wantNoScan checks that no table that grows is read as a whole.
func wantNoScan(t *testing.T, plan string) {
	t.Helper()
	for _, table := range []string{"runs", "ledger", "waits", "mail", "commands", "snapshots", "labels", "documents", "broadcasts", "feed"} {
		if strings.Contains(plan, "Seq Scan on "+table+" ") {
			t.Errorf("it reads the whole of %s:\n%s", table, plan)
		}
	}
}

func with(args []any, i int, v any) []any {
	args = slices.Clone(args)
	args[i] = v
	return args
}

// explain returns the plan of a statement under some settings.
func explain(t *testing.T, conn *pgx.Conn, settings, sql string, args []any) string {
	t.Helper()
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(context.Background())
	if _, err := tx.Exec(t.Context(), settings); err != nil {
		t.Fatal(err)
	}
	rows, err := tx.Query(t.Context(), "EXPLAIN "+sql, args...)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(lines, "\n")
}
