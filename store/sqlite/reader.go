package sqlite

import (
	"cmp"
	"context"
	"errors"
	"sync"

	"github.com/ncruces/go-sqlite3"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/internal/pack"
)

// pool lends read-only connections, a bounded number at a time. They are opened
// when first needed; the one used last is lent first.
type pool struct {
	open  func() (*reader, error)
	slots chan struct{}

	mu     sync.Mutex
	idle   []*reader
	closed bool
}

func newPool(n int, open func() (*reader, error)) *pool {
	return &pool{open: open, slots: make(chan struct{}, n)}
}

// get lends a reader; errPoolClosed after close.
func (p *pool) get(ctx context.Context) (*reader, error) {
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	p.mu.Lock()
	closed, n := p.closed, len(p.idle)
	var r *reader
	if !closed && n > 0 {
		r, p.idle = p.idle[n-1], p.idle[:n-1]
	}
	p.mu.Unlock()
	var err error
	switch {
	case closed:
		err = errPoolClosed
	case r == nil:
		r, err = p.open()
	}
	if err != nil {
		<-p.slots
		return nil, err
	}
	return r, nil
}

var errPoolClosed = errors.New("the pool is closed")

// put takes a reader back; one that may be spoilt is closed.
func (p *pool) put(r *reader, spoilt bool) {
	if spoilt {
		_ = r.close() // why is known already
	} else {
		p.mu.Lock()
		p.idle = append(p.idle, r)
		p.mu.Unlock()
	}
	<-p.slots
}

// close waits for the readers that are lent and closes all. It may be called once.
func (p *pool) close() error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	for range cap(p.slots) {
		p.slots <- struct{}{}
	}
	defer func() {
		for range cap(p.slots) {
			<-p.slots // those who wait in get learn that it is closed
		}
	}()
	var errs []error
	for _, r := range p.idle {
		errs = append(errs, r.close())
	}
	p.idle = nil
	return errors.Join(errs...)
}

// reader is a read-only connection with its prepared statements.
type reader struct {
	statements
	packer *pack.Packer
	alone  *stamp // nil unless it reads without locks
}

func (s *Store) openReader() (*reader, error) {
	conn, then, err := s.dialReader()
	if err != nil {
		return nil, err
	}
	if err := conn.Exec("PRAGMA query_only = on; PRAGMA cache_size = -8192; PRAGMA temp_store = memory"); err != nil {
		return nil, cmp.Or(s.explain("open", err), conn.Close())
	}
	return &reader{newStatements(conn), s.packer, then}, nil
}

// read lends f a connection. What f reads while a statement of its own is
// neither finished nor reset comes from one state of the file.
func (s *Store) read(ctx context.Context, doing string, f func(*reader) error) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	r, err := s.lend(ctx)
	if errors.Is(err, errPoolClosed) {
		return errClosed(s.path)
	}
	if err != nil {
		return err
	}
	spoilt := true // unless f returns: the driver panics when its memory is used up
	defer func() {
		r.conn.SetInterrupt(context.Background())
		s.readers.put(r, spoilt)
	}()
	r.conn.SetInterrupt(ctx)
	err = f(r)
	if spoilt = r.alone != nil && !s.holds(r.alone); spoilt {
		return s.errWritten(doing)
	}
	var own *bide.Error
	switch {
	case err == nil, errors.As(err, &own):
		return err
	case code(err) == sqlite3.INTERRUPT && ctx.Err() != nil:
		return context.Cause(ctx)
	}
	return s.explain(doing, err)
}
