package problem_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/gateway/api"
	"github.com/bide-dev/bide/gateway/problem"
)

func TestErrorsBecomeProblemsWithStableTypes(t *testing.T) {
	slow := &problem.Later{Problem: problem.New(api.CodeTooMany, "slower"), After: 1500 * time.Millisecond}
	for _, c := range []struct {
		err    error
		status int
		code   bide.Code
		header string
		value  string
	}{
		{bide.Errorf(bide.CodeNotFound, "no run"), 404, "not_found", "Content-Type", "application/problem+json"},
		{fmt.Errorf("look: %w", bide.Errorf(bide.CodeAlreadyDecided, "no")), 409, "already_decided", "", ""},
		{bide.Errorf(bide.CodeExpired, "late"), 410, "expired", "", ""},
		{bide.Errorf(bide.CodeArgsChanged, "other"), 412, "args_changed", "", ""},
		{bide.Errorf(bide.CodeInvalidAnswer, "bad"), 422, "invalid_answer", "", ""},
		{bide.Errorf(bide.CodeCorrupt, "broken"), 500, "corrupt", "", ""},
		{&http.MaxBytesError{Limit: 5}, 413, "too_large", "", ""},
		{slow, 429, "too_many", "Retry-After", "2"},
		{problem.New(api.CodeUnauthenticated, "who?"), 401, "unauthenticated", "WWW-Authenticate", "Bearer"},
	} {
		rec := httptest.NewRecorder()
		problem.Write(rec, c.err)
		var p api.Problem
		if err := json.Unmarshal(rec.Body.Bytes(), &p); err != nil {
			t.Fatal(err)
		}
		if rec.Code != c.status || p.Status != c.status || p.Code != c.code || p.Type != "urn:bide:problem:"+string(c.code) {
			t.Errorf("problem of %v = %d %+v, want %d %s", c.err, rec.Code, p, c.status, c.code)
		}
		if c.header != "" && rec.Header().Get(c.header) != c.value {
			t.Errorf("problem of %v: %s = %q, want %q", c.err, c.header, rec.Header().Get(c.header), c.value)
		}
	}
}

func TestWhatIsNotMeantForClientsIsNotSaid(t *testing.T) {
	rec := httptest.NewRecorder()
	problem.Write(rec, errors.New("dial 10.0.0.1: password hunter2"))
	if rec.Code != 500 || strings.Contains(rec.Body.String(), "hunter2") {
		t.Errorf("answer = %d %s", rec.Code, rec.Body)
	}
}

func TestBodiesAreReadWithinBounds(t *testing.T) {
	type value struct {
		Name string `json:"name"`
	}
	for body, status := range map[string]int{
		`{"name":"x"}`:                          200,
		`{"name":"x"} `:                         200,
		`{"name":"x"}{}`:                        400,
		`{"name":"x","more":1}`:                 400,
		`[]`:                                    400,
		``:                                      400,
		`{"name":"` + string(make([]byte, 100)): 413,
	} {
		w, r := httptest.NewRecorder(), httptest.NewRequest("POST", "/", strings.NewReader(body))
		var v value
		if err := problem.Read(w, r, 50, &v); err != nil {
			problem.Write(w, err)
		} else if v.Name != "x" {
			t.Errorf("Read(%q) = %+v", body, v)
		}
		if w.Code != status {
			t.Errorf("Read(%q) = %d %s, want %d", body, w.Code, w.Body, status)
		}
	}
}
