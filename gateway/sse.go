package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// streams are those that are open.
type streams struct {
	limit   int // of all; one principal has half of them at most
	dropped atomic.Int64

	mu    sync.Mutex
	count int
	by    map[string]int
	done  chan struct{} // closed when all are to end
}

func newStreams(limit int) *streams {
	return &streams{limit: limit, by: map[string]int{}, done: make(chan struct{})}
}

// begin counts a stream of somebody, and returns how it ends; it reports false when there are too many.
func (s *streams) begin(who string) (end func(), ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.count >= s.limit || s.by[who] >= max(s.limit/2, 1) {
		return nil, false
	}
	s.count++
	s.by[who]++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.count--
		if s.by[who]--; s.by[who] == 0 {
			delete(s.by, who)
		}
	}, true
}

func (s *streams) open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count
}

func (s *streams) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.done:
	default:
		close(s.done)
	}
}

func (s *streams) closing() bool {
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}

// entry is one event of a stream (https://html.spec.whatwg.org/multipage/server-sent-events.html).
type entry struct {
	id    int64  // where to go on after; 0 for none
	event string // empty moves the reader on to id, without an event
	data  any
}

// keptBytes is how much room a stream keeps for what is written next.
const keptBytes = 4 << 10

// sse writes the events of one stream. A reader that does not take them in time is dropped.
type sse struct {
	w       http.ResponseWriter
	rc      *http.ResponseController
	timeout time.Duration
	buf     bytes.Buffer
}

func newSSE(w http.ResponseWriter, timeout time.Duration) *sse {
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-cache, no-store")
	h.Set("X-Accel-Buffering", "no") // for proxies that would wait for more
	w.WriteHeader(http.StatusOK)
	return &sse{w: w, rc: http.NewResponseController(w), timeout: timeout}
}

// add puts an event into what is written next.
func (s *sse) add(e entry) error {
	if e.event != "" {
		data, err := marshal(e.data)
		if err != nil {
			return err
		}
		s.buf.WriteString("event: ")
		s.buf.WriteString(e.event)
		s.buf.WriteString("\ndata: ")
		s.buf.Write(data)
		s.buf.WriteByte('\n')
	}
	if e.id > 0 {
		s.buf.WriteString("id: ")
		s.buf.WriteString(strconv.FormatInt(e.id, 10))
		s.buf.WriteByte('\n')
	}
	s.buf.WriteByte('\n')
	return nil
}

// comment puts a line in that readers skip.
func (s *sse) comment(text string) { s.buf.WriteString(": " + text + "\n\n") }

// flush writes what was added.
func (s *sse) flush() error {
	if err := s.rc.SetWriteDeadline(time.Now().Add(s.timeout)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	_, err := s.w.Write(s.buf.Bytes())
	if s.buf.Reset(); s.buf.Cap() > keptBytes {
		s.buf = bytes.Buffer{} // a stream that has caught up holds nothing
	}
	if err != nil {
		return err
	}
	if err := s.rc.Flush(); !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	return nil
}

// marshal writes JSON in one line, and records as they are stored.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimRight(b.Bytes(), "\n"), nil
}
