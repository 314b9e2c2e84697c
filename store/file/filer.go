package file

import "time"

// fileEvery is how soon records follow from the journal into the ledgers: often
// enough for somebody who looks on, and seldom enough that many records go in one write.
const fileEvery = 200 * time.Millisecond

// filer brings what the journal has to the files of the runs, in the background.
type filer struct {
	store  *Store
	wake   chan struct{}   // holds a token when there may be something to do
	asked  chan chan error // asks to do it at once
	stop   chan struct{}
	done   chan struct{}
	idle   bool // nobody runs work; for tests, which file when they want to
	passes int  // since the last checkpoint
	failed bool // the last pass
}

func newFiler(s *Store) *filer {
	return &filer{store: s, wake: make(chan struct{}, 1), asked: make(chan chan error), stop: make(chan struct{}), done: make(chan struct{})}
}

func (f *filer) signal() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// makeRoom waits until there are not too many records in memory.
func (f *filer) makeRoom() error {
	f.store.mu.RLock()
	full := f.store.backlog > maxBacklog
	f.store.mu.RUnlock()
	if !full {
		return nil
	}
	if f.idle {
		return f.store.fileLedgers()
	}
	answer := make(chan error)
	f.asked <- answer
	return <-answer
}

// end waits until work has ended.
func (f *filer) end() {
	close(f.stop)
	if !f.idle {
		<-f.done
	}
}

// work files until the store is closed.
func (f *filer) work() {
	defer close(f.done)
	pause := time.NewTimer(fileEvery)
	defer pause.Stop()
	for {
		select {
		case <-f.wake:
		case answer := <-f.asked:
			answer <- f.store.fileLedgers()
			continue
		case <-f.stop:
			return
		}
		pause.Reset(fileEvery)
		select {
		case <-pause.C:
		case answer := <-f.asked:
			answer <- f.store.fileLedgers()
		case <-f.stop:
			return
		}
		f.pass()
	}
}

// pass files records, and now and then makes a checkpoint.
func (f *filer) pass() {
	f.passes++
	s := f.store
	file := s.fileLedgers
	whole := s.journal.size.Load() >= s.opts.JournalBytes || time.Duration(f.passes)*fileEvery >= s.opts.CheckpointEvery
	if whole {
		f.passes, file = 0, s.checkpoint
	}
	err := file()
	switch {
	case err != nil && !f.failed:
		s.log.Warn("what is in the journal cannot be brought to the files for now; nothing is lost", "error", err)
	case err == nil && f.failed:
		s.log.Info("the files can be written again")
	}
	f.failed = err != nil
	if err != nil || !whole {
		f.signal() // there is more to do
	}
}
