package file

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/bide-dev/bide"
)

// A line says one thing that changed. The lines of a group say what was decided,
// not what was asked: who is told of a message was found out before. So they can be
// applied again to runs of which some have them already.
type line struct {
	Commit *commitLine   `json:"commit,omitempty"`
	Sent   *bide.Message `json:"sent,omitempty"`
	Taken  *takenLine    `json:"taken,omitempty"`
	Run    *markLine     `json:"run,omitempty"`
	// Deleted is the end of a run, and of the mailbox that was its own.
	Deleted *deletedLine `json:"deleted,omitempty"`
	// Known are messages that were sent and are not kept any more.
	Known *knownLine `json:"known,omitempty"`
	// FeedAfter is the position in the feed after which the group's records are.
	FeedAfter *int64 `json:"feed_after,omitempty"`
}

// knownLine are ids of one mailbox: that of a run, or of a key.
type knownLine struct {
	To  string   `json:"to,omitempty"`
	Key string   `json:"key,omitempty"` // only without To
	IDs []string `json:"ids"`
}

type deletedLine struct {
	ID string `json:"run_id"`
}

// commitLine is the commit of one run, followed by its records, whose lengths it has.
type commitLine struct {
	Run      bide.RunInfo `json:"run"`
	Records  []int        `json:"record_bytes"`
	Opened   []*bide.Wait `json:"opened,omitempty"`
	Closed   []string     `json:"closed,omitempty"`
	Command  *commandLine `json:"command,omitempty"`
	MailSeen int64        `json:"mail_seen,omitempty"`
	Claimed  int64        `json:"claimed,omitempty"` // the number of the claim that it makes
}

type commandLine struct {
	ID          string    `json:"command_id"`
	Fingerprint bide.Hash `json:"fingerprint"`
	Seq         int64     `json:"seq"`
}

// takenLine is a message that was taken out of its mailbox: that of a run, or of a key.
type takenLine struct {
	ID  string `json:"id"`
	To  string `json:"to,omitempty"`
	Key string `json:"key,omitempty"` // only without To
	By  string `json:"by"`
}

// markLine is what is kept with a run besides what its commits say.
type markLine struct {
	ID       string `json:"run_id"`
	Fence    int64  `json:"fence,omitempty"`
	MailSeq  int64  `json:"mail_seq,omitempty"`
	MailSeen int64  `json:"mail_seen,omitempty"`
	SetAside string `json:"set_aside,omitempty"`
}

// parsed is a line, and the records that follow it.
type parsed struct {
	line
	records [][]byte
	text    []byte // of the line, with its end
}

// parseLines reads the lines of a group, or of the file of messages.
func parseLines(b []byte) (out []parsed, err error) {
	for n := 1; len(b) > 0; n++ {
		text, rest, ok := bytes.Cut(b, []byte("\n"))
		p := parsed{text: b[:len(b)-len(rest)]}
		if !ok {
			return out, fmt.Errorf("line %d has no end", n)
		}
		if err := json.Unmarshal(text, &p.line); err != nil {
			return out, fmt.Errorf("line %d: %w", n, err)
		}
		b = rest
		if p.Commit != nil {
			for _, size := range p.Commit.Records {
				if size < 0 || size >= len(b) || b[size] != '\n' {
					return out, fmt.Errorf("line %d: a record is not as long as was said", n)
				}
				p.records = append(p.records, b[:size:size])
				b = b[size+1:]
			}
		}
		out = append(out, p)
	}
	return out, nil
}
