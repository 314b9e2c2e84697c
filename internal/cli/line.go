package cli

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/bide-dev/bide"
)

// recordLine is one line of a ledger for a person: number, local time, node, kind, and what it says.
func recordLine(rec *bide.Record, styled bool) string {
	text, colour := recordText(rec)
	node := rec.Node
	if node == "" {
		node = "-"
	}
	head := fmt.Sprintf("%4d  %s  %-14s", rec.Seq, rec.At.Local().Format("15:04:05"), oneLine(node))
	return painted(styled, faint, head) + "  " + painted(styled, colour, fmt.Sprintf("%-16s", rec.Kind)) + "  " + oneLine(text)
}

// recordText says in a few words what a record holds, and in which colour its kind is.
func recordText(rec *bide.Record) (text, colour string) {
	data, err := rec.Decode()
	if rec.IsSealed() {
		return "encrypted; its key is not at hand, or was destroyed", faint
	}
	if err != nil {
		return err.Error(), red
	}
	by := ""
	if rec.Actor != "" {
		by = " by " + rec.Actor
	}
	if rec.Reason != "" {
		by += " (" + rec.Reason + ")"
	}
	switch d := data.(type) {
	case *bide.RunStarted:
		return fmt.Sprintf("%s version %.12s, input %s%s", d.Workflow, d.Version, d.Input, by), bold
	case *bide.StepPlanned:
		return planText(&d.Plan), ""
	case *bide.StepFailed:
		return d.Error.Error(), red
	case *bide.Wait:
		return waitText(d), yellow
	case *bide.WaitResolved:
		if d.By == bide.ByAnswer {
			return string(d.Answer) + by, ""
		}
		return fmt.Sprintf("by %s %s", d.By, d.Answer), ""
	case *bide.EffectStarted:
		if d.InDoubt {
			return fmt.Sprintf("attempt %d; how the one before ended is not known", d.Attempt), yellow
		}
		return fmt.Sprintf("attempt %d", d.Attempt), ""
	case *bide.EffectCompleted:
		return string(d.Result), ""
	case *bide.EffectFailed:
		if !d.RetryAt.IsZero() {
			return fmt.Sprintf("%s; again at %s", d.Error.Error(), d.RetryAt.Local().Format("15:04:05")), yellow
		}
		return d.Error.Error(), red
	case *bide.EffectInterrupted:
		return d.Message, yellow
	case *bide.EffectLate:
		return "came when nobody waited for it any more", faint
	case *bide.RunContinued:
		return "as run " + d.RunID, green
	case *bide.MailForwarded:
		return plural(len(d.Messages), "message") + " to run " + d.RunID, faint
	case *bide.ChildContinued:
		return "waits for run " + d.RunID + " now", faint
	case *bide.RunCompleted:
		return string(d.Output), green
	case *bide.RunFailed:
		return d.Error.Error(), red
	}
	return strings.TrimSpace(by), yellow
}

// planText says what a step does. What it tells comes first: it is meant for people.
func planText(p *bide.StepPlan) string {
	var parts []string
	for _, e := range p.Effects {
		if e.Type == bide.TypeTell {
			parts = append(parts, "says: "+messageOf(e.Payload))
			continue
		}
		if e.Type == bide.TypeAsk {
			parts = append(parts, "asks: "+messageOf(e.Payload))
			continue
		}
		parts = append(parts, e.Type+" "+string(e.Payload))
	}
	switch {
	case len(parts) > 0:
	case p.Exit.Node != "":
		parts = append(parts, "go to "+p.Exit.Node)
	case p.Exit.Complete:
		parts = append(parts, "the end")
	case p.Exit.Continue:
		parts = append(parts, "continue as a new run")
	case p.Exit.Fail != nil:
		parts = append(parts, "fail: "+p.Exit.Fail.Message)
	}
	return strings.Join(parts, "; ")
}

// messageOf is the message of a tell or an ask.
func messageOf(payload bide.JSON) string {
	var p struct {
		Message string `json:"message"`
	}
	if json.Unmarshal(payload, &p) != nil {
		return string(payload)
	}
	return p.Message
}

// waitText says what a wait is for.
func waitText(w *bide.Wait) string {
	var text string
	switch w.Kind {
	case bide.WaitQuestion:
		text = w.Message
		if len(w.Choices) > 0 {
			text += " [" + strings.Join(w.Choices, "/") + "]"
		}
	case bide.WaitTimer:
		text = "until " + clock(w.Until)
	case bide.WaitRetry:
		text = "the next attempt, at " + clock(w.Until)
	case bide.WaitForEvent:
		text = "event " + eventName(w.Key)
	case bide.WaitChild:
		text = "run " + strings.TrimPrefix(w.Key, "run:")
	case bide.WaitJob:
		text = "job " + w.Key
	case bide.WaitAttention:
		text = w.Message
	case bide.WaitToolApproval:
		text = "may this be called: " + callText(&w.Items[0])
	default:
		text = string(w.Kind)
		if w.Message != "" {
			text = w.Message
		}
	}
	if !w.ExpiresAt.IsZero() {
		text += ", until " + clock(w.ExpiresAt)
		if w.Default != nil {
			text += " (then " + string(w.Default) + ")"
		}
	}
	return text
}

// eventName is the name of an event with its scope, from the key evt:<scope>:<id>:<name>.
func eventName(key string) string {
	parts := strings.SplitN(key, ":", 4)
	if len(parts) < 4 {
		return key
	}
	switch bide.Scope(parts[1]) {
	case bide.ScopeRun:
		return parts[3]
	case bide.ScopeGlobal:
		return parts[3] + " (for all)"
	}
	return fmt.Sprintf("%s (of %s %s)", parts[3], parts[1], parts[2])
}

// clock is a time for a person, in the zone of this machine.
func clock(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format("2006-01-02 15:04:05")
}

// ago is how long before now a time was, or how long after.
func ago(t, now time.Time) string {
	if t.IsZero() {
		return ""
	}
	if d := now.Sub(t); d >= 0 {
		return span(d) + " ago"
	}
	return "in " + span(t.Sub(now))
}

// span is a duration in its largest unit.
func span(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}
