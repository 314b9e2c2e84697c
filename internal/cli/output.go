package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/bide-dev/bide"
)

// The formats of --output.
const (
	formatTable = "table"
	formatJSON  = "json"
	formatJSONL = "jsonl"
	formatYAML  = "yaml"
)

// output is where data goes, and in which format.
type output struct {
	w      io.Writer
	format string
	styled bool // w is a terminal that shows colours
}

// value writes one value; text draws it for format table.
func (o *output) value(v any, text func(w io.Writer) error) error {
	if o.format == formatTable {
		return text(o.w)
	}
	return o.encode(v)
}

// encode writes a value in any format but table.
func (o *output) encode(v any) error {
	raw, err := plainJSON(v)
	if err != nil {
		return err
	}
	raw = escaped(raw)
	switch o.format {
	case formatYAML:
		raw, err = yamlFromJSON(raw)
	case formatJSON:
		var b bytes.Buffer
		err = json.Indent(&b, raw, "", "  ")
		raw = append(b.Bytes(), '\n')
	default:
		raw = append(raw, '\n')
	}
	if err != nil {
		return err
	}
	_, err = o.w.Write(raw)
	return err
}

// plainJSON is the compact JSON of a value, as a person would write it: < stays <.
func plainJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimRight(b.Bytes(), "\n"), err
}

// list writes items: a table, one JSON array, a line for each, or a YAML list.
func list[T any](o *output, items []T, header []string, row func(T) []string) error {
	switch o.format {
	case formatTable:
		rows := make([][]string, len(items))
		for i, item := range items {
			rows[i] = row(item)
		}
		return table(o.w, header, rows)
	case formatJSONL:
		for _, item := range items {
			if err := o.encode(item); err != nil {
				return err
			}
		}
		return nil
	}
	if items == nil {
		items = []T{}
	}
	return o.encode(items)
}

// table writes aligned columns under a header; without rows it writes nothing.
func table(w io.Writer, header []string, rows [][]string) error {
	if len(rows) == 0 {
		return nil
	}
	widths := make([]int, len(header))
	all := append([][]string{header}, rows...)
	for _, row := range all {
		for i := range row {
			row[i] = oneLine(row[i])
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i]))
		}
	}
	var b strings.Builder
	for _, row := range all {
		for i, cell := range row {
			if cell == "" {
				cell = "-"
			}
			b.WriteString(cell)
			if i < len(row)-1 {
				b.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+2))
			}
		}
		b.WriteByte('\n')
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// sly tells the characters by which a text could move the cursor, change colours, or be read in another order than it is written.
func sly(r rune) bool {
	return unicode.IsControl(r) || r == 0x2028 || r == 0x2029 || unicode.Is(unicode.Bidi_Control, r)
}

// visible makes a text safe to be shown as one line: a space is in the place of what is sly.
func visible(s string) string {
	return strings.Map(func(r rune) rune {
		if sly(r) {
			return ' '
		}
		return r
	}, s)
}

// escaped writes what is sly in the strings of a JSON text as \u escapes, which mean the same. The text's own line feeds stay.
func escaped(raw []byte) []byte {
	var b []byte
	for _, r := range string(raw) {
		if r >= 0x7f && sly(r) {
			b = fmt.Appendf(b, `\u%04x`, r)
		} else {
			b = utf8.AppendRune(b, r)
		}
	}
	return b
}

// oneLine makes a text fit to be a cell or a line: it is visible, and cut when it is longer than a screen's line.
func oneLine(s string) string {
	const most = 160
	s = visible(s)
	if utf8.RuneCountInString(s) > most {
		s = string([]rune(s)[:most-1]) + "…"
	}
	return s
}

// fields writes names and values, one pair a line; pairs without a value are left out.
func fields(w io.Writer, pairs ...[2]string) error {
	width := 0
	for _, p := range pairs {
		if p[1] != "" {
			width = max(width, len(p[0]))
		}
	}
	for _, p := range pairs {
		if p[1] == "" {
			continue
		}
		if _, err := fmt.Fprintf(w, "%-*s  %s\n", width, p[0], oneLine(p[1])); err != nil {
			return err
		}
	}
	return nil
}

// pretty is a JSON value for a person to read.
func pretty(raw bide.JSON) string {
	var b bytes.Buffer
	if json.Indent(&b, escaped(raw), "", "  ") != nil {
		return string(raw)
	}
	return b.String()
}

// painted colours a text when colours are shown.
func painted(styled bool, colour, s string) string {
	if !styled || colour == "" {
		return s
	}
	return "\x1b[" + colour + "m" + s + "\x1b[0m"
}

// The colours that are used.
const (
	faint  = "2"
	bold   = "1"
	red    = "31"
	green  = "32"
	yellow = "33"
)

// statusColour is the colour of a run's status.
func statusColour(s bide.Status) string {
	switch s {
	case bide.StatusCompleted:
		return green
	case bide.StatusFailed:
		return red
	case bide.StatusWaiting, bide.StatusPaused:
		return yellow
	}
	return ""
}
