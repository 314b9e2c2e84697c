package cli

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/bide-dev/bide/gateway/api"
	"github.com/bide-dev/bide/mcp"
	"github.com/bide-dev/bide/tool"
)

// listing is how long a server may take to say which tools it has. One that could not is asked again after a second, then
// two, up to half a minute.
const (
	listing = 30 * time.Second
	relist  = time.Second
	rarely  = 30 * time.Second
)

// toolServers keep a set in step with the servers that tools come from. One that is down
// leaves all else as it is, and its tools are there when it is up.
type toolServers struct {
	set     *tool.Set
	log     *slog.Logger
	clients []*mcp.Client

	mu    sync.Mutex
	state []serverState // of each client
}

type serverState struct {
	api.ToolServer
	pause time.Duration // before it is asked again, when it is down
	next  time.Time     // when it is
}

// openServers makes the clients; it does not connect.
func openServers(cfg *config, list []mcp.Server, log *slog.Logger, open *closers) (*toolServers, error) {
	s := &toolServers{log: cmp.Or(log, slog.New(slog.DiscardHandler))}
	for _, server := range list {
		server.Dir = cfg.path("tools", server.Dir)
		c, err := mcp.New(server, &mcp.Options{Secrets: secrets(cfg.secrets).Secret})
		if err != nil {
			return nil, err
		}
		open.add(func() error {
			if err := c.Close(); err != nil { // such as that it is gone already
				s.log.Debug("close the connection to a server of tools", "server", server.Name, "err", err)
			}
			return nil
		})
		s.clients = append(s.clients, c)
		s.state = append(s.state, serverState{ToolServer: api.ToolServer{Name: server.Name}, pause: relist})
	}
	return s, nil
}

// look asks the servers for their tools that have not said them and whose turn it is, or that may have others now.
func (s *toolServers) look(ctx context.Context) {
	var asked sync.WaitGroup
	for i, c := range s.clients {
		s.mu.Lock()
		is := s.state[i]
		s.mu.Unlock()
		if is.Up && c.Changed() || !is.Up && !time.Now().Before(is.next) {
			asked.Go(func() { s.ask(ctx, i, is) })
		}
	}
	asked.Wait()
}

// ask asks one server.
func (s *toolServers) ask(ctx context.Context, i int, was serverState) {
	ctx, stop := context.WithTimeoutCause(ctx, listing, fmt.Errorf("it does not say within %s which tools it has", listing))
	defer stop()
	tools, err := s.clients[i].Tools(ctx)
	if err == nil {
		err = s.set.Offer(was.Name, tools...)
	}
	is := serverState{ToolServer: api.ToolServer{Name: was.Name, Up: err == nil}, pause: relist}
	switch {
	case err != nil:
		if cause := context.Cause(ctx); cause != nil {
			err = fmt.Errorf("%w: %w", cause, err)
		}
		s.set.Missing(was.Name, err)
		is.pause, is.next = min(2*was.pause, rarely), time.Now().Add(was.pause)
		if is.Error = err.Error(); is.Error != was.Error {
			s.log.Warn("a server of tools cannot be reached; its tools are missing until it can", "server", was.Name, "err", err)
		}
	case was.Error != "":
		s.log.Warn("a server of tools can be reached again", "server", was.Name, "tools", len(tools))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state[i] = is
}

// states say how each server is.
func (s *toolServers) states() []api.ToolServer {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]api.ToolServer, len(s.state))
	for i := range s.state {
		out[i] = s.state[i].ToolServer
	}
	return out
}

// Run looks again and again until ctx ends.
func (s *toolServers) Run(ctx context.Context) {
	tick := time.NewTicker(relist)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			s.look(ctx)
		}
	}
}

// keep has Run at work until what is open is closed.
func (s *toolServers) keep(open *closers) {
	if len(s.clients) == 0 {
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); s.Run(ctx) }()
	open.add(func() error { stop(); <-done; return nil })
}
