package file

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"time"

	"github.com/bide-dev/bide"
)

// appendLine writes a line with its end.
func appendLine(b []byte, l line) ([]byte, error) {
	b, err := appendJSON(b, l)
	return append(b, '\n'), err
}

// appendJSON writes JSON without changing the characters of what is JSON already.
func appendJSON(b []byte, v any) ([]byte, error) {
	buf := bytes.NewBuffer(b)
	enc := json.NewEncoder(buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return b, bide.Errorf(bide.CodeInvalidInput, "a commit cannot be written as JSON: %w", err)
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}

// appendCommit writes the line of a commit, as appendLine does; what every
// commit has it writes by hand, which takes a quarter of the time.
func appendCommit(b []byte, c *commitLine) (_ []byte, err error) {
	b = append(b, `{"commit":{"run":`...)
	if b, err = appendInfo(b, &c.Run); err != nil {
		return b, err
	}
	b = append(b, `,"record_bytes":[`...)
	for i, n := range c.Records {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, int64(n), 10)
	}
	b = append(b, ']')
	if len(c.Opened) > 0 {
		b, err = appendJSON(append(b, `,"opened":`...), c.Opened)
	}
	if len(c.Closed) > 0 && err == nil {
		b, err = appendJSON(append(b, `,"closed":`...), c.Closed)
	}
	if c.Command != nil && err == nil {
		b, err = appendJSON(append(b, `,"command":`...), c.Command)
	}
	b = appendInt(b, "mail_seen", c.MailSeen)
	b = appendInt(b, "claimed", c.Claimed)
	return append(b, "}}\n"...), err
}

// appendInfo writes a run's row. The members are those of bide.RunInfo; a test holds the two together.
func appendInfo(b []byte, i *bide.RunInfo) (_ []byte, err error) {
	b = append(b, `{"seq":`...)
	b = strconv.AppendInt(b, i.Seq, 10)
	b = append(b, `,"head":"`...)
	b = hex.AppendEncode(b, i.Head[:])
	b = append(b, '"')
	for _, f := range [...]struct{ name, value string }{
		{"run_id", i.ID}, {"workflow", i.Workflow}, {"version", i.Version}, {"definition", i.Definition},
		{"status", string(i.Status)}, {"node", i.Node}, {"key", i.Key}, {"session", i.Session}, {"actor", i.Actor},
		{"parent", i.Parent}, {"root", i.Root}, {"origin", i.Origin}, {"set_aside", i.SetAside},
	} {
		if f.value != "" {
			b = appendName(b, f.name)
			if b, err = appendText(b, f.value); err != nil {
				return b, err
			}
		}
	}
	b = appendInt(b, "step", i.Step)
	if len(i.Labels) > 0 {
		if b, err = appendJSON(appendName(b, "labels"), i.Labels); err != nil {
			return b, err
		}
	}
	for _, f := range [...]struct {
		name string
		at   time.Time
	}{{"created_at", i.CreatedAt}, {"updated_at", i.UpdatedAt}, {"ended_at", i.EndedAt}, {"wake_at", i.WakeAt}} {
		if !f.at.IsZero() {
			b = append(appendName(b, f.name), '"')
			b = f.at.UTC().AppendFormat(b, time.RFC3339Nano)
			b = append(b, '"')
		}
	}
	return append(b, '}'), nil
}

func appendName(b []byte, name string) []byte {
	b = append(b, `,"`...)
	b = append(b, name...)
	return append(b, `":`...)
}

func appendInt(b []byte, name string, n int64) []byte {
	if n == 0 {
		return b
	}
	return strconv.AppendInt(appendName(b, name), n, 10)
}

// appendText writes a string; most have no character that needs another form.
func appendText(b []byte, s string) ([]byte, error) {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return appendJSON(b, s)
		}
	}
	b = append(append(b, '"'), s...)
	return append(b, '"'), nil
}
