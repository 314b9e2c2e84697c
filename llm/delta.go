package llm

import (
	"strconv"
	"strings"
)

// Delta is a fragment of an answer that is under way. Deltas with the same Index are
// fragments of one part: their Text and ArgsText follow each other, the rest is said once.
type Delta struct {
	Index int  `json:"index"` // of the part in the message
	Part  Part `json:"part"`
}

// MaxAnswer is how many bytes an answer may have.
const MaxAnswer = 8 << 20

// Assembler makes a message of fragments, for providers. The zero Assembler is not usable; see NewAssembler.
type Assembler struct {
	emit  func(Delta)
	index map[string]int
	parts []*building
	size  int
}

// building is a part that grows.
type building struct {
	Part
	text, args strings.Builder
}

// NewAssembler returns an assembler that passes each fragment on to emit, unless that is nil.
func NewAssembler(emit func(Delta)) *Assembler {
	return &Assembler{emit: emit, index: map[string]int{}}
}

// Add takes a fragment of the part that the provider knows by key; parts are in the order in which
// they began. Meta stays out of the deltas. It fails with CodeProtocol when the answer becomes larger than MaxAnswer.
func (a *Assembler) Add(key string, f Part) error {
	i, ok := a.index[key]
	if !ok {
		i = len(a.parts)
		a.index[key] = i
		a.parts = append(a.parts, &building{Part: Part{Type: f.Type}})
	}
	p := a.parts[i]
	p.text.WriteString(f.Text)
	p.args.WriteString(f.ArgsText)
	a.size += len(f.Text) + len(f.ArgsText)
	for _, meta := range f.Meta {
		a.size += len(meta)
	}
	if a.size > MaxAnswer {
		return Errorf(CodeProtocol, "the answer is larger than %d bytes", MaxAnswer)
	}
	if a.emit != nil && f.Text+f.ArgsText+f.ID+f.Name != "" {
		a.emit(Delta{Index: i, Part: Part{Type: p.Type, Text: f.Text, ArgsText: f.ArgsText, ID: f.ID, Name: f.Name}})
	}
	f.Text, f.ArgsText = "", ""
	p.extend(f)
	return nil
}

// Message returns what was assembled. Arguments of tool calls become Args if they
// are a JSON object.
func (a *Assembler) Message() Message {
	m := Message{Role: RoleAssistant, Parts: []Part{}}
	for _, b := range a.parts {
		p := b.Part
		p.Text, p.ArgsText = b.text.String(), b.args.String()
		if p.Type == PartToolCall {
			if p.Args = arguments(p.ArgsText); p.Args != nil {
				p.ArgsText = ""
			}
		}
		if p.Type != PartText || p.Text != "" {
			m.Parts = append(m.Parts, p)
		}
	}
	return m
}

// Count returns *n as a count of tokens, or nil when the provider did not give one.
func Count(n *int64) *int64 {
	if n == nil || *n < 0 {
		return nil
	}
	c := *n
	return &c
}

// nameCalls gives the tool calls without an id, or with one that was there before, an id that
// derives from key, so that it is the same whenever the same answer is read.
func nameCalls(m *Message, key string) {
	seen := map[string]bool{}
	for i := range m.Parts {
		p := &m.Parts[i]
		if p.Type != PartToolCall {
			continue
		}
		if p.ID == "" || seen[p.ID] {
			p.ID = "call_" + digest(key, strconv.Itoa(i))[:20]
		}
		seen[p.ID] = true
	}
}
