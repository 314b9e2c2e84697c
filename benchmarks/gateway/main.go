// Command gateway asks what HTTP costs: starts a second and their latency over 1, 64 and 512
// connections, how soon an event reaches a thousand open streams, with the memory of the server, and what a kill of the server
// under all that does. Starts are made by vegeta, streams are read by this process; the server is another one, all on the
// loopback of one machine.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/benchmarks/internal/bench"
	"github.com/bide-dev/bide/client"
	"github.com/bide-dev/bide/gateway/api"
)

func main() {
	took := flag.Duration("time", 5*time.Second, "how long starts are made in a sample")
	n := flag.Int("n", 2000, "starts around the kill of the server")
	connections := flag.String("connections", "1,64,512", "how many connections make them at once")
	streams := flag.Int("streams", 1000, "how many streams of everything are open")
	serve := flag.String("serve", "", "be the server over the store with this URL")
	listen := flag.String("listen", "127.0.0.1:0", "where the server listens")
	bench.Main("gateway", []string{bench.SQLite, bench.Postgres, bench.Memory}, func(ctx context.Context, b *bench.Bench) error {
		if *serve != "" {
			return host(ctx, *serve, *listen)
		}
		stores, err := b.Stores()
		if err != nil {
			return err
		}
		var cases []bench.Case
		for _, store := range stores {
			for _, text := range strings.Split(*connections, ",") {
				c, err := strconv.Atoi(text)
				if err != nil || c < 1 {
					return fmt.Errorf("-connections: %q is not a number of connections", text)
				}
				cases = append(cases, bench.Case{Setting: map[string]string{"store": store, "connections": text}, Sample: func(ctx context.Context, v *bench.Values) error {
					return at(ctx, b, store, func(s *served) error { return starts(ctx, v, s, *took, c) })
				}})
			}
			cases = append(cases, bench.Case{Setting: map[string]string{"store": store, "streams": strconv.Itoa(*streams)}, Sample: func(ctx context.Context, v *bench.Values) error {
				return at(ctx, b, store, func(s *served) error { return hear(ctx, v, s, *streams) })
			}})
			if store != bench.Memory {
				cases = append(cases, bench.Case{Setting: map[string]string{"store": store, "streams": strconv.Itoa(*streams), "killed": "once"}, Sample: func(ctx context.Context, v *bench.Values) error {
					return at(ctx, b, store, func(s *served) error { return killed(ctx, v, s, *n, *streams) })
				}})
			}
		}
		return b.Interleave(ctx, cases)
	})
}

// served is a server in a process of its own.
type served struct {
	child            *bench.Child
	store, url, body string // body is the file with that of a start
}

// at does something with a server over a fresh store.
func at(ctx context.Context, b *bench.Bench, store string, do func(*served) error) error {
	return b.At(ctx, store, func(p *bench.Place) (err error) {
		s := &served{store: p.URL}
		if s.body, err = bodyFile(); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.Remove(s.body)) }()
		if s.child, err = bench.StartChild("-serve", p.URL); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, s.child.End()) }()
		if s.url, err = s.child.Hear(); err != nil {
			return err
		}
		return do(s)
	})
}

// memory is the server's resident memory, in MB.
func (s *served) memory() (float64, error) {
	if err := s.child.Tell("memory"); err != nil {
		return 0, err
	}
	text, err := s.child.Hear()
	if err != nil {
		return 0, err
	}
	bytes, err := strconv.ParseFloat(text, 64)
	return bytes / (1 << 20), err
}

// client makes one with so many connections at most.
func (s *served) client(connections int) (*client.Client, error) {
	return client.New(s.url, &client.Options{HTTP: &http.Client{Transport: &http.Transport{MaxConnsPerHost: connections, MaxIdleConnsPerHost: connections}}})
}

// hear opens streams of everything, and measures from a start until the last of them has heard of it.
func hear(ctx context.Context, v *bench.Values, s *served, streams int) error {
	ctx, stop := context.WithCancelCause(ctx)
	var readers sync.WaitGroup
	defer readers.Wait()
	defer stop(nil)
	before, err := s.memory()
	if err != nil {
		return err
	}
	c, err := s.client(8)
	if err != nil {
		return err
	}
	http := &http.Client{Transport: &http.Transport{}}
	opened, heard := make(chan error, streams), make(chan struct{}, streams)
	for range streams {
		readers.Go(func() { read(ctx, http, s.url+"/v1/stream", opened, heard) })
	}
	for range streams {
		if err := <-opened; err != nil {
			return err
		}
	}
	open, err := s.memory()
	if err != nil {
		return err
	}
	v.Add("memory a stream", "KB", (open-before)*1024/float64(streams))
	for i := range 20 {
		begin := time.Now()
		if _, err := c.Start(ctx, api.StartRun{Workflow: "wait", Input: bide.JSON(strconv.Itoa(i))}, ""); err != nil {
			return err
		}
		for range streams {
			select {
			case <-heard:
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-time.After(time.Minute):
				return errors.New("a stream has not heard of a start for a minute")
			}
		}
		v.Add("from a start to the last stream", "ms", bench.Milliseconds(time.Since(begin)))
	}
	return nil
}

// read reads a stream and tells of each start that it hears of.
func read(ctx context.Context, c *http.Client, url string, opened chan<- error, heard chan<- struct{}) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		opened <- err
		return
	}
	resp, err := c.Do(req)
	if err != nil {
		opened <- err
		return
	}
	defer resp.Body.Close()
	opened <- nil
	buf, rest := make([]byte, 4096), ""
	for {
		n, err := resp.Body.Read(buf)
		rest += string(buf[:n])
		const mark = `"kind":"run.started"`
		for range strings.Count(rest, mark) {
			heard <- struct{}{}
		}
		if i := strings.LastIndex(rest, mark); i >= 0 {
			rest = rest[i+len(mark):]
		}
		rest = rest[max(0, len(rest)-len(mark)):]
		if err != nil { // the measurement is over, or fails by its silence
			return
		}
	}
}
