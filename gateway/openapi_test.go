package gateway_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/gateway"
	"github.com/bide-dev/bide/store/mem"
)

var update = flag.Bool("update", false, "write openapi.json anew")

// describe returns the description of the API as it is checked in.
func describe(t *testing.T) []byte {
	t.Helper()
	store := mem.New()
	srv, err := gateway.New(bide.Must(bide.New(store, nil)), store, nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := srv.Description()
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestTheDescriptionIsTheOneCheckedIn(t *testing.T) {
	got := describe(t)
	if *update {
		if err := os.WriteFile("openapi.json", got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("openapi.json is not what the code describes; look at the difference after: go test ./gateway -run Description -update")
	}
}

// Every change takes an Idempotency-Key, every operation says how it refuses.
func TestTheDescriptionIsComplete(t *testing.T) {
	var doc struct {
		Paths map[string]map[string]struct {
			OperationID string                     `json:"operationId"`
			Summary     string                     `json:"summary"`
			Responses   map[string]json.RawMessage `json:"responses"`
			Parameters  []struct {
				Name        string `json:"name"`
				Description string `json:"description"`
			} `json:"parameters"`
			Security []any `json:"security"`
		} `json:"paths"`
	}
	if err := json.Unmarshal(describe(t), &doc); err != nil {
		t.Fatal(err)
	}
	if len(doc.Paths) < 30 {
		t.Fatalf("the description has %d paths", len(doc.Paths))
	}
	for path, methods := range doc.Paths {
		for method, op := range methods {
			where := method + " " + path
			keyed := false
			for _, p := range op.Parameters {
				keyed = keyed || p.Name == "Idempotency-Key"
				if p.Description == "" {
					t.Errorf("%s: nothing describes %s", where, p.Name)
				}
			}
			if keyed != (method != "get") {
				t.Errorf("%s takes an Idempotency-Key: %v", where, keyed)
			}
			if !bytes.Contains(op.Responses["default"], []byte("application/problem+json")) || op.Summary == "" {
				t.Errorf("%s does not say how it refuses, or what it is", where)
			}
			if open := !strings.HasPrefix(path, "/v1") && path != "/metrics"; open == (len(op.Security) > 0) {
				t.Errorf("%s: security %v", where, op.Security)
			}
		}
	}
}
