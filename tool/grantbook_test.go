package tool_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/tool"
)

// drawer keeps documents in memory, two to a page.
type drawer struct {
	mu   sync.Mutex
	docs map[string]bide.Document
}

func (d *drawer) PutDocument(_ context.Context, doc bide.Document) (int64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.docs[doc.Kind+"/"+doc.ID].Rev != doc.Rev {
		return 0, bide.ErrConflict
	}
	doc.Rev++
	d.docs[doc.Kind+"/"+doc.ID] = doc
	return doc.Rev, nil
}

func (d *drawer) Document(_ context.Context, kind, id string) (*bide.Document, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	doc, ok := d.docs[kind+"/"+id]
	if !ok {
		return nil, bide.Errorf(bide.CodeNotFound, "there is no %s %q", kind, id)
	}
	return &doc, nil
}

func (d *drawer) Documents(_ context.Context, q bide.DocumentQuery) (*bide.DocumentPage, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	page := &bide.DocumentPage{}
	for _, key := range slices.Sorted(maps.Keys(d.docs)) {
		doc := d.docs[key]
		if doc.Kind != q.Kind || !strings.HasPrefix(doc.ID, q.Prefix) || doc.ID <= q.After {
			continue
		}
		if len(page.Documents) == 2 {
			page.Next = page.Documents[1].ID
			break
		}
		page.Documents = append(page.Documents, doc)
	}
	return page, nil
}

func (d *drawer) DeleteDocument(_ context.Context, kind, id string, _ int64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.docs, kind+"/"+id)
	return nil
}

func TestAGrantCountsForItsSessionOrWorkflowUntilItIsRevoked(t *testing.T) {
	for scope, of := range map[bide.GrantScope]string{bide.GrantSession: "s", bide.GrantWorkflow: "calls"} {
		book := tool.NewGrantBook(&drawer{docs: map[string]bide.Document{}}, func() time.Time { return start })
		d := newDesk(t, &tool.Options{Grants: book})
		begin := func(id, session string) *bide.Run {
			t.Helper()
			return d.start(&bide.StartOptions{RunID: id, Session: session}, mails(1)...)
		}
		w := begin("r", "s").Waits[0]
		d.must(d.rt.Resume(ctx, "r", w.ID, bide.Approval{
			Decisions: []bide.ToolDecision{{ToolCallID: "c0", ArgsSHA256: w.Items[0].ArgsSHA256, Type: bide.VerbApprove}},
			Remember:  &bide.Remember{Scope: scope, Match: bide.GrantTool}}, bide.Command{Actor: "anna"}))
		d.results(d.tick())
		if got := d.results(begin("r2", "s"))[0]; got.Status != tool.StatusOK || got.Leave.By != tool.ByGrant || got.Leave.Reason != "grant r.1" {
			t.Errorf("%s: result = %+v with leave %+v", scope, got, got.Leave)
		}
		if run := begin("r3", "other"); (len(run.Waits) == 0) != (scope == bide.GrantWorkflow) {
			t.Errorf("%s: another session has %d waits", scope, len(run.Waits))
		}
		grants := bide.Must(book.Grants(ctx, scope, of))
		if len(grants) != 1 || grants[0].By != "anna" || grants[0].Tool != "mail" {
			t.Errorf("%s: grants = %+v", scope, grants)
		}
		if err := book.RevokeGrant(ctx, scope, of, grants[0].ID, "ben"); err != nil {
			t.Fatal(err)
		}
		if err := book.AddGrant(ctx, scope, of, grants[0]); err != nil {
			t.Fatal(err)
		}
		if run := begin("r4", "s"); len(run.Waits) != 1 {
			t.Errorf("%s: run = %s after the grant was revoked, want a wait", scope, run.Status)
		}
		if err := book.RevokeGrant(ctx, scope, of, "other", "ben"); !errors.Is(err, bide.ErrNotFound) {
			t.Errorf("RevokeGrant of another = %v, want ErrNotFound", err)
		}
	}
}

func TestAGrantBookHasManyPages(t *testing.T) {
	book := tool.NewGrantBook(&drawer{docs: map[string]bide.Document{}}, nil)
	for _, id := range []string{"a", "b", "c", "d", "e"} {
		if err := book.AddGrant(ctx, bide.GrantSession, "s", bide.Grant{ID: id}); err != nil {
			t.Fatal(err)
		}
	}
	if got := bide.Must(book.Grants(ctx, bide.GrantSession, "s")); len(got) != 5 {
		t.Errorf("%d grants, want 5", len(got))
	}
}

// A book that cannot be read asks.
func TestGrantsThatCannotBeReadLetNothingPass(t *testing.T) {
	d := newDesk(t, &tool.Options{Grants: lostBook{}})
	w := d.wait(d.start(nil, mails(1)...), "c0")
	if !strings.Contains(w.Items[0].Reason, "the book is lost") {
		t.Errorf("reason = %q", w.Items[0].Reason)
	}
	d.must(d.rt.Resume(ctx, "r", w.ID, bide.Approval{Decisions: []bide.ToolDecision{{ToolCallID: "c0", ArgsSHA256: w.Items[0].ArgsSHA256, Type: bide.VerbApprove}},
		Remember: &bide.Remember{Scope: bide.GrantWorkflow, Match: bide.GrantTool}}))
	if res := d.results(d.tick())[0]; res.Status != tool.StatusOK || !strings.Contains(res.Note, "for this run only: the book is lost") {
		t.Errorf("result = %s, note = %q", res.Status, res.Note)
	}
}

type lostBook struct{}

func (lostBook) Grants(context.Context, bide.GrantScope, string) ([]bide.Grant, error) {
	return nil, errors.New("the book is lost")
}

func (lostBook) AddGrant(context.Context, bide.GrantScope, string, bide.Grant) error {
	return errors.New("the book is lost")
}
