package llm

import (
	"context"
	"iter"
	"slices"
	"sync"

	"github.com/bide-dev/bide"
)

// Deltas passes answers on to subscribers while they come: to those in this process, and to those
// of other processes when it has a relay (Options.Relay). Nothing of it is stored.
type Deltas struct {
	relay bide.Relay // nil for none

	mu    sync.Mutex
	seq   int64
	live  map[string][]*stream       // by run: the attempts under way
	subs  map[string][]*Subscription // by run
	heard map[string]*elsewhere      // by run: what comes through the relay, while somebody follows it here
}

// Attempt names one attempt of one call.
type Attempt struct {
	Run     string `json:"run_id"`
	Step    int64  `json:"step"`
	Effect  int    `json:"effect"`
	Attempt int    `json:"attempt"`
}

// EventKind says what happened to an attempt.
type EventKind string

// The kinds of events, in their order: one EventStarted, any number of EventDelta, one EventEnded.
const (
	// EventStarted begins an attempt. What earlier attempts of the same call gave is void: start over.
	EventStarted EventKind = "started"
	EventDelta   EventKind = "delta"
	// EventEnded ends it. With an error there is no answer, and what came is void; without, the answer is
	// complete, and will be in the ledger.
	EventEnded EventKind = "ended"
)

// Event is news of an answer under way.
type Event struct {
	Attempt
	Kind  EventKind `json:"event"`
	Delta *Delta    `json:"delta,omitempty"`
	Error *Error    `json:"error,omitempty"`
}

// stream is what an attempt gave so far.
type stream struct {
	log  []numbered
	sent int // how much of the log was taken for the relay
}

type numbered struct {
	seq   int64
	event Event
}

// NewDeltas returns one without subscribers. relay, when not nil, is the way to other processes.
func NewDeltas(relay bide.Relay) *Deltas {
	return &Deltas{relay: relay, live: map[string][]*stream{}, subs: map[string][]*Subscription{}, heard: map[string]*elsewhere{}}
}

// backlog is how many attempts a subscription may be behind.
const backlog = 64

// Subscription follows the answers of one run. Close it after use.
type Subscription struct {
	hub     *Deltas
	run     string
	cursors []*cursor
	wake    chan struct{}
}

type cursor struct {
	stream *stream
	next   int
}

// Subscribe follows the calls of a run from now on; of those that are under way, it gives what came so far first. From
// another process, several deltas of one part may come as one.
func (d *Deltas) Subscribe(runID string) *Subscription {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := &Subscription{hub: d, run: runID, wake: make(chan struct{}, 1)}
	for _, st := range d.live[runID] {
		s.cursors = append(s.cursors, &cursor{stream: st})
	}
	if len(s.cursors) > 0 {
		s.wake <- struct{}{}
	}
	d.subs[runID] = append(d.subs[runID], s)
	d.listen(runID)
	return s
}

// Close ends the subscription.
func (s *Subscription) Close() {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	remove(s.hub.subs, s.run, s)
	s.cursors = nil
	s.hub.unlisten(s.run)
}

// remove takes v out of the list at key.
func remove[T comparable](m map[string][]T, key string, v T) {
	m[key] = slices.DeleteFunc(m[key], func(x T) bool { return x == v })
	if len(m[key]) == 0 {
		delete(m, key)
	}
}

// Events yields what happens, in order, until ctx ends. A reader that is slow loses nothing
// of the last 64 attempts; older ones are dropped, and with them their end.
func (s *Subscription) Events(ctx context.Context) iter.Seq[Event] {
	return func(yield func(Event) bool) {
		for {
			if e, ok := s.Next(); ok {
				if ctx.Err() != nil || !yield(e) {
					return
				}
				continue
			}
			select {
			case <-s.wake:
			case <-ctx.Done():
				return
			}
		}
	}
}

// Ready gives a token when there may be something that Next has not returned yet.
func (s *Subscription) Ready() <-chan struct{} { return s.wake }

// Next returns the next event, if there is one; it does not wait.
func (s *Subscription) Next() (Event, bool) {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	var first *cursor
	for _, c := range s.cursors {
		if c.next < len(c.stream.log) && (first == nil || c.stream.log[c.next].seq < first.stream.log[first.next].seq) {
			first = c
		}
	}
	if first == nil {
		return Event{}, false
	}
	e := first.stream.log[first.next].event
	first.next++
	if e.Kind == EventEnded {
		s.cursors = slices.DeleteFunc(s.cursors, func(c *cursor) bool { return c == first })
	}
	return e, true
}

// follow begins an attempt and returns what takes its deltas, and its end.
func (d *Deltas) follow(id Attempt) (emit func(Delta), end func(err *Error)) {
	st := &stream{}
	d.mu.Lock()
	d.add(id.Run, st)
	d.publish(st, Event{Attempt: id, Kind: EventStarted})
	d.mu.Unlock()
	publish := func(e Event) {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.publish(st, e)
	}
	ended := d.offer(id, st)
	emit = func(delta Delta) { publish(Event{Attempt: id, Kind: EventDelta, Delta: &delta}) }
	end = func(err *Error) {
		publish(Event{Attempt: id, Kind: EventEnded, Error: err})
		ended()
		d.mu.Lock()
		defer d.mu.Unlock()
		remove(d.live, id.Run, st)
	}
	return emit, end
}

// add begins a stream. The caller holds d.mu.
func (d *Deltas) add(runID string, st *stream) {
	d.live[runID] = append(d.live[runID], st)
	for _, s := range d.subs[runID] {
		if s.cursors = append(s.cursors, &cursor{stream: st}); len(s.cursors) > backlog {
			s.cursors = s.cursors[1:]
		}
	}
}

// publish adds to a stream. The caller holds d.mu.
func (d *Deltas) publish(st *stream, e Event) {
	d.seq++
	st.log = append(st.log, numbered{d.seq, e})
	for _, s := range d.subs[e.Run] {
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
}
