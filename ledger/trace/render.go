package trace

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"strings"
	"time"
	"unicode"

	_ "embed" // for the page

	"github.com/bide-dev/bide"
)

//go:embed report.html
var page string

var pageTemplate = template.Must(template.New("report").Funcs(template.FuncMap{
	"stamp":  func(at time.Time) string { return stamp(at) },
	"short":  func(h bide.Hash) string { return h.String()[:12] },
	"pretty": pretty,
	"or":     firstOf,
}).Parse(page))

// HTML writes the report as one page that needs nothing else. Each line is an anchor, "#r" and the number of its record, and
// has the whole hash in its title.
func (r *Report) HTML(w io.Writer) error { return pageTemplate.Execute(w, r) }

// Markdown writes the report as Markdown.
func (r *Report) Markdown(w io.Writer) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Run %s\n\n", plain(r.Run.ID))
	row := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "| %s | %s |\n", name, plain(value))
		}
	}
	b.WriteString("| | |\n|---|---|\n")
	row("workflow", r.Run.Workflow+", version "+r.Run.Version)
	row("status", string(r.Run.Status))
	row("started", stamp(r.Run.CreatedAt)+by(r.Run.Actor))
	if !r.Run.EndedAt.IsZero() {
		row("ended", stamp(r.Run.EndedAt))
	}
	if r.Run.Continues == "" {
		row("forked from", r.Run.Origin)
	}
	row("continues", r.Run.Continues)
	row("continued as", r.Run.ContinuedAs)
	row("records", fmt.Sprintf("%d, the last has the hash %s", r.Run.Seq, r.Run.Head))
	row("signed", r.Signed)
	b.WriteByte('\n')
	if len(r.Decisions) > 0 {
		b.WriteString("## Decisions\n\n| when | who | about | decided | record |\n|---|---|---|---|---|\n")
		for _, d := range r.Decisions {
			verdict := d.Verdict
			if d.Args != nil {
				verdict += " with " + string(d.Args) + " (SHA-256 " + d.ArgsSHA256 + ")"
			}
			if d.Edited != nil {
				verdict += ", changed to " + string(d.Edited)
			}
			if d.Reason != "" {
				verdict += ": " + d.Reason
			}
			fmt.Fprintf(&b, "| %s | %s | %s | %s | [%d](#record-%d) `%s` |\n", stamp(d.At), plain(somebody(d.Who)), plain(d.About), plain(verdict), d.Seq, d.Seq, d.Hash)
		}
		b.WriteByte('\n')
	}
	b.WriteString("## Records\n")
	for _, l := range r.Lines {
		fmt.Fprintf(&b, "\n### Record %d\n\n%s%s. %s", l.Seq, stamp(l.At), plain(by(l.Who)), plain(l.Text))
		if l.Why != "" {
			fmt.Fprintf(&b, " Reason: %s.", plain(l.Why))
		}
		b.WriteString("\n")
		if l.Detail != nil {
			text := pretty(l.Detail)
			fence := "```"
			for strings.Contains(text, fence) {
				fence += "`"
			}
			fmt.Fprintf(&b, "\n%sjson\n%s\n%s\n", fence, text, fence)
		}
		fmt.Fprintf(&b, "\n`%s` %s\n", l.Hash, l.Kind)
	}
	_, err := w.Write(b.Bytes())
	return err
}

func by(actor string) string {
	if actor == "" {
		return ""
	}
	return ", by " + actor
}

// special are the characters that mean something in Markdown.
var special = strings.NewReplacer("\\", "\\\\", "`", "\\`", "*", "\\*", "_", "\\_", "[", "\\[", "]", "\\]", "<", "&lt;", ">", "&gt;", "|", "\\|", "#", "\\#")

// plain makes text mean nothing but itself in Markdown, and to the terminal that shows it.
func plain(s string) string {
	return special.Replace(strings.Map(func(r rune) rune {
		if sly(r) {
			return ' '
		}
		return r
	}, s))
}

// sly tells the characters that could move a terminal's cursor, or turn a line around.
func sly(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) }

// pretty is JSON as people read it; what is sly in its strings is written as an escape.
func pretty(raw bide.JSON) string {
	var b bytes.Buffer
	for _, r := range string(raw) {
		if r >= 0x7f && sly(r) {
			fmt.Fprintf(&b, `\u%04x`, r)
		} else {
			b.WriteRune(r)
		}
	}
	escaped := bytes.Clone(b.Bytes())
	b.Reset()
	if err := json.Indent(&b, escaped, "", "  "); err != nil {
		return string(escaped)
	}
	return b.String()
}
