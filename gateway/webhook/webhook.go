package webhook

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/gateway/auth"
	"github.com/bide-dev/bide/tool"
)

// Store is what webhooks need of a store.
type Store interface {
	bide.Documents
	Feed(ctx context.Context, q bide.FeedQuery) (*bide.FeedPage, error)
}

// Options refines webhooks. Nil means the defaults.
type Options struct {
	// AllowPrivate lets messages go to this machine and its networks, and over plain http. Defaults to public addresses and https only.
	AllowPrivate bool
	// Retry says how often a message is tried. Defaults to 12 attempts over about a day, the first pause 5s, the longest 4h.
	Retry *bide.RetryPolicy
	// Timeout bounds one attempt. Defaults to 15s.
	Timeout time.Duration
	// Keep is how long the runs of messages that were received are kept. Defaults to 7 days.
	Keep time.Duration
	// Poll is how often to look for events of other processes that no hint told of. Defaults to 1s.
	Poll time.Duration
	// Clock is the source of time. Defaults to the system's.
	Clock bide.Clock
	// Logger receives failures of the store; no payloads. Defaults to none.
	Logger *slog.Logger
}

// Hooks are the webhooks of a store, out and in.
type Hooks struct {
	rt     *bide.Runtime
	store  Store
	trees  *auth.Trees
	opts   Options
	client *http.Client
	busy   *gate
}

// New registers the workflow of deliveries and its handler with a runtime; call it once per runtime. A worker may be at work
// already; wake it then (worker.Worker.Wake). The store is the one that rt is over.
func New(rt *bide.Runtime, store Store, opts *Options) (*Hooks, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	if o.Retry == nil {
		o.Retry = &bide.RetryPolicy{Attempts: 12, Backoff: bide.Duration(5 * time.Second), Factor: 4, Max: bide.Duration(4 * time.Hour)}
	}
	if o.Timeout <= 0 {
		o.Timeout = 15 * time.Second
	}
	if o.Keep <= 0 {
		o.Keep = 7 * 24 * time.Hour
	}
	if o.Poll <= 0 {
		o.Poll = time.Second
	}
	if o.Clock == nil {
		o.Clock = systemClock{}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	h := &Hooks{rt: rt, store: store, trees: auth.NewTrees(rt), opts: o, busy: newGate(),
		client: &http.Client{Transport: tool.NewTransport(o.AllowPrivate), CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		}}}
	rt.Handle(typeSend, h.send) // before the workflow: a worker takes no run whose workflow is not known yet
	return h, rt.Register(deliveries)
}

func (h *Hooks) now() time.Time { return h.opts.Clock.Now().UTC().Truncate(time.Microsecond) }

type systemClock struct{}

func (systemClock) Now() time.Time { return time.Now() }
func (systemClock) AfterFunc(d time.Duration, f func()) func() bool {
	return time.AfterFunc(d, f).Stop
}
