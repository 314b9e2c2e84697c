package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/benchmarks/internal/bench"
	"github.com/bide-dev/bide/client"
	"github.com/bide-dev/bide/gateway/api"
)

// killed makes n starts over 64 connections while streams of everything are open, kills the server in their midst and
// starts it again at the same address. It fails when a start that was acknowledged is not there, or is there
// twice, or when a stream leaves one out or tells it twice.
func killed(ctx context.Context, v *bench.Values, s *served, n, streams int) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	c, err := client.New(s.url, &client.Options{HTTP: &http.Client{Transport: transport}, Tries: 1000, Pause: 10 * time.Millisecond})
	if err != nil {
		return err
	}
	acknowledged := map[string]bool{}
	var mu sync.Mutex
	var all, back, done sync.WaitGroup // streams that are over, that go on after the kill, that have told all
	var wasKilled atomic.Bool
	fail := func(err error) { stop(err) }
	done.Add(streams)
	back.Add(streams)
	for range streams {
		all.Go(func() {
			told, returned, ended := map[string]bool{}, sync.OnceFunc(back.Done), sync.OnceFunc(done.Done)
			defer returned()
			defer ended()
			for e, err := range c.WatchAll(ctx, bide.FeedQuery{}) {
				switch {
				case err != nil:
					fail(err)
					return
				case e.Record.Kind != bide.KindRunStarted:
					continue
				case told[e.RunID]:
					fail(fmt.Errorf("a stream told the start of run %s twice", e.RunID))
					return
				}
				told[e.RunID] = true
				if wasKilled.Load() {
					returned()
				}
				if len(told) == n {
					ended()
				}
			}
		})
	}
	defer all.Wait()
	defer stop(nil)
	half := make(chan struct{})
	driven := make(chan error, 1)
	go func() {
		var count atomic.Int64
		_, _, err := bench.Drive(ctx, n, 64, func(ctx context.Context, i int) error {
			run, err := c.Start(ctx, api.StartRun{Workflow: "wait", Input: bide.JSON(strconv.Itoa(i))}, "start-"+strconv.Itoa(i))
			if err != nil {
				return err
			}
			mu.Lock()
			acknowledged[run.ID] = true
			mu.Unlock()
			if count.Add(1) == int64(n/2) {
				close(half)
			}
			return nil
		})
		driven <- err
	}()
	select {
	case <-half:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	begin := time.Now()
	if err := s.again(); err != nil {
		return err
	}
	wasKilled.Store(true)
	v.Add("until it listens again", "ms", bench.Milliseconds(time.Since(begin)))
	back.Wait()
	v.Add("until every stream goes on", "ms", bench.Milliseconds(time.Since(begin)))
	if err := <-driven; err != nil {
		return err
	}
	done.Wait()
	if err := context.Cause(ctx); err != nil {
		return err
	}
	counts, err := c.CountRuns(ctx, client.StatsQuery{Search: "flow:wait"})
	if err != nil {
		return err
	}
	if len(acknowledged) != n || counts.Runs != int64(n) {
		return fmt.Errorf("%d starts were acknowledged, under %d ids, and %d runs are there", n, len(acknowledged), counts.Runs)
	}
	m, err := s.memory()
	v.Add("memory of the server", "MB", m)
	return err
}

// again kills the server and starts it at the same address.
func (s *served) again() (err error) {
	if err := s.child.Kill(); err != nil {
		return err
	}
	if s.child, err = bench.StartChild("-serve", s.store, "-listen", strings.TrimPrefix(s.url, "http://")); err != nil {
		return err
	}
	url, err := s.child.Hear()
	if err == nil && url != s.url {
		err = errors.New("the server is at " + url)
	}
	return err
}
