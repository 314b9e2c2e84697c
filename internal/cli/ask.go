package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/bide-dev/bide"
)

// asks reports whether a person at a terminal can be asked what resolves the
// wait. The result of a job comes from a program; how to give it is said instead.
func asks(k bide.WaitKind) bool { return answers(k) && k != bide.WaitJob }

// askWait puts a wait to a person and returns the answer as the kernel takes it.
func askWait(ctx context.Context, t asker, w *bide.Wait) (bide.JSON, error) {
	switch {
	case w.Kind == bide.WaitToolApproval:
		return askApproval(ctx, t, w)
	case w.Kind == bide.WaitBudget:
		return askBudget(ctx, t, w)
	case w.Kind == bide.WaitAttention:
		return askAttention(ctx, t, w)
	case w.Kind == bide.WaitForm || w.Kind == bide.WaitCustom && w.Schema != nil:
		if err := t.say(oneLine(w.Message)); err != nil {
			return nil, err
		}
		return fillForm(ctx, t, w.Schema, nil)
	case w.Kind == bide.WaitQuestion || len(w.Choices) > 0:
		reply, err := t.ask(ctx, questionPrompt(w))
		if err != nil {
			return nil, err
		}
		return plainJSON(choice(w, reply))
	}
	reply, err := t.ask(ctx, oneLine(w.Message)+" (JSON or text): ")
	if err != nil {
		return nil, err
	}
	return parseField(&schema{}, strings.TrimSpace(reply))
}

func questionPrompt(w *bide.Wait) string {
	prompt := oneLine(w.Message)
	if len(w.Choices) > 0 {
		prompt += " [" + oneLine(strings.Join(w.Choices, "/"))
		if w.FreeText {
			prompt += "/…"
		}
		prompt += "]"
	}
	return prompt + " "
}

// choice is what a person means: a choice may be shortened as long as no other
// begins so, and its case does not matter.
func choice(w *bide.Wait, reply string) string {
	reply = strings.TrimSpace(reply)
	if slices.Contains(w.Choices, reply) || reply == "" {
		return reply
	}
	var fits []string
	for _, c := range w.Choices {
		if strings.HasPrefix(strings.ToLower(c), strings.ToLower(reply)) {
			fits = append(fits, c)
		}
	}
	if len(fits) == 1 {
		return fits[0]
	}
	return reply
}

// askAttention asks what became of an effect whose outcome is unknown.
func askAttention(ctx context.Context, t asker, w *bide.Wait) (bide.JSON, error) {
	if err := t.say(oneLine(w.Message)); err != nil {
		return nil, err
	}
	var asked struct{ Payload bide.JSON }
	if json.Unmarshal(w.Details, &asked) == nil && asked.Payload != nil {
		if err := t.say("  it was asked for " + oneLine(string(asked.Payload))); err != nil {
			return nil, err
		}
	}
	types := []string{bide.AttentionDone, bide.AttentionAgain, bide.AttentionFail}
	reply, err := t.ask(ctx, "It happened (done), do it again (again), or it failed (fail)? [done/again/fail] ")
	if err != nil {
		return nil, err
	}
	a := bide.Attention{Type: choice(&bide.Wait{Choices: types}, reply)}
	switch a.Type {
	case bide.AttentionDone:
		reply, err = t.ask(ctx, "Its result, as JSON or text (optional): ")
		if err == nil && strings.TrimSpace(reply) != "" {
			a.Result, err = parseField(&schema{}, strings.TrimSpace(reply))
		}
	case bide.AttentionFail:
		a.Message, err = t.ask(ctx, "Why? ")
	}
	if err != nil {
		return nil, err
	}
	return plainJSON(a)
}

// howTo is the command that resolves a wait, or gets on with it.
func howTo(w *bide.Wait) string {
	switch w.Kind {
	case bide.WaitQuestion:
		if len(w.Choices) > 0 {
			return fmt.Sprintf("bide answer %s %s", w.ID, shellWord(w.Choices[0]))
		}
		return fmt.Sprintf("bide answer %s TEXT", w.ID)
	case bide.WaitForm:
		return fmt.Sprintf("bide answer %s %s", w.ID, fieldsOf(readSchema(w.Schema)))
	case bide.WaitToolApproval:
		return fmt.Sprintf("bide approve %s, or bide reject %s", w.ID, w.ID)
	case bide.WaitBudget:
		return fmt.Sprintf("bide answer %s '{\"type\": \"raise\", \"limits\": {…}}', or '{\"type\": \"stop\"}'", w.ID)
	case bide.WaitJob:
		return fmt.Sprintf("bide answer %s --result JSON", w.ID)
	case bide.WaitAttention:
		return fmt.Sprintf("bide answer %s --done, --again or --fail WHY", w.ID)
	case bide.WaitForEvent:
		parts := strings.SplitN(w.Key, ":", 4)
		if len(parts) < 4 {
			return ""
		}
		name := parts[3]
		if name == "*" {
			name = "NAME"
		}
		if parts[1] == string(bide.ScopeGlobal) {
			return fmt.Sprintf("bide send %s --global", name)
		}
		flag := map[string]string{"run": "run", "session": "session", "workflow": "flow"}[parts[1]]
		return fmt.Sprintf("bide send %s --%s %s", name, flag, shellWord(parts[2]))
	case bide.WaitTimer, bide.WaitRetry, bide.WaitChild:
		return ""
	}
	return fmt.Sprintf("bide answer %s JSON", w.ID)
}

// shellWord quotes a text for a shell when it needs that.
func shellWord(s string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/@:=+,"
	if s != "" && strings.Trim(s, plain) == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
