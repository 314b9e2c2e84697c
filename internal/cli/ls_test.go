package cli_test

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A listing has its order, page after page, whether the store is here or behind a server.
func TestRunsAreListedInAnOrder(t *testing.T) {
	dir := project(t)
	first := wants(t, dir, 0, []string{"start", "ask"})
	second := wants(t, dir, 0, []string{"start", "ask"})
	third := wants(t, dir, 0, []string{"start", "ask"})
	wants(t, dir, 0, []string{"work", "--once"}) // all wait for somebody
	wants(t, dir, 0, []string{"pause", second})
	wants(t, dir, 0, []string{"cancel", first})
	cursor := regexp.MustCompile(`--cursor (\S+)`)
	list := func(order string, more ...string) (ids []string) {
		t.Helper()
		next := ""
		for range 10 {
			args := append([]string{"ls", "--order", order, "-n", "1", "-o", "jsonl"}, more...)
			if next != "" {
				args = append(args, "--cursor", next)
			}
			r := bide(t, dir, args...)
			if r.code != 0 {
				t.Fatalf("bide %q = %d: %s", args, r.code, r.stderr.String())
			}
			for line := range strings.Lines(r.stdout.String()) {
				var run struct {
					ID string `json:"run_id"`
				}
				if err := json.Unmarshal([]byte(line), &run); err != nil {
					t.Fatal(err)
				}
				ids = append(ids, run.ID)
			}
			m := cursor.FindStringSubmatch(r.stderr.String())
			if m == nil {
				return ids
			}
			next = m[1]
		}
		t.Fatalf("the listing by %s does not end", order)
		return nil
	}
	wanted := map[string][]string{
		"created": {third, second, first}, "created_asc": {first, second, third},
		"updated": {first, second, third}, "updated_asc": {third, second, first},
		"status": {third, second, first}, "status_desc": {first, second, third},
	}
	check := func(more ...string) {
		t.Helper()
		for order, ids := range wanted {
			if got := list(order, more...); !slices.Equal(got, ids) {
				t.Errorf("%s %q lists %q, want %q", order, more, got, ids)
			}
		}
	}
	check()
	wants(t, dir, 2, []string{"ls", "--order", "size"}, `"size" is not an order`, "updated_asc")
	wants(t, dir, 2, []string{"ls", "--order", "status", "--cursor", "x"}, `"x" is not a cursor`)
	url, _ := serving(t, dir, "dev")
	check("--server", url)
}
