package llm

import (
	"crypto/rand"
	"encoding/json"
	"slices"
	"strings"
)

// relayed is what one process tells others of an attempt: its events from number From on, up to To, with the
// deltas that follow each other put together.
type relayed struct {
	Stream string `json:"stream"` // tells it from all others
	Attempt
	From   int    `json:"from"`
	To     int    `json:"to"`
	Events []said `json:"events"`
}

// said is an Event, but for its attempt.
type said struct {
	Kind  EventKind `json:"event"`
	Delta *Delta    `json:"delta,omitempty"`
	Error *Error    `json:"error,omitempty"`
}

// elsewhere is what other processes tell of a run.
type elsewhere struct {
	stop    func()
	streams []*heard // the last ones
}

// heard is a stream of another process.
type heard struct {
	id string
	Attempt
	next   int     // how many of its events came
	stream *stream // nil when it has ended, or another attempt came in its place
}

// offer passes a stream on to other processes while somebody follows it there, and returns what ends that.
func (d *Deltas) offer(id Attempt, st *stream) (end func()) {
	if d.relay == nil {
		return func() {}
	}
	name := rand.Text()
	return d.relay.Offer(id.Run, func(anew bool) (texts []string) {
		d.mu.Lock()
		log, from := st.log, st.sent
		st.sent = len(log)
		d.mu.Unlock()
		add := func(from int) {
			raw, err := json.Marshal(relayed{Stream: name, Attempt: id, From: from, To: len(log), Events: together(log[from:])})
			if err == nil { // a fragment that is not JSON leaves a hole
				texts = append(texts, string(raw))
			}
		}
		if from < len(log) {
			add(from)
		}
		if anew && from > 0 { // after what is new: who knows the rest has no use for it
			add(0)
		}
		return texts
	})
}

// together puts deltas that follow each other in one part together.
func together(log []numbered) (out []said) {
	for len(log) > 0 {
		first := log[0].event
		if first.Delta == nil {
			out, log = append(out, said{first.Kind, nil, first.Error}), log[1:]
			continue
		}
		whole := *first.Delta
		whole.Part.ID, whole.Part.Name = "", ""
		var text, args strings.Builder
		n := 0
		for ; n < len(log) && log[n].event.Delta != nil && log[n].event.Delta.Index == whole.Index; n++ {
			p := &log[n].event.Delta.Part
			text.WriteString(p.Text)
			args.WriteString(p.ArgsText)
			whole.Part.ID += p.ID
			whole.Part.Name += p.Name
		}
		whole.Part.Text, whole.Part.ArgsText = text.String(), args.String()
		out, log = append(out, said{EventDelta, &whole, nil}), log[n:]
	}
	return out
}

// listen begins to hear what other processes tell of a run. The caller holds d.mu.
func (d *Deltas) listen(runID string) {
	if d.relay != nil && d.heard[runID] == nil {
		d.heard[runID] = &elsewhere{stop: d.relay.Listen(runID, func(text string) { d.hear(runID, text) })}
	}
}

// unlisten ends that when nobody here follows the run any more. The caller holds d.mu.
func (d *Deltas) unlisten(runID string) {
	e := d.heard[runID]
	if e == nil || len(d.subs[runID]) > 0 {
		return
	}
	e.stop()
	delete(d.heard, runID)
	for _, h := range e.streams {
		remove(d.live, runID, h.stream)
	}
}

// hear takes what another process tells of a run.
func (d *Deltas) hear(runID, text string) {
	var m relayed
	if json.Unmarshal([]byte(text), &m) != nil || m.Run != runID {
		return // of another version
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	e := d.heard[runID]
	if e == nil {
		return
	}
	h := e.find(m.Stream)
	if h == nil {
		if m.From > 0 { // its beginning follows
			return
		}
		h = d.begin(e, &m)
	}
	switch {
	case h.stream == nil, m.To <= h.next:
		return
	case m.From != h.next && m.From > 0: // there is a hole: what follows is of no use, but for the end
		m.Events = slices.DeleteFunc(m.Events, func(s said) bool { return s.Kind != EventEnded })
	default:
		h.next = m.To
	}
	for _, s := range m.Events {
		d.publish(h.stream, Event{Attempt: h.Attempt, Kind: s.Kind, Delta: s.Delta, Error: s.Error})
		if s.Kind == EventEnded {
			d.drop(h)
			return
		}
	}
}

func (e *elsewhere) find(id string) *heard {
	for _, h := range e.streams {
		if h.id == id {
			return h
		}
	}
	return nil
}

// begin takes up a stream of another process. Of one call the newest attempt counts: whoever makes an
// older one has lost it.
func (d *Deltas) begin(e *elsewhere, m *relayed) *heard {
	h := &heard{id: m.Stream, Attempt: m.Attempt, stream: &stream{}}
	for _, other := range e.streams {
		if other.Step != h.Step || other.Effect != h.Effect {
			continue
		}
		if other.Attempt.Attempt > h.Attempt.Attempt {
			h.stream = nil
			break
		}
		d.drop(other)
	}
	if e.streams = append(e.streams, h); len(e.streams) > backlog {
		d.drop(e.streams[0])
		e.streams = e.streams[1:]
	}
	if h.stream != nil {
		d.add(h.Run, h.stream)
	}
	return h
}

// drop ends what is passed on of a stream.
func (d *Deltas) drop(h *heard) {
	if h.stream != nil {
		remove(d.live, h.Run, h.stream)
		h.stream = nil
	}
}
