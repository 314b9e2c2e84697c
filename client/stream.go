package client

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/gateway/api"
	"github.com/bide-dev/bide/llm"
)

// RunEvent is an event of the stream of a run: exactly one of its fields is set.
type RunEvent struct {
	Record *bide.Record
	Delta  *llm.Event  // what a model says while it says it
	End    bide.Status // the run has ended: the last event
}

// Watch yields a run's records in order from number from on, then each that comes, without gap or double,
// until the run ends, as Runtime.Watch does.
func (c *Client) Watch(ctx context.Context, id string, from int64) iter.Seq2[bide.Record, error] {
	return func(yield func(bide.Record, error) bool) {
		for e, err := range c.Follow(ctx, id, from) {
			switch {
			case err != nil:
				yield(bide.Record{}, err)
				return
			case e.Record != nil && !yield(*e.Record, nil):
				return
			}
		}
	}
}

// Follow is Watch with what models say while they say it, and the end.
func (c *Client) Follow(ctx context.Context, id string, from int64) iter.Seq2[RunEvent, error] {
	return func(yield func(RunEvent, error) bool) {
		s := &stream{c: c, path: path("runs", id, "stream"), query: url.Values{}, last: strconv.FormatInt(max(from, 1)-1, 10)}
		err := s.read(ctx, func(name string, data []byte) (bool, error) {
			var e RunEvent
			var entry api.StreamEntry
			var end api.End
			var err error
			switch name {
			case "record":
				if err = json.Unmarshal(data, &entry); err == nil {
					e.Record, err = parse(entry.Record)
				}
			case "delta":
				e.Delta = &llm.Event{}
				err = json.Unmarshal(data, e.Delta)
			case "end":
				err = json.Unmarshal(data, &end)
				e.End = end.Status
			default:
				return true, nil
			}
			return err == nil && yield(e, nil) && name != "end", err
		})
		if err != nil && ctx.Err() == nil {
			yield(RunEvent{}, err)
		}
	}
}

func parse(raw bide.JSON) (*bide.Record, error) {
	rec, err := bide.ParseRecord(raw)
	return &rec, err
}

// WatchAll yields the records of all runs, or of a tree of runs (q.Root), after a position, as
// Runtime.WatchAll does. It ends with ctx, or with an error as its last pair.
func (c *Client) WatchAll(ctx context.Context, q bide.FeedQuery) iter.Seq2[bide.FeedEntry, error] {
	return func(yield func(bide.FeedEntry, error) bool) {
		s := &stream{c: c, path: path("stream"), query: url.Values{}, last: strconv.FormatInt(q.After, 10)}
		if q.Root != "" {
			s.path = path("runs", q.Root, "tree", "stream")
		}
		if q.After == bide.FeedEnd {
			s.last = "end"
		}
		err := s.read(ctx, func(name string, data []byte) (bool, error) {
			if name != "record" {
				return true, nil
			}
			var entry api.StreamEntry
			if err := json.Unmarshal(data, &entry); err != nil {
				return false, err
			}
			rec, err := parse(entry.Record)
			if err != nil {
				return false, err
			}
			pos, err := strconv.ParseInt(s.last, 10, 64)
			return err == nil && yield(bide.FeedEntry{Pos: pos, RunID: entry.RunID, Record: *rec}, nil), err
		})
		if err != nil && ctx.Err() == nil {
			yield(bide.FeedEntry{}, err)
		}
	}
}

// Inbox is a change of the open waits.
type Inbox struct {
	Reset bool // what was open is unknown: what is follows, each wait once
	api.WaitChange
}

// WatchWaits yields the open waits, and then each that is opened or closed. After a lost connection it
// begins anew, with Reset. It ends with ctx, or with an error as its last pair.
func (c *Client) WatchWaits(ctx context.Context, q WaitsQuery) iter.Seq2[Inbox, error] {
	return func(yield func(Inbox, error) bool) {
		v := values("root", q.Root, "mine", flag(q.Mine), "internal", flag(q.Internal))
		for _, k := range q.Kinds {
			v.Add("kind", string(k))
		}
		s := &stream{c: c, path: path("waits", "stream"), query: v}
		err := s.read(ctx, func(name string, data []byte) (bool, error) {
			in := Inbox{Reset: name == "reset"}
			if name == "wait" {
				if err := json.Unmarshal(data, &in.WaitChange); err != nil {
					return false, err
				}
			}
			return yield(in, nil), nil
		})
		if err != nil && ctx.Err() == nil {
			yield(Inbox{}, err)
		}
	}
}

// stream is a stream of events that goes on over lost connections.
type stream struct {
	c     *Client
	path  string
	query url.Values
	last  string // where to go on after; empty when the stream cannot say
	heard bool   // something since the last connection
}

// read calls each with every event, until that reports false or the stream has ended.
func (s *stream) read(ctx context.Context, each func(name string, data []byte) (more bool, err error)) error {
	for try := 1; ; try++ {
		done, err := s.connect(ctx, each)
		if done || ctx.Err() != nil {
			return err
		}
		if s.heard {
			try, s.heard = 1, false
		}
		if try >= s.c.opts.Tries {
			return err
		}
		if werr := s.c.wait(ctx, try); werr != nil {
			return werr
		}
	}
}

// errQuiet ends a connection on which nothing was heard for too long.
var errQuiet = errors.New("the stream says nothing")

// connect reads the events of one connection; done says that there is no use in another one.
func (s *stream) connect(ctx context.Context, each func(string, []byte) (bool, error)) (done bool, err error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	quiet := time.AfterFunc(s.c.opts.Quiet, func() { stop(errQuiet) })
	defer quiet.Stop()
	query := url.Values{}
	for name, all := range s.query {
		query[name] = all
	}
	if s.last != "" {
		query.Set("after", s.last)
	}
	resp, err := s.c.send(ctx, call{method: http.MethodGet, path: s.path, query: query}, nil, false)
	if err != nil {
		return false, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		raw, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
		if err != nil {
			return false, fmt.Errorf("read the answer of %s: %w", s.c.base, err)
		}
		later := resp.StatusCode == http.StatusServiceUnavailable || resp.StatusCode == http.StatusBadGateway || resp.StatusCode == http.StatusTooManyRequests
		return !later, refusal(resp, raw)
	}
	return s.events(resp.Body, func() { quiet.Reset(s.c.opts.Quiet) }, each)
}

// maxEvent bounds a line of a stream.
const maxEvent = 64 << 20

// events reads events (https://html.spec.whatwg.org/multipage/server-sent-events.html).
func (s *stream) events(body io.Reader, alive func(), each func(string, []byte) (bool, error)) (done bool, err error) {
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, maxEvent)
	var name, id string
	var data []byte
	for lines.Scan() {
		alive()
		field, value, _ := bytes.Cut(lines.Bytes(), []byte(": "))
		switch string(field) {
		case "event":
			name = string(value)
		case "data":
			data = append(data, value...)
		case "id":
			id = string(value)
		case "":
			if len(lines.Bytes()) > 0 {
				continue // a comment
			}
			if id != "" && s.last != "" {
				s.last = id
			}
			if name != "" {
				s.heard = true
				if name == "problem" {
					return false, problem(data)
				}
				if more, err := each(name, data); err != nil || !more {
					return true, err
				}
			}
			name, id, data = "", "", nil
		}
	}
	if err := lines.Err(); err != nil {
		return errors.Is(err, bufio.ErrTooLong), fmt.Errorf("the stream of %s was cut off: %w", s.c.base, err)
	}
	return false, fmt.Errorf("the stream of %s was cut off", s.c.base)
}

// problem is the error that the event says.
func problem(data []byte) error {
	var p api.Problem
	if err := json.Unmarshal(data, &p); err != nil {
		return fmt.Errorf("the server ended the stream: %s", data)
	}
	return p.Err()
}
