package bide_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/store/mem"
)

func TestItemsAreThoseOfTheListHoweverItCameToBe(t *testing.T) {
	wf := bide.Workflow{ID: "w", Version: "1", Entry: "a", Nodes: bide.Nodes{
		"a": func(*bide.Run) (bide.StepPlan, error) {
			return bide.Go("b").Append("grown", 1).Append("grown", map[string]any{"x": []int{2}}).Set("deep.list", []int{7, 8}).Append("deep.list", "9"), nil
		},
		"b": func(*bide.Run) (bide.StepPlan, error) {
			return bide.Complete(nil).Set("grown.1.x.0", "inside"), nil
		},
	}}
	run := must[*bide.Run](t)(newRuntime(t, mem.New(), nil, wf).Run(ctx, wf, []any{1, "two"}, nil))
	var loaded bide.Run // as a snapshot brings it
	if err := json.Unmarshal(must[[]byte](t)(json.Marshal(run)), &loaded); err != nil {
		t.Fatal(err)
	}
	for _, vars := range []bide.Vars{run.Vars, loaded.Vars} {
		for path, want := range map[string]string{
			"grown": `1|{"x":["inside"]}`, "deep.list": `7|8|"9"`, "input": `1|"two"`, "grown.1.x": `"inside"`, "none": "", "deep.none": "", "grown.5": "", "none.deep.er": "",
		} {
			items, err := vars.Items(path)
			var texts []string
			for _, item := range items {
				texts = append(texts, string(item))
			}
			if got := strings.Join(texts, "|"); err != nil || got != want {
				t.Errorf("Items(%q) = %s, %v, want %s", path, got, err, want)
			}
		}
		for path, want := range map[string]string{"deep": "an object", "grown.0": "a number", "a..b": "empty part"} {
			if items, err := vars.Items(path); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("Items(%q) = %s, %v, want %q", path, items, err, want)
			}
		}
	}
	if items, err := (bide.Vars{}).Items("x"); err != nil || len(items) != 0 {
		t.Errorf("Items of the zero Vars = %s, %v", items, err)
	}
}
