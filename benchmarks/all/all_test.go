package main

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bide-dev/bide/benchmarks/internal/bench"
)

var found = []*bench.Measurement{
	{Question: "machine", Setting: map[string]string{"go": "go1"}},
	runs("mem", "1", 10_000), runs("mem", "64", 20_000), runs("sqlite", "1", 500), runs("sqlite", "64", 5000),
	{Question: "throughput", Setting: setting("sqlite", "64"), Metric: "flushes", Unit: "a run", Samples: []float64{0.25}, Others: []float64{50}},
	peer("bide", "worker", 4000), peer("bide", "Run", 5000), peer("A & B", "tuned", 500),
}

func setting(store, flight string) map[string]string {
	return map[string]string{"store": store, "in flight": flight, "flush": "0s", "durability": "synchronous=FULL"}
}

func runs(store, flight string, value float64) *bench.Measurement {
	return &bench.Measurement{Question: "throughput", Setting: setting(store, flight), Metric: "runs", Unit: "runs/s",
		Samples: []float64{value, value / 2, value * 2}, Others: []float64{1, 90, 2}}
}

func peer(library, variant string, value float64) *bench.Measurement {
	s := setting(bench.SQLite, "64")
	s["library"], s["variant"], s["version"], s["set"] = library, variant, "v1", "nothing"
	return &bench.Measurement{Question: "peers", Setting: s, Metric: "runs", Unit: "runs/s", Samples: []float64{value}}
}

func TestTablesHaveWhatWasFound(t *testing.T) {
	text := markdown(found)
	for _, want := range []string{
		"- go: go1\n",
		"| sqlite | kill -9 and loss of power | synchronous=FULL |\n",
		"| flush | store | in flight | runs, runs/s | flushes, a run |\n",
		"| 0s | mem | 64 | 30,000 (20,000-40,000) |  |\n", // the sample taken while others were at work is left out
		"| 0s | sqlite | 64 | 7,500 (5,000-10,000) | 0.250 † |\n",
		"| 0s | sqlite | A & B | tuned | v1 | synchronous=FULL | 500 |\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the tables lack %q:\n%s", want, text)
		}
	}
	if strings.Contains(text, "### A long run") {
		t.Error("there is a table without rows")
	}
}

func TestThePictureIsWellFormedAndHasTheBestOfEach(t *testing.T) {
	svg := picture(found)
	for d := xml.NewDecoder(strings.NewReader(svg)); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{">5,000<", ">A &amp; B<", ">500<", ">sqlite<", ">mem<", "prefers-color-scheme: dark"} {
		if !strings.Contains(svg, want) {
			t.Errorf("the picture lacks %q", want)
		}
	}
	if strings.Contains(svg, ">4,000<") {
		t.Error("the picture has a setting that is not the library's best")
	}
}

func TestOnlyWhatIsBetweenTheMarkersIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "performance.md")
	if err := os.WriteFile(path, []byte("before\n"+begin+"\nold\n"+end+"\nafter\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := replaceBetween(path, "new\n"); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if want := "before\n" + begin + "\n\nnew\n\n" + end + "\nafter\n"; err != nil || string(text) != want {
		t.Errorf("the file is %q, %v, want %q", text, err, want)
	}
	if err := os.WriteFile(path, []byte("no place"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := replaceBetween(path, "new"); err == nil || !strings.Contains(err.Error(), begin) {
		t.Errorf("without markers, replaceBetween() = %v, want an error that names them", err)
	}
}

func TestEveryTableIsOfAJob(t *testing.T) {
	for _, much := range []effort{whole, short, quick} {
		commands := map[string]bool{}
		for _, j := range jobs(much) {
			commands[j.command] = true
		}
		for _, table := range tables {
			if !commands[table.question] {
				t.Errorf("with effort %v nothing asks for %q", much, table.title)
			}
		}
	}
}
