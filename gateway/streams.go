package gateway

import (
	"context"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/gateway/api"
	"github.com/bide-dev/bide/gateway/auth"
	"github.com/bide-dev/bide/gateway/problem"
	"github.com/bide-dev/bide/llm"
)

const tagStreams = "streams"

func (s *Server) registerStreams() {
	resume := " The id of an event is where to go on after: EventSource sends it as Last-Event-ID by itself. Nothing is left out or doubled over reconnects."
	register(s, operation{id: "stream-run", method: http.MethodGet, path: "/v1/runs/{run}" + streamSuffix, tag: tagStreams, right: auth.View, stream: true, media: "text/event-stream",
		summary: "The records of a run as they come",
		about:   "Server-sent events: record, delta (the answer of a model while it comes; not kept, without id) and at last end. Asked again after the end of the run, the answer is 204." + resume}, s.streamRun)
	register(s, operation{id: "stream-tree", method: http.MethodGet, path: "/v1/runs/{run}/tree" + streamSuffix, tag: tagStreams, right: auth.View, stream: true, media: "text/event-stream",
		summary: "The records of a run and all runs below it as they come", about: "Server-sent events: record." + resume}, s.streamTree)
	register(s, operation{id: "stream-all", method: http.MethodGet, path: "/v1" + streamSuffix, tag: tagStreams, right: auth.View, stream: true, media: "text/event-stream",
		summary: "The records of all runs as they come", about: "Server-sent events: record. Without a place to go on after, it begins with what comes next." + resume}, s.streamAll)
	register(s, operation{id: "stream-waits", method: http.MethodGet, path: "/v1/waits" + streamSuffix, tag: tagStreams, right: auth.View, stream: true, media: "text/event-stream",
		summary: "The open waits of all runs as they come and go",
		about:   "Server-sent events: reset (forget what you have), then wait for each that is open, and for each that is opened or closed from then on. Every connection begins with what is open then."}, s.streamWaits)
}

// Place is the input of a stream that can be gone on with.
type Place struct {
	LastEventID string `header:"Last-Event-ID" maxLength:"20" doc:"the id of the last event that was read; it goes before after"`
	After       string `query:"after" maxLength:"20" doc:"the id of the event to go on after; 0 is the beginning, end what comes next"`
}

// after returns where to go on, or fallback.
func (p *Place) after(fallback int64) (int64, error) {
	text := p.LastEventID
	if text == "" {
		text = p.After
	}
	switch text {
	case "":
		return fallback, nil
	case "end":
		return bide.FeedEnd, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return 0, bide.Errorf(bide.CodeInvalidInput, "%q is not a place in a stream; pass the id of an event, 0 or end", text)
	}
	return n, nil
}

// source gives the entries of a stream until send reports false. A nil error ends the stream.
type source func(ctx context.Context, send func(entry) bool) error

type streamRun struct {
	OneRun
	Place
}

func (s *Server) streamRun(ctx context.Context, in *streamRun) (*huma.StreamResponse, error) {
	run, err := s.sight(ctx, auth.View).run(ctx, in.Run)
	if err != nil {
		return nil, err
	}
	after, err := in.after(0)
	if err != nil {
		return nil, err
	}
	if after == bide.FeedEnd {
		after = run.Seq
	}
	if in.LastEventID != "" && run.Status.Final() && after >= run.Seq {
		return &huma.StreamResponse{Body: func(ctx huma.Context) { ctx.SetStatus(http.StatusNoContent) }}, nil
	}
	records := func(ctx context.Context, send func(entry) bool) error {
		for rec, err := range s.rt.Watch(ctx, in.Run, after+1) {
			if err != nil {
				return err
			}
			if !send(entry{rec.Seq, "record", api.StreamEntry{RunID: in.Run, Record: rec.Text()}}) {
				return nil
			}
		}
		if ctx.Err() != nil {
			return nil
		}
		ended, err := s.rt.Get(ctx, in.Run)
		if err != nil {
			return err
		}
		send(entry{event: "end", data: api.End{RunID: in.Run, Status: ended.Status}})
		return nil
	}
	if run.Status.Final() { // no model is asked any more
		return s.stream(ctx, records, nil)
	}
	return s.live(ctx, in.Run, records)
}

// live adds what models say while they say it, from now on.
func (s *Server) live(ctx context.Context, runID string, records source) (*huma.StreamResponse, error) {
	if s.opts.Deltas == nil {
		return s.stream(ctx, records, nil)
	}
	said := s.opts.Deltas.Subscribe(runID)
	out, err := s.stream(ctx, records, said)
	if err != nil {
		said.Close()
	}
	return out, err
}

func (s *Server) streamTree(ctx context.Context, in *streamRun) (*huma.StreamResponse, error) {
	if _, err := s.sight(ctx, auth.View).run(ctx, in.Run); err != nil {
		return nil, err
	}
	after, err := in.after(0)
	if err != nil {
		return nil, err
	}
	return s.streamFeed(ctx, bide.FeedQuery{After: after, Root: in.Run})
}

func (s *Server) streamAll(ctx context.Context, in *Place) (*huma.StreamResponse, error) {
	after, err := in.after(bide.FeedEnd)
	if err != nil {
		return nil, err
	}
	return s.streamFeed(ctx, bide.FeedQuery{After: after})
}

// streamFeed streams the records of many runs. Where they end now is read before the answer begins: whoever sees that the
// stream is open hears of all that comes from then on.
func (s *Server) streamFeed(ctx context.Context, q bide.FeedQuery) (*huma.StreamResponse, error) {
	if q.After == bide.FeedEnd {
		page, err := s.store.Feed(ctx, q)
		if err != nil {
			return nil, err
		}
		q.After = page.Next
	}
	return s.stream(ctx, s.feed(q), nil)
}

// feed is the source of the records of many runs, those that are seen.
func (s *Server) feed(q bide.FeedQuery) source {
	return func(ctx context.Context, send func(entry) bool) error {
		p := auth.From(ctx)
		for e, err := range s.rt.WatchAll(ctx, q) {
			if err != nil {
				return err
			}
			seen, err := s.trees.SeesRun(ctx, p, e.RunID)
			if err != nil {
				return err
			}
			out := entry{id: e.Pos}
			if seen {
				out.event, out.data = "record", api.StreamEntry{RunID: e.RunID, Record: e.Record.Text()}
			}
			if !send(out) {
				return nil
			}
		}
		return nil
	}
}

type streamWaits struct {
	Kinds []string `query:"kind,explode" maxItems:"20" doc:"only these kinds"`
	Root  string   `query:"root" maxLength:"200" doc:"only of that run and all below it"`
	ForWhom
}

func (s *Server) streamWaits(ctx context.Context, in *streamWaits) (*huma.StreamResponse, error) {
	q := (&listWaits{Kinds: in.Kinds, Root: in.Root}).query()
	waits := func(ctx context.Context, send func(entry) bool) error {
		if !send(entry{event: "reset", data: struct{}{}}) {
			return nil
		}
		v := s.sight(ctx, auth.View)
		for c, err := range s.rt.WatchWaits(ctx, q) {
			if err != nil {
				return err
			}
			w, err := v.wait(ctx, &c.Wait, in.ForWhom)
			if err != nil {
				return err
			}
			if w == nil {
				continue
			}
			if c.Closed {
				w.Status = api.WaitClosed
			}
			if !send(entry{event: "wait", data: api.WaitChange{Wait: *w, Closed: c.Closed}}) {
				return nil
			}
		}
		return nil
	}
	return s.stream(ctx, waits, nil)
}

// What a stream holds besides the page that it reads: entries that wait to be written, and
// bytes that are written at once, but for the last entry.
const (
	entriesAhead  = 4
	entriesAtOnce = 256
	bytesAtOnce   = 32 << 10
)

// stream answers with the entries of a source until that ends, with what models say, if not nil, among them. It closes the
// subscription, unless it fails.
func (s *Server) stream(ctx context.Context, from source, said *llm.Subscription) (*huma.StreamResponse, error) {
	if s.streams.closing() {
		return nil, problem.New(api.CodeUnavailable, "the server is closing; come again")
	}
	p := auth.From(ctx)
	end, ok := s.streams.begin(p.Namespace + "/" + p.Actor)
	if !ok {
		return nil, problem.New(api.CodeTooMany, "as many streams are open as this server allows; close some, or come again")
	}
	return &huma.StreamResponse{Body: func(hctx huma.Context) {
		defer end()
		r, w := humago.Unwrap(hctx)
		ctx, stop := context.WithCancel(r.Context())
		var sources sync.WaitGroup
		defer sources.Wait()
		defer stop()
		if said != nil {
			defer said.Close()
		}
		entries, failed := run(ctx, &sources, from)
		out := newSSE(w, s.opts.WriteTime)
		if err := s.pump(ctx, out, entries, said, failed); err != nil {
			s.streams.dropped.Add(1)
			s.opts.Logger.InfoContext(ctx, "stream dropped", "path", r.URL.Path, "err", err)
		}
	}}, nil
}

// run gives the entries of a source, and after the last why it ended.
func run(ctx context.Context, owner *sync.WaitGroup, from source) (<-chan entry, <-chan error) {
	entries, failed := make(chan entry, entriesAhead), make(chan error, 1)
	owner.Go(func() {
		failed <- from(ctx, func(e entry) bool {
			select {
			case entries <- e:
				return true
			case <-ctx.Done():
				return false
			}
		})
		close(entries)
	})
	return entries, failed
}

// pump writes entries until they end, the reader is gone or too slow, or the server closes.
func (s *Server) pump(ctx context.Context, out *sse, entries <-chan entry, said *llm.Subscription, failed <-chan error) error {
	heartbeat := time.NewTicker(s.opts.Heartbeat)
	defer heartbeat.Stop()
	out.comment("bide")
	if err := out.flush(); err != nil {
		return err
	}
	var ready <-chan struct{} // holds a token when something was said
	if said != nil {
		ready = said.Ready()
	}
	var passed int64 // up to where nothing was to be shown
	put := func(e entry) error {
		if err := putSaid(out, said); err != nil {
			return err
		}
		if e.event == "" {
			passed = e.id
			return nil
		}
		passed = 0
		return out.add(e)
	}
	for {
		select {
		case e, more := <-entries:
			if err := putSome(out, e, more, entries, put); err != nil {
				return err
			}
			if !more {
				return s.last(ctx, out, <-failed)
			}
		case <-ready:
			if err := putSaid(out, said); err != nil {
				return err
			}
		case <-heartbeat.C:
			out.comment("")
			if passed > 0 {
				if err := out.add(entry{id: passed}); err != nil {
					return err
				}
			}
		case <-s.streams.done:
			out.comment("closing")
			return out.flush()
		case <-ctx.Done():
			return nil
		}
		if err := out.flush(); err != nil {
			return err
		}
	}
}

// putSaid puts all that models have said until now: it comes before the record of it.
func putSaid(out *sse, said *llm.Subscription) error {
	if said == nil {
		return nil
	}
	for e, more := said.Next(); more; e, more = said.Next() {
		if err := out.add(entry{event: "delta", data: e}); err != nil {
			return err
		}
		if out.buf.Len() >= bytesAtOnce {
			if err := out.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

// putSome puts an entry and those that are ready behind it, as much as is written at once.
func putSome(out *sse, e entry, more bool, from <-chan entry, put func(entry) error) error {
	for n := 1; more; n++ {
		if err := put(e); err != nil || n == entriesAtOnce || out.buf.Len() >= bytesAtOnce {
			return err
		}
		select {
		case e, more = <-from:
		default:
			return nil
		}
	}
	return nil
}

// last ends a stream, and says why when something went wrong: the reader can come again.
func (s *Server) last(ctx context.Context, out *sse, err error) error {
	if err != nil && ctx.Err() == nil {
		if err := out.add(entry{event: "problem", data: s.problemOf(ctx, err)}); err != nil {
			return err
		}
	}
	return out.flush()
}
