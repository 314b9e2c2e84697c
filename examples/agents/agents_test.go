package main

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/agent"
	"github.com/bide-dev/bide/store/sqlite"
)

// The program is its own server for files, and so is the test.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == fileServer {
		main()
		return
	}
	os.Exit(m.Run())
}

func play(t *testing.T, o options, in string) (agent.Output, string) {
	t.Helper()
	if o.db == "" {
		o.db = filepath.Join(t.TempDir(), "agents.db")
	}
	var out strings.Builder
	result, err := run(t.Context(), o, strings.NewReader(in), &out)
	if err != nil {
		t.Fatalf("%v, after:\n%s", err, out.String())
	}
	return result, out.String()
}

func TestTheResearcherAsksBeforeItPublishes(t *testing.T) {
	result, out := play(t, options{name: "research"}, "y\n")
	if !strings.Contains(result.Answer, "about 56 m high") || result.ExitReason != agent.ExitAnswered || result.Used.ToolCalls != 3 {
		t.Errorf("result = %+v", result)
	}
	if strings.Count(out, "May publish be called with") != 1 || strings.Contains(out, "May search") {
		t.Errorf("asked:\n%s", out)
	}
}

func TestARunThatNobodyAnswersIsGoneOnWithLater(t *testing.T) {
	o := options{name: "research", key: "k", db: filepath.Join(t.TempDir(), "agents.db")}
	_, err := run(t.Context(), o, strings.NewReader(""), io.Discard)
	if err == nil || !strings.Contains(err.Error(), "nobody answers") {
		t.Fatalf("run = %v", err)
	}
	result, out := play(t, o, "n\n")
	if result.Used.Iterations != 3 || strings.Count(out, "May publish") != 1 {
		t.Errorf("result = %+v after\n%s", result, out)
	}
}

func TestTriageGivesWhatTheSchemaSays(t *testing.T) {
	result, _ := play(t, options{name: "triage"}, "")
	if faults := bide.CheckSchema(ticket, result.Output); len(faults) > 0 || !strings.Contains(string(result.Output), `"urgency": 5`) && !strings.Contains(string(result.Output), `"urgency":5`) {
		t.Errorf("output = %s: %v", result.Output, faults)
	}
}

func TestTheReviewerReadsFilesOverAServer(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "add.go"), []byte("package add\n\nfunc Add(a, b int) int {\n\treturn a - b\n}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	db := filepath.Join(t.TempDir(), "agents.db")
	result, _ := play(t, options{name: "review", task: dir, db: db}, "")
	if !strings.Contains(result.Answer, "add.go, line 4") || result.Used.ToolCalls != 2 {
		t.Errorf("result = %+v", result)
	}
	ledger := strings.Join(ledgers(t, db), "\n")
	if !strings.Contains(ledger, `4: \treturn a - b`) && !strings.Contains(ledger, `4: \\treturn a - b`) {
		t.Error("the file's text did not come from the server")
	}
}

func TestTheTeamSharesABudget(t *testing.T) {
	result, out := play(t, options{name: "team"}, "")
	if !strings.Contains(result.Answer, "thermos flask") || result.ExitReason != agent.ExitAnswered {
		t.Errorf("result = %+v", result)
	}
	if n := strings.Count(out, "start_run"); n != 3 {
		t.Errorf("%d workers were started:\n%s", n, out)
	}
}

func TestAnUnknownAgentIsNamed(t *testing.T) {
	_, err := run(t.Context(), options{name: "poet"}, nil, io.Discard)
	if err == nil || !strings.Contains(err.Error(), `there is no agent "poet"`) {
		t.Errorf("run = %v", err)
	}
}

// ledgers are the records of all runs of a store.
func ledgers(t *testing.T, file string) (lines []string) {
	t.Helper()
	ctx := context.Background()
	db, err := sqlite.Open(ctx, file, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rt := bide.Must(bide.New(db, nil))
	for _, info := range bide.Must(rt.Runs(ctx, bide.RunQuery{})).Runs {
		for rec, err := range rt.Ledger(ctx, info.ID, 1) {
			if err != nil {
				t.Fatal(err)
			}
			lines = append(lines, string(rec.Raw))
		}
	}
	return lines
}
