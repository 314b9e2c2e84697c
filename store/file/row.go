package file

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"

	"github.com/bide-dev/bide"
)

// row is the state of a run that one group leaves behind. It is a value: the
// next group makes another one.
type row struct {
	info  bide.RunInfo // SetAside is the store's own
	waits []*bide.Wait // never changed in place
	mark
	owner     string // of the last claim; not kept across processes
	owned     bool   // that claim has not ended
	claimMail int64  // of mailSeq: what the claim's owner is sure to have seen when it looks at the run
	group     int64  // the last group that touched the run
}

// mark is what is kept with a run besides what its commits say.
type mark struct{ fence, mailSeq, mailSeen int64 }

// delta is what a commit does to its run.
type delta struct {
	info     bide.RunInfo
	records  [][]byte
	opened   []*bide.Wait
	closed   []string
	command  *bide.CommandRecord
	mailSeen int64
	fence    int64
	owner    string // who claims the run with the commit; empty on replay
	claimed  int64  // the number of that claim; 0 without
	snapshot []byte
	deletes  bool // the run ends instead
	expect   bide.Position
	line     []byte // as it goes to the journal, before the records
}

// apply changes the row as a commit says.
func (r *row) apply(d *delta) {
	switch running := d.info.Status == bide.StatusRunning; {
	case d.claimed != 0: // its owner need not load it again, and so has seen no more than the commit says
		r.owner, r.owned, r.fence, r.claimMail = d.owner, d.owner != "", d.claimed, d.mailSeen
	case d.fence != 0:
		r.owned = running
	case running && r.info.Status != bide.StatusRunning:
		r.owned = false
	}
	aside := r.info.SetAside
	r.info = d.info
	r.info.SetAside = aside
	if len(d.opened)+len(d.closed) > 0 {
		waits := make([]*bide.Wait, 0, len(r.waits)+len(d.opened))
		for _, w := range r.waits {
			if !slices.Contains(d.closed, w.ID) {
				waits = append(waits, w)
			}
		}
		r.waits = append(waits, d.opened...)
	}
	r.mailSeen = max(r.mailSeen, d.mailSeen)
}

func (r *row) markLine() *markLine {
	return &markLine{ID: r.info.ID, Fence: r.fence, MailSeq: r.mailSeq, MailSeen: r.mailSeen, SetAside: r.info.SetAside}
}

func (r *row) setMark(m *markLine) {
	r.mark = mark{m.Fence, m.MailSeq, m.MailSeen}
	r.info.SetAside = m.SetAside
}

// run is one run in memory: all of it but the records that its ledger file has.
type run struct {
	id   string
	path string // of its folder
	row
	commands map[string]bide.CommandRecord
	ledger   ledger
	snapshot *snapshot // the last one, until its file has it
	// damage is why the run cannot be read, found on opening. If its row could
	// not be read either, the row is empty.
	damage error
	gone   bool   // it was deleted
	stale  bool   // its place is not what its row says
	place  placed // in the index
	number int32  // in the feed
}

// rowFile is the text of run.json.
type rowFile struct {
	Run         bide.RunInfo  `json:"run"`
	Waits       []*bide.Wait  `json:"waits,omitempty"`
	Commands    []commandLine `json:"commands,omitempty"`
	LedgerBytes int64         `json:"ledger_bytes"` // the length of the ledger's file that belongs to this row
	Fence       int64         `json:"fence,omitempty"`
	MailSeq     int64         `json:"mail_seq,omitempty"`
	MailSeen    int64         `json:"mail_seen,omitempty"`
	Group       int64         `json:"journal_group"` // the last group of the journal that is in it
}

// rowText is the text of run.json for a run.
func (r *run) rowText() ([]byte, error) {
	f := rowFile{Run: r.info, Waits: r.waits, LedgerBytes: r.ledger.size, Fence: r.fence, MailSeq: r.mailSeq, MailSeen: r.mailSeen, Group: r.group}
	for _, c := range r.commands {
		f.Commands = append(f.Commands, commandLine(c))
	}
	slices.SortFunc(f.Commands, compareCommands)
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	err := enc.Encode(f)
	return b.Bytes(), err
}

// parseRow reads run.json into a run.
func (r *run) parseRow(text []byte) error {
	var plain bytes.Buffer // JSON in waits is given back without the spaces
	if err := json.Compact(&plain, text); err != nil {
		return err
	}
	var f rowFile
	if err := json.Unmarshal(plain.Bytes(), &f); err != nil {
		return err
	}
	r.row = row{info: f.Run, waits: f.Waits, mark: mark{f.Fence, f.MailSeq, f.MailSeen}, group: f.Group}
	for _, c := range f.Commands {
		r.commands[c.ID] = bide.CommandRecord(c)
	}
	r.ledger.size, r.ledger.filed, r.ledger.synced = f.LedgerBytes, f.LedgerBytes, f.LedgerBytes
	return nil
}

// copyInfo makes a copy that shares nothing that anybody may change.
func copyInfo(i bide.RunInfo) bide.RunInfo {
	i.Labels = maps.Clone(i.Labels)
	return i
}

// copyWait makes a copy that shares nothing that anybody may change.
func copyWait(w *bide.Wait) bide.Wait {
	out := *w
	out.Choices = slices.Clone(w.Choices)
	return out
}
