// Package postgres keeps runs in PostgreSQL, for many workers on many machines.
// Commits of many runs share one round trip and one flush of the server's disk.
//
// It uses plain SQL that the databases compatible with PostgreSQL speak as
// well: no advisory locks, triggers, procedures or sequences. Notifications are
// hints, sent apart from commits; without them, polling finds everything. How to
// spread the tables over many servers is in docs/postgres-sharding.md.
//
// The package must not know workflows, record contents or any other store: it
// keeps what a bide.Commit holds and gives it back unchanged.
package postgres

import (
	"cmp"
	"context"
	"hash/maphash"
	"log/slog"
	"math/rand/v2"
	"regexp"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/internal/pack"
	"github.com/bide-dev/bide/internal/queue"
)

// Options refines a store. Nil means the defaults.
type Options struct {
	// Schema is the schema that holds the tables; it is created when it is not
	// there. Lower-case letters, digits and underscores. Defaults to "bide".
	Schema string
	// Committers is how many connections commit. A run always uses the same one. Fewer make larger
	// groups, which cost less, also the other processes on the server; more help a process that has hundreds of
	// runs in flight and processors to spare. Defaults to 1.
	Committers int
	// Conns is how many connections reads and claims share. Defaults to 4.
	Conns int
	// Timeout is how long one statement may take. Defaults to 30s.
	Timeout time.Duration
	// Patience is how long a commit waits for a server that is gone, before it
	// fails with an unknown outcome. Defaults to 30s.
	Patience time.Duration
	// Sweep is how often to look for messages whose runs were not told, which
	// happens when a process dies in the middle, and to put into the feed what nobody read yet. Defaults to 2s.
	Sweep time.Duration
	// Logger receives what happens besides. Defaults to none.
	Logger *slog.Logger
}

var validSchema = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,49}$`)

func (o *Options) withDefaults() (Options, error) {
	var out Options
	if o != nil {
		out = *o
	}
	out.Schema = cmp.Or(out.Schema, "bide")
	if !validSchema.MatchString(out.Schema) {
		return out, bide.Errorf(bide.CodeInvalidInput, "%q cannot be a schema: use lower-case letters, digits and underscores, at most 50", out.Schema)
	}
	out.Committers = positive(out.Committers, 1)
	out.Conns = positive(out.Conns, 4)
	out.Timeout = positive(out.Timeout, 30*time.Second)
	out.Patience = positive(out.Patience, 30*time.Second)
	out.Sweep = positive(out.Sweep, 2*time.Second)
	if out.Logger == nil {
		out.Logger = slog.New(slog.DiscardHandler)
	}
	return out, nil
}

func positive[T int | time.Duration](v, otherwise T) T {
	if v <= 0 {
		return otherwise
	}
	return v
}

// Store keeps runs in a schema of a PostgreSQL database.
type Store struct {
	opts   Options
	server string // host, port and database, for messages
	log    *slog.Logger
	pool   *pgxpool.Pool
	packer *pack.Packer
	queues []*queue.Queue[*entry] // one per committer
	seed   maphash.Seed
	me     uint64 // tells its own notifications from others'
	hints  *hints
	relay  *relay
	lost   lostClaims
	alive  sync.Map      // by owner: until when it said to be alive
	fed    atomic.Int64  // a position that the feed has passed
	moving chan struct{} // holds a token while nobody here moves rows to the feed

	ctx    context.Context // ends with the store
	end    context.CancelFunc
	work   sync.WaitGroup // committers
	aside  sync.WaitGroup // what ends with ctx: listener, notifier, sweeper
	closed atomic.Bool
}

var (
	_ bide.Store     = (*Store)(nil)
	_ bide.Claims    = (*Store)(nil)
	_ bide.Counter   = (*Store)(nil)
	_ bide.Documents = (*Store)(nil)
	_ bide.Hinter    = (*Store)(nil)
	_ bide.Relay     = (*Store)(nil)
)

// Open opens the store in the database that url names, and creates its tables
// when they are not there. The url is as libpq has it: postgres://user@host:port/database?sslmode=...
// Any number of processes may have a store open, and open it at once.
//
// It fails with ErrStoreTooNew when a newer version made the tables,
// ErrStoreForeign when the schema holds something else, ErrStoreReadOnly when tables are missing on a
// server that takes no writes, ErrStoreUnavailable when the server or the database is not there or lets the user not in, and
// ErrInvalidInput when the url is none.
//
// The server must do without a pooler that hands a connection to another client
// between transactions, or the pooler must keep settings and prepared statements.
func Open(ctx context.Context, url string, opts *Options) (*Store, error) {
	o, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	config, err := configure(url, &o)
	if err != nil {
		return nil, err
	}
	packer, err := pack.New()
	if err != nil {
		return nil, err
	}
	s := &Store{opts: o, server: where(config.ConnConfig), log: o.Logger, packer: packer, seed: maphash.MakeSeed(), me: rand.Uint64(),
		hints: newHints(), relay: newRelay(), moving: make(chan struct{}, 1)}
	s.moving <- struct{}{}
	if err := s.migrate(ctx, config.ConnConfig.Copy()); err != nil {
		return nil, s.explain("open", err)
	}
	if s.pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return nil, s.explain("open", err)
	}
	s.ctx, s.end = context.WithCancel(context.Background())
	for range o.Committers {
		c := &committer{store: s, queue: queue.New[*entry](), config: configureCommitter(config.ConnConfig)}
		s.queues = append(s.queues, c.queue)
		s.work.Go(c.run)
	}
	s.aside.Go(s.sweep)
	s.aside.Go(func() { s.notify(&s.hints.claimable, hintClaimable) })
	s.aside.Go(func() { s.notify(&s.hints.committed, hintFeed) })
	s.aside.Go(s.show)
	s.aside.Go(func() { s.listen(config.ConnConfig.Copy()) })
	return s, nil
}

// Commit implements bide.Store. It shares a transaction with the commits of
// other callers; one that is refused does not disturb the others. While the server
// is gone it waits, up to Options.Patience, and is sent again when the server is back.
func (s *Store) Commit(ctx context.Context, c *bide.Commit) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	e, err := newEntry(ctx, c, time.Now().Add(s.opts.Patience), s.packer)
	if err != nil {
		return err
	}
	if err := s.findTook(ctx, e, c.Took); err != nil {
		return err
	}
	if !s.queueOf(e).Push(e) {
		return s.errClosed()
	}
	select {
	case err := <-e.done:
		return err
	case <-ctx.Done(): // the committer still has e
		return context.Cause(ctx)
	}
}

// queueOf returns the queue that holds all commits of a run.
func (s *Store) queueOf(e *entry) *queue.Queue[*entry] {
	return s.queues[maphash.String(s.seed, e.route())%uint64(len(s.queues))]
}

// Close implements bide.Store. It may be called more than once. A commit that
// waits for a server that is gone ends with an error.
func (s *Store) Close() error {
	s.closed.Store(true)
	for _, q := range s.queues {
		q.Close()
	}
	s.work.Wait()
	s.end()
	s.aside.Wait()
	s.pool.Close()
	return nil
}

func (s *Store) errClosed() error {
	return bide.Errorf(bide.CodeStoreClosed, "the store in %s is closed", s.server)
}
