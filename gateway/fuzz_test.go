package gateway_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/bide-dev/bide/gateway/api"
)

// Whatever comes, the server does not fail: it answers, or refuses with a problem.
func FuzzRequests(f *testing.F) {
	for _, seed := range []struct {
		op                     uint8
		name, query, body, key string
	}{
		{0, "order", "q=status:waiting+since:1h&limit=5", `{"workflow":"approval","input":{"amount":1}}`, "k"},
		{1, "order.1", "cursor=2026-11-22T10:00:00Z_x", `{"answer":"approve"}`, ""},
		{2, "r", "at=99999999999999999999", `{"decisions":[{"tool_call_id":"c","type":"edit","args":{}}]}`, "\x00"},
		{3, "a/b", "after=-1&seq=0&from=x", `{"name":"n","interval":"1h","workflow":"approval","jitter":"-1s"}`, "é"},
		{4, "%2e%2e", "q=%22open&kind=&kind=x", `{"seq":1,"writes":[{"op":"set","path":"a..b","value":1}]}`, "k"},
		{5, "newest", "", `{"source":"bide: 1\nflow: &a [*a]"}`, "k"},
	} {
		f.Add(seed.op, seed.name, seed.query, seed.body, seed.key)
	}
	s := newServer(f, nil) // one for all: what it has heard must not hurt it
	var ops []string
	for _, op := range s.Operations() {
		if !op.Stream {
			if strings.HasSuffix(op.Path, "/stats") || strings.Contains(op.Path, "/stats/") {
				for _, query := range []string{"from=1970-01-01T00:00:00Z&to=2069-12-31T23:59:59.999999999Z&every=5w", "from=2026-11-23T10:00:00.5%2B14:00&every=1ms&internal=true", "to=9999-12-31T23:59:59Z", "q=label:a%3Db+since:1h"} {
					f.Add(uint8(len(ops)), "newest", query, "", "")
				}
			}
			ops = append(ops, op.Method+" "+op.Path)
		}
	}
	f.Fuzz(func(t *testing.T, n uint8, name, query, body, key string) {
		method, path, _ := strings.Cut(ops[int(n)%len(ops)], " ")
		for strings.Contains(path, "{") {
			before, rest, _ := strings.Cut(path, "{")
			_, after, _ := strings.Cut(rest, "}")
			path = before + strings.NewReplacer("{", "", "}", "").Replace(name) + after
		}
		req := &http.Request{Method: method, URL: &url.URL{Path: path, RawQuery: query}, Header: http.Header{}, Host: "x", Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body))}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Idempotency-Key", key)
		req.Header.Set("Authorization", "Bearer admin")
		rec := httptest.NewRecorder()
		s.ServeHTTP(rec, req.WithContext(t.Context()))
		var p api.Problem
		switch {
		case rec.Code >= 500:
			t.Errorf("%s %s?%s %q = %d %s", method, path, query, body, rec.Code, rec.Body)
		case rec.Code >= 400 && (json.Unmarshal(rec.Body.Bytes(), &p) != nil || p.Code == "" || p.Status != rec.Code):
			t.Errorf("%s %s?%s %q = %d %s, which is no problem", method, path, query, body, rec.Code, rec.Body)
		}
	})
}
