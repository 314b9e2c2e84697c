package storetest

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bide-dev/bide"
)

// doc is a document of kind flow.
func doc(id string, rev int64, body string) bide.Document {
	return bide.Document{Kind: "flow", ID: id, Rev: rev, Body: bide.JSON(body), UpdatedAt: start}
}

// put stores a document and returns it as it is then.
func put(t *testing.T, s bide.Documents, d bide.Document) bide.Document {
	t.Helper()
	rev, err := s.PutDocument(t.Context(), d)
	if err != nil || rev != d.Rev+1 {
		t.Fatalf("PutDocument(%s, %q, revision %d) = %d, %v, want the next revision", d.Kind, d.ID, d.Rev, rev, err)
	}
	d.Rev = rev
	return d
}

// wantDocument checks what is stored of a document.
func wantDocument(t *testing.T, s bide.Documents, want bide.Document) {
	t.Helper()
	got, err := s.Document(t.Context(), want.Kind, want.ID)
	if err != nil {
		t.Errorf("Document(%s, %q) = %v", want.Kind, want.ID, err)
		return
	}
	same(t, "the document", *got, want)
	if got.UpdatedAt.Location() != time.UTC {
		t.Errorf("%v is not in UTC", got.UpdatedAt)
	}
}

func documentsKept(t *testing.T, s Store) {
	ids := []string{"a", "A", "a/b", "../a", "..", ".", "a.json", "a b", "é", "e\u0301", "😀", "%", "_", `\`, "'; --", "CON", "a:b", "a\nb", "a_b", "-a", strings.Repeat("x", 200), strings.Repeat("é", 100), strings.Repeat(" ", 200)}
	var all []bide.Document
	for i, id := range ids {
		for _, kind := range []string{"flow", "Flow", "a-b_C9"} {
			d := bide.Document{Kind: kind, ID: id, Body: fmt.Appendf(nil, `{"z":1.0, "a":"<\u2028>é","i":%d,"n":9007199254740993}`, i), UpdatedAt: start.Add(time.Duration(i) * time.Microsecond)}
			all = append(all, put(t, s, d))
		}
	}
	for _, d := range all {
		wantDocument(t, s, d)
	}
	for i, body := range []string{`null`, `"text"`, `[]`, `1e400`, `"` + strings.Repeat("0123456789", 100_000) + `"`} {
		d := all[0]
		d.Body, d.UpdatedAt = bide.JSON(body), start.Add(time.Duration(i)*time.Hour)
		all[0] = put(t, s, d)
		wantDocument(t, s, all[0])
	}
	for _, key := range [][2]string{{"flow", "b"}, {"flow", ""}, {"FLOW", "a"}, {"flow", "a "}} {
		if key[1] != "" {
			_, err := s.Document(t.Context(), key[0], key[1])
			wantError(t, fmt.Sprintf("Document(%q)", key), err, bide.ErrNotFound)
			ok(t, s.DeleteDocument(t.Context(), key[0], key[1], 1))
		}
	}
	for i, d := range all {
		if i%2 == 0 {
			ok(t, s.DeleteDocument(t.Context(), d.Kind, d.ID, d.Rev))
		}
	}
	for i, d := range all {
		if i%2 == 1 {
			wantDocument(t, s, d)
			continue
		}
		_, err := s.Document(t.Context(), d.Kind, d.ID)
		wantError(t, fmt.Sprintf("Document(%s, %q) after it was deleted", d.Kind, d.ID), err, bide.ErrNotFound)
	}
}

func documentRevisions(t *testing.T, s Store) {
	_, err := s.PutDocument(t.Context(), doc("a", 1, `"no"`))
	wantError(t, "PutDocument at revision 1 of one that is not there", err, bide.ErrConflict)
	_, err = s.Document(t.Context(), "flow", "a")
	wantError(t, "Document that was refused", err, bide.ErrNotFound)
	ok(t, s.DeleteDocument(t.Context(), "flow", "a", 0))
	ok(t, s.DeleteDocument(t.Context(), "flow", "a", 7))
	d := put(t, s, doc("a", 0, `"one"`))
	d.Body = bide.JSON(`"two"`)
	d = put(t, s, d)
	for _, rev := range []int64{-1, 0, 1, 3} {
		_, err := s.PutDocument(t.Context(), doc("a", rev, `"no"`))
		wantError(t, fmt.Sprintf("PutDocument at revision %d of one at 2", rev), err, bide.ErrConflict)
		wantError(t, fmt.Sprintf("DeleteDocument at revision %d of one at 2", rev), s.DeleteDocument(t.Context(), "flow", "a", rev), bide.ErrConflict)
	}
	wantDocument(t, s, d)
	other := doc("a", 0, `"other"`)
	other.Kind = "grant"
	wantDocument(t, s, put(t, s, other)) // kinds have nothing to do with each other
	ok(t, s.DeleteDocument(t.Context(), "flow", "a", 2))
	ok(t, s.DeleteDocument(t.Context(), "flow", "a", 2))
	_, err = s.PutDocument(t.Context(), d)
	wantError(t, "PutDocument at revision 2 of one that was deleted", err, bide.ErrConflict)
	wantDocument(t, s, put(t, s, doc("a", 0, `"anew"`)))
}

func documentRace(t *testing.T, s Store) {
	const writers, rounds = 4, 15
	var all sync.WaitGroup
	for i := range writers {
		all.Go(func() {
			for done := 0; done < rounds; {
				d := doc("counter", 0, fmt.Sprintf(`"writer %d"`, i))
				if was, err := s.Document(t.Context(), d.Kind, d.ID); err == nil {
					d.Rev = was.Rev
				} else if !errors.Is(err, bide.ErrNotFound) {
					t.Errorf("Document = %v", err)
					return
				}
				switch rev, err := s.PutDocument(t.Context(), d); {
				case err == nil && rev == d.Rev+1:
					done++
				case !errors.Is(err, bide.ErrConflict):
					t.Errorf("PutDocument at revision %d = %d, %v", d.Rev, rev, err)
					return
				}
			}
		})
	}
	all.Wait()
	if d, err := s.Document(t.Context(), "flow", "counter"); err != nil || d.Rev != writers*rounds {
		t.Errorf("Document = %+v, %v, want revision %d", d, err, writers*rounds)
	}
}

// wantDocuments checks which documents a query gives, in one page and in small ones.
func wantDocuments(t *testing.T, s bide.Documents, q bide.DocumentQuery, want ...string) {
	t.Helper()
	for _, limit := range []int{0, 1, 2, 3, len(want)} {
		q.Limit, q.After = limit, ""
		var got []string
		for {
			page, err := s.Documents(t.Context(), q)
			if err != nil {
				t.Fatalf("Documents(%+v) = %v", q, err)
			}
			if n := len(page.Documents); n > bide.PageLimit(limit) || n == 0 && q.After != "" {
				t.Fatalf("Documents(%+v) gives %d documents", q, n)
			}
			for _, d := range page.Documents {
				wantDocument(t, s, d)
				got = append(got, d.ID)
			}
			if q.After = page.Next; page.Next == "" {
				break
			}
		}
		same(t, fmt.Sprintf("Documents(%+v) by pages of %d", q, limit), got, want)
	}
}

func documentsListed(t *testing.T, s Store) {
	wantDocuments(t, s, bide.DocumentQuery{Kind: "flow"})
	for _, id := range []string{"b", "a", "ab", "a%b", "a_b", "aé", "aZ", "a😀b", "a\uffff", "B", "é", "a/c", "a/b", "a\U0010ffffb"} {
		put(t, s, doc(id, 0, `1`))
	}
	other := doc("ax", 0, `1`)
	other.Kind = "flows"
	put(t, s, other)
	wantDocuments(t, s, bide.DocumentQuery{Kind: "flow"}, "B", "a", "a%b", "a/b", "a/c", "aZ", "a_b", "ab", "aé", "a\uffff", "a😀b", "a\U0010ffffb", "b", "é")
	wantDocuments(t, s, bide.DocumentQuery{Kind: "flow", Prefix: "a"}, "a", "a%b", "a/b", "a/c", "aZ", "a_b", "ab", "aé", "a\uffff", "a😀b", "a\U0010ffffb")
	wantDocuments(t, s, bide.DocumentQuery{Kind: "flow", Prefix: "a/"}, "a/b", "a/c")
	wantDocuments(t, s, bide.DocumentQuery{Kind: "flow", Prefix: "a%"}, "a%b")
	wantDocuments(t, s, bide.DocumentQuery{Kind: "flow", Prefix: "a_"}, "a_b")
	wantDocuments(t, s, bide.DocumentQuery{Kind: "flow", Prefix: "a\U0010ffff"}, "a\U0010ffffb")
	wantDocuments(t, s, bide.DocumentQuery{Kind: "flow", Prefix: "A"})
	wantDocuments(t, s, bide.DocumentQuery{Kind: "flows"}, "ax")
	wantDocuments(t, s, bide.DocumentQuery{Kind: "Flow"})
	page, err := s.Documents(t.Context(), bide.DocumentQuery{Kind: "flow", Prefix: "a", After: "a0"}) // not there
	if err != nil || len(page.Documents) != 7 {
		t.Errorf("Documents after a0 = %v, %v, want 7", page, err)
	}
	ok(t, s.DeleteDocument(t.Context(), "flow", "a/b", 1))
	wantDocuments(t, s, bide.DocumentQuery{Kind: "flow", Prefix: "a/"}, "a/c")
}

func documentsRefused(t *testing.T, s Store) {
	for _, key := range [][2]string{
		{"", "a"}, {"a/b", "a"}, {"..", "a"}, {"é", "a"}, {"a b", "a"}, {"flow", ""}, {"flow", strings.Repeat("x", 201)}, {"flow", "a\xff"}, {"flow", "a\x00"},
	} {
		what := fmt.Sprintf("(%.20q, %.20q)", key[0], key[1])
		d := doc(key[1], 0, `1`)
		d.Kind = key[0]
		_, err := s.PutDocument(t.Context(), d)
		wantError(t, "PutDocument"+what, err, bide.ErrInvalidInput)
		_, err = s.Document(t.Context(), key[0], key[1])
		wantError(t, "Document"+what, err, bide.ErrInvalidInput)
		wantError(t, "DeleteDocument"+what, s.DeleteDocument(t.Context(), key[0], key[1], 1), bide.ErrInvalidInput)
	}
}
