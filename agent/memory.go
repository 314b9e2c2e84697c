package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/bide-dev/bide"
)

// TypeMemory is the effect of what is done with a memory. A memory is a list of notes under a name, in the store; it
// belongs to no run. Use Note, Query and Compact.
const TypeMemory = "agent.memory"

// kindMemory is the kind of the documents that are notes. Their ids are the memory's name, a slash, and the note's.
const kindMemory = "agent-memory"

// Memorized is a note in a memory.
type Memorized struct {
	ID   string    `json:"id"`
	Text string    `json:"text"`
	At   time.Time `json:"at"`
}

// remembering is the payload of the effect.
type remembering struct {
	Op     string   `json:"op"` // note, query or compact
	Memory string   `json:"memory"`
	Text   string   `json:"text,omitempty"`
	Words  string   `json:"words,omitempty"`
	Limit  int      `json:"limit,omitempty"`
	IDs    []string `json:"ids,omitempty"`
}

// Note keeps a text. Its result is the Memorized.
func Note(memory, text string) bide.Effect {
	return bide.Call(TypeMemory, remembering{Op: "note", Memory: memory, Text: text})
}

// Query finds notes that have all the words, whatever their case, the newest first. Its result is a list of
// Memorized, at most limit; 0 means 10. It looks at the newest 1,000.
func Query(memory, words string, limit int) bide.Effect {
	return bide.Call(TypeMemory, remembering{Op: "query", Memory: memory, Words: words, Limit: limit})
}

// Compact puts one note in the place of those with the ids. Its result is the new Memorized.
func Compact(memory, text string, ids []string) bide.Effect {
	return bide.Call(TypeMemory, remembering{Op: "compact", Memory: memory, Text: text, IDs: ids})
}

var memoryName = regexp.MustCompile(`^[A-Za-z0-9_.@:-]{1,80}$`)

func (h *host) handleMemory(ctx context.Context, call *bide.Invocation) (bide.Outcome, error) {
	var m remembering
	if err := json.Unmarshal(call.Payload, &m); err != nil {
		return bide.Outcome{}, bide.Permanent(err)
	}
	if !memoryName.MatchString(m.Memory) {
		return bide.Outcome{}, bide.Permanent(fmt.Errorf("%q is not the name of a memory: letters, digits and . _ - @ :, at most 80", m.Memory))
	}
	switch m.Op {
	case "note":
		return h.note(ctx, &m, call)
	case "query":
		return h.query(ctx, &m)
	case "compact":
		for _, id := range m.IDs {
			if strings.Contains(id, "/") {
				return bide.Outcome{}, bide.Permanent(fmt.Errorf("%q is not the id of a note", id))
			}
		}
		out, err := h.note(ctx, &m, call)
		if err != nil {
			return out, err
		}
		return out, h.forget(ctx, &m, noteID(call))
	}
	return bide.Outcome{}, bide.Permanent(fmt.Errorf("%q is not note, query or compact", m.Op))
}

// noteID is the id of the note that an effect makes: the same on every attempt, and in order of time as run ids are.
func noteID(call *bide.Invocation) string {
	return fmt.Sprintf("%s.%06d.%03d", call.Run, call.Step, call.Effect)
}

func (h *host) note(ctx context.Context, m *remembering, call *bide.Invocation) (bide.Outcome, error) {
	note := Memorized{ID: noteID(call), Text: m.Text, At: h.now().UTC().Truncate(time.Microsecond)}
	body, err := json.Marshal(note)
	if err != nil {
		return bide.Outcome{}, bide.Permanent(err)
	}
	doc := bide.Document{Kind: kindMemory, ID: m.Memory + "/" + note.ID, Body: body, UpdatedAt: note.At}
	if _, err := h.store.PutDocument(ctx, doc); err != nil && !errors.Is(err, bide.ErrConflict) { // there already: by an earlier attempt
		return bide.Outcome{}, fmt.Errorf("note to memory %s: %w", m.Memory, err)
	}
	return bide.Completed(note), nil
}

// forget removes the notes that a new one replaces.
func (h *host) forget(ctx context.Context, m *remembering, kept string) error {
	for _, id := range m.IDs {
		doc, err := h.store.Document(ctx, kindMemory, m.Memory+"/"+id)
		if errors.Is(err, bide.ErrNotFound) || id == kept {
			continue
		}
		if err == nil {
			err = h.store.DeleteDocument(ctx, kindMemory, doc.ID, doc.Rev)
		}
		if err != nil {
			return fmt.Errorf("compact memory %s: %w", m.Memory, err)
		}
	}
	return nil
}

// maxNotes bounds how many notes a query reads.
const maxNotes = 1000

func (h *host) query(ctx context.Context, m *remembering) (bide.Outcome, error) {
	var notes []Memorized
	for q := (bide.DocumentQuery{Kind: kindMemory, Prefix: m.Memory + "/", Limit: maxNotes}); ; {
		page, err := h.store.Documents(ctx, q)
		if err != nil {
			return bide.Outcome{}, fmt.Errorf("query memory %s: %w", m.Memory, err)
		}
		for _, d := range page.Documents {
			var n Memorized
			if err := json.Unmarshal(d.Body, &n); err != nil {
				return bide.Outcome{}, bide.Permanent(fmt.Errorf("note %s: %w", d.ID, err))
			}
			notes = append(notes, n)
		}
		notes = notes[max(len(notes)-maxNotes, 0):]
		if q.After = page.Next; q.After == "" {
			break
		}
	}
	slices.Reverse(notes)
	words := strings.Fields(strings.ToLower(m.Words))
	found := []Memorized{}
	limit := m.Limit
	if limit <= 0 {
		limit = 10
	}
	for _, n := range notes {
		text := strings.ToLower(n.Text)
		if len(found) < limit && !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(text, w) }) {
			found = append(found, n)
		}
	}
	return bide.Completed(found), nil
}
