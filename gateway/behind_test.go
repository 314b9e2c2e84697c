package gateway_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/gateway"
	"github.com/bide-dev/bide/store/mem"
)

// counting counts the bytes of records that a store gives out, and those of its largest page but the first of each reader.
type counting struct {
	gateway.Store
	given, later atomic.Int64
}

func (c *counting) note(n int, first bool) {
	c.given.Add(int64(n))
	for old := c.later.Load(); !first && int64(n) > old && !c.later.CompareAndSwap(old, int64(n)); old = c.later.Load() {
	}
}

func (c *counting) Feed(ctx context.Context, q bide.FeedQuery) (*bide.FeedPage, error) {
	page, err := c.Store.Feed(ctx, q)
	if err != nil {
		return nil, err
	}
	n := 0
	for _, r := range page.Records {
		n += len(r.Body)
	}
	c.note(n, q.After == 0)
	return page, nil
}

func (c *counting) Records(ctx context.Context, runID string, from int64, limit int) ([][]byte, error) {
	raws, err := c.Store.Records(ctx, runID, from, limit)
	n := 0
	for _, raw := range raws {
		n += len(raw)
	}
	c.note(n, from == 1)
	return raws, err
}

// held is a reader that takes nothing until it is let.
type held struct {
	let    chan struct{}
	header http.Header
	mu     sync.Mutex
	body   bytes.Buffer
}

func (h *held) Header() http.Header { return h.header }
func (h *held) WriteHeader(int)     {}
func (h *held) Write(b []byte) (int, error) {
	if bytes.Contains(b, []byte("event:")) {
		<-h.let
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.body.Write(b)
}

// Streams that are all behind hold little each, however much there is to read.
func TestManyStreamsThatAreBehindHoldLittle(t *testing.T) {
	const readers, steps, size, most = 20, 80, 20_000, 250_000
	for _, path := range []string{"/v1/stream?after=0", "/v1/runs/long/stream"} {
		synctest.Test(t, func(t *testing.T) {
			store := &counting{Store: mem.New()}
			loop := bide.Workflow{ID: "loop", Version: "1", Entry: "again", Nodes: bide.Nodes{"again": func(run *bide.Run) (bide.StepPlan, error) {
				if run.Step >= steps {
					return bide.Complete(nil), nil
				}
				return bide.Go("again").Set(fmt.Sprint("v", run.Step), strings.Repeat("x", size)), nil
			}}}
			s := serverOf(t, bide.Must(bide.New(store, nil)), store, &gateway.Options{Workflows: []bide.Workflow{loop}})
			run, err := s.rt.Run(t.Context(), loop, nil, &bide.StartOptions{RunID: "long"})
			if err != nil || run.Status != bide.StatusCompleted {
				t.Fatalf("the run is %v (%v)", run, err)
			}
			store.given.Store(0)
			store.later.Store(0)
			let := make(chan struct{})
			ctx, stop := context.WithCancel(t.Context())
			var all []*held
			var streams sync.WaitGroup
			for range readers {
				req := httptest.NewRequestWithContext(ctx, http.MethodGet, path, nil)
				req.Header.Set("Authorization", "Bearer viewer")
				h := &held{let: let, header: http.Header{}}
				all = append(all, h)
				streams.Go(func() { s.ServeHTTP(h, req) })
			}
			synctest.Wait()
			if held := store.given.Load() / readers; held == 0 || held > most {
				t.Errorf("%s: a stream that takes nothing has read %d bytes of %d, want some and at most %d", path, held, steps*size, most)
			}
			t.Logf("%s: a stream that takes nothing has read %d of %d bytes", path, store.given.Load()/readers, steps*size)
			close(let)
			synctest.Wait()
			for i, h := range all {
				h.mu.Lock()
				if n := strings.Count(h.body.String(), strings.Repeat("x", size)); n != steps {
					t.Errorf("%s: reader %d was told of %d steps, want %d", path, i, n, steps)
				}
				h.mu.Unlock()
			}
			if later := store.later.Load(); later == 0 || later > 100_000 {
				t.Errorf("%s: a page had %d bytes, want some and at most %d", path, later, 100_000)
			}
			stop()
			streams.Wait()
			s.Close()
		})
	}
}
