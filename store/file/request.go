package file

import (
	"fmt"
	"slices"

	"github.com/bide-dev/bide"
)

// maxCommit bounds the bytes of one commit, so that a journal can be read back.
const maxCommit = 256 << 20

// request is a commit as the committer gets it: the store's own copy, with what
// has to be encoded encoded by the caller.
type request struct {
	delta  // of the commit's run; without info.ID when there is none
	starts []delta
	send   []sending
	took   []string
}

// sending is a message and its line.
type sending struct {
	bide.Message
	line []byte
}

func newRequest(c *bide.Commit) (r *request, err error) {
	r = &request{took: slices.Clone(c.Took)}
	if c.RunID != "" {
		if r.delta, err = newDelta(c); err != nil {
			return nil, err
		}
	}
	for _, start := range c.Starts {
		d, err := newDelta(start)
		if err != nil {
			return nil, err
		}
		r.starts = append(r.starts, d)
	}
	for _, m := range c.Send {
		s, err := newSending(m)
		if err != nil {
			return nil, err
		}
		r.send = append(r.send, s)
	}
	if n := r.bytes(); n > maxCommit {
		return nil, bide.Errorf(bide.CodeInvalidInput, "a commit of run %s has %d bytes, more than the %d that a file store takes; keep large values outside and pass references", c.RunID, n, maxCommit)
	}
	return r, nil
}

func newSending(m bide.Message) (sending, error) {
	text, err := appendLine(nil, line{Sent: &m})
	return sending{m, text}, err
}

// sentToo returns the place in r.send of a message that the commit takes at once, or -1.
func (r *request) sentToo(id string) int {
	return slices.IndexFunc(r.send, func(s sending) bool {
		return s.ID == id && !s.Copies && (s.To == "" || s.To == r.info.ID)
	})
}

func newDelta(c *bide.Commit) (delta, error) {
	if _, err := folder(c.RunID); err != nil {
		return delta{}, err
	}
	d := delta{info: copyInfo(c.Info), expect: c.Expect, closed: slices.Clone(c.Closed), mailSeen: c.MailSeen, fence: c.Fence, snapshot: c.Snapshot}
	d.info.ID, d.info.SetAside = c.RunID, ""
	if c.Owner != "" && c.Info.Status == bide.StatusRunning {
		d.owner, d.claimed = c.Owner, c.Claimed
	}
	if c.Delete {
		d.deletes = true
		text, err := appendLine(nil, line{Deleted: &deletedLine{c.RunID}})
		d.line = text
		return d, err
	}
	if len(c.Records) == 0 {
		return d, bide.Errorf(bide.CodeInvalidInput, "a commit of run %s has no records", c.RunID)
	}
	text := commitLine{Run: d.info, Closed: d.closed, MailSeen: d.mailSeen, Claimed: d.claimed}
	for i := range c.Records {
		raw := c.Records[i].Raw
		d.records = append(d.records, raw)
		text.Records = append(text.Records, len(raw))
	}
	for i := range c.Opened {
		w := copyWait(&c.Opened[i])
		d.opened = append(d.opened, &w)
	}
	text.Opened = d.opened
	if c.Command != nil {
		command := *c.Command
		d.command = &command
		text.Command = (*commandLine)(&command)
	}
	var err error
	if d.line, err = appendCommit(make([]byte, 0, 1024), &text); err != nil {
		return d, fmt.Errorf("run %s: %w", c.RunID, err)
	}
	return d, nil
}

func (d *delta) bytes() int {
	n := len(d.line)
	for _, raw := range d.records {
		n += len(raw) + 1
	}
	return n
}

func (r *request) bytes() int {
	n := r.delta.bytes()
	for i := range r.starts {
		n += r.starts[i].bytes()
	}
	for i := range r.send {
		n += len(r.send[i].line)
	}
	return n
}
