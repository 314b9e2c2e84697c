package abstractruntime

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/ledger/transfer"
)

// Options refines Convert. Nil means the defaults.
type Options struct {
	// Version is that of the workflows under which runs go on. Defaults to "1".
	Version string
}

// Report is what a conversion found.
type Report struct {
	Runs    int64 `json:"runs"`
	Records int64 `json:"records"` // read
	// Waiting are the runs whose wait is open and can be answered.
	Waiting int64 `json:"waiting"`
	// ChainsOK are the ledgers whose hash chain holds; ChainsNone those that never had one.
	ChainsOK   int64 `json:"chains_ok"`
	ChainsNone int64 `json:"chains_none"`
	// Notes are what could not be carried, or only in another form, by run.
	Notes []Note `json:"notes,omitempty"`
}

// Note is one thing that was not carried as it was.
type Note struct {
	RunID   string `json:"run_id,omitempty"`
	Message string `json:"message"`
}

// Convert reads the data at path and writes an export of all runs in it to w. It fails with ErrNotFound or ErrStoreForeign when
// there is no such data; what is wrong with single runs is in the report, and they are left out.
func Convert(path string, w io.Writer, opts *Options) (*Report, error) {
	c := &converter{version: "1", out: &Report{}}
	if opts != nil && opts.Version != "" {
		c.version = opts.Version
	}
	src, err := open(path)
	if err != nil {
		return nil, err
	}
	c.src = src
	err = c.all(w)
	return c.out, errors.Join(err, src.close())
}

type converter struct {
	version string
	src     source
	out     *Report
	runs    map[string]*run
}

func (c *converter) note(id, format string, args ...any) {
	c.out.Notes = append(c.out.Notes, Note{id, fmt.Sprintf(format, args...)})
}

// validID is what ids of runs look like here.
var validID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,100}$`)

func (c *converter) all(w io.Writer) error {
	c.runs = map[string]*run{}
	var order []*run
	err := c.src.runs(func(name string, text []byte) error {
		r := &run{}
		text, nans := plain(text)
		switch err := json.Unmarshal(text, r); {
		case err != nil:
			c.note("", "%s", problem(name, err))
		case !validID.MatchString(r.RunID):
			c.note(r.RunID, "%s: its id cannot be used here", name)
		case !validID.MatchString(r.WorkflowID) || c.runs[r.RunID] != nil:
			c.note(r.RunID, "%s: its workflow id %q cannot be used here, or it is there twice", name, r.WorkflowID)
		default:
			if nans > 0 {
				c.note(r.RunID, "%d values that are no numbers became null", nans)
			}
			c.runs[r.RunID] = r
			order = append(order, r)
		}
		return nil
	})
	if err != nil {
		return err
	}
	slices.SortStableFunc(order, func(a, b *run) int {
		return cmp.Or(cmp.Compare(c.depth(a), c.depth(b)), parseTime(a.CreatedAt).Compare(parseTime(b.CreatedAt)))
	})
	out, err := transfer.NewWriter(w, time.Unix(0, 0))
	if err != nil {
		return err
	}
	for _, r := range order {
		if err := c.run(out, r); err != nil {
			return err
		}
	}
	_, err = out.Close()
	return err
}

// depth is how many of a run's ancestors are there; it ends at a circle.
func (c *converter) depth(r *run) (n int) {
	for n < 100 && c.runs[r.ParentRunID] != nil {
		r = c.runs[r.ParentRunID]
		n++
	}
	return n
}

// run converts one run.
func (c *converter) run(out *transfer.Writer, r *run) error {
	text, err := c.src.steps(r.RunID)
	if err != nil {
		c.note(r.RunID, "its ledger cannot be read: %s", err)
		return nil
	}
	steps, lost, nans := split(text)
	if lost > 0 {
		c.note(r.RunID, "%d pieces of its ledger are torn and lost", lost)
	}
	if nans > 0 {
		c.note(r.RunID, "%d values in its ledger that are no numbers became null", nans)
	}
	c.chain(r.RunID, steps)
	l := newLedger(c, r)
	l.begin(steps)
	for i := range steps {
		l.step(&steps[i], i == len(steps)-1)
	}
	l.finish()
	if l.err == nil {
		l.err = out.Run(l.records)
	}
	if l.err != nil {
		if errors.Is(l.err, bide.ErrCorrupt) || errors.Is(l.err, errNotCarried) {
			c.note(r.RunID, "it is left out: %s", l.err)
			return nil
		}
		return l.err
	}
	c.out.Runs++
	c.out.Records += int64(len(steps))
	return nil
}

var errNotCarried = errors.New("cannot be carried")

// chain checks a ledger's own hash chain and reports where it breaks.
func (c *converter) chain(id string, steps []step) {
	prev, hashed := "", false
	for i, s := range steps {
		if s.Hash == "" && !hashed {
			continue
		}
		hashed = true
		want, err := recordHash(s.raw, s.Prev)
		switch {
		case err != nil || s.Hash == "" || want != s.Hash:
			c.note(id, "hash chain: record %d was changed", i+1)
			return
		case s.Prev != prev:
			c.note(id, "hash chain: record %d does not follow the one before it", i+1)
			return
		}
		prev = s.Hash
	}
	if hashed {
		c.out.ChainsOK++
	} else {
		c.out.ChainsNone++
	}
}

// root is the first run of a run's tree.
func (c *converter) root(r *run) string {
	for range 100 {
		parent := c.runs[r.ParentRunID]
		if parent == nil {
			break
		}
		r = parent
	}
	return r.RunID
}

// isMemory reports whether a run is a store of data and no execution.
func isMemory(r *run) bool {
	return strings.HasPrefix(r.RunID, "session_memory_") || r.RunID == "global_memory" || strings.HasPrefix(r.WorkflowID, "__")
}
