package file

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// common is a file of what does not belong to one run, and how much of what it is
// to have it has. Lines are added to it; once most of them say nothing any more, what is left is
// written to another file, whose name store.json has from then on.
type common struct {
	base  string // of its name
	file  string // its name now
	filed int64  // bytes that it has
	group int64  // the last group of the journal that is in it, or in what it is still to get
	look  int64  // size from which to look again whether it could be smaller

	pending []byte // lines that the file does not have yet
}

// commonFile is what store.json has of a common file.
type commonFile struct {
	File  string `json:"file"`
	Bytes int64  `json:"bytes"`         // the length that counts
	Group int64  `json:"journal_group"` // the last group of the journal that is in it
}

func (c *common) entry() commonFile { return commonFile{c.file, c.filed, c.group} }

// commonSuffix ends the name of a common file.
const commonSuffix = ".jsonl"

// numberOf is the number in the name of a common file: 1 for "mail.jsonl", n for "mail-n.jsonl", else 0.
func numberOf(base, name string) int {
	if name == base+commonSuffix {
		return 1
	}
	digits, ok := strings.CutPrefix(strings.TrimSuffix(name, commonSuffix), base+"-")
	n, err := strconv.Atoi(digits)
	if !ok || err != nil || n < 2 || name != commonName(base, n) {
		return 0
	}
	return n
}

func commonName(base string, n int) string { return base + "-" + strconv.Itoa(n) + commonSuffix }

// shrinkFrom is the size of a common file from which it may be written anew.
const shrinkFrom = 64 << 10

// draft is what is about to be written of a common file.
type draft struct {
	next     common // once it is
	text     []byte
	at       int64
	consumed int    // bytes of pending in it
	old      string // the file that it replaces
}

// draft says what is to be written: what is pending, or all of it anew, when that
// may be worth it, the file has reached a size and it would become half as long.
func (c *common) draft(from int64, whole func() ([]byte, error), worth bool) (d draft, err error) {
	d = draft{next: *c, text: c.pending, at: c.filed, consumed: len(c.pending)}
	d.next.filed += int64(len(c.pending))
	if size := d.next.filed; worth && size >= max(from, c.look) {
		text, err := whole()
		if err != nil {
			return d, err
		}
		if d.next.look = 2 * size; int64(len(text)) <= size/2 {
			d.old, d.text, d.at = c.file, text, 0
			d.next.file = commonName(c.base, numberOf(c.base, c.file)+1)
			d.next.filed, d.next.look = int64(len(text)), 2*int64(len(text))
		}
	}
	return d, nil
}

// done takes over what was written.
func (c *common) done(d *draft) {
	c.file, c.filed, c.look = d.next.file, d.next.filed, d.next.look
	c.pending = append([]byte(nil), c.pending[d.consumed:]...)
}

// writeDraft writes a draft to its file, and flushes it.
func (s *Store) writeDraft(d *draft) error {
	if len(d.text) == 0 && d.old == "" {
		return nil
	}
	flags := os.O_RDWR | os.O_CREATE
	if d.at == 0 {
		flags |= os.O_TRUNC
	}
	f, err := s.disk.Open(filepath.Join(s.dir, d.next.file), flags)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(d.text, d.at)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil && d.at == 0 { // nothing must count that is not there
		err = s.disk.SyncDir(s.dir)
	}
	return err
}

// fileCommon brings the messages and the order of the feed to their files, and flushes them.
func (s *Store) fileCommon() error {
	m, f := &s.index.mail, &s.index.feed
	s.mu.Lock()
	f.write()
	mail, err1 := m.draft(s.shrinkFrom, m.whole, true)
	feed, err2 := f.draft(s.shrinkFrom, f.whole, f.shrinks())
	end := f.end
	s.mu.Unlock()
	if err := errors.Join(err1, err2, s.flushJournal(max(mail.next.group, feed.next.group))); err != nil {
		return err
	}
	if err := errors.Join(s.writeDraft(&mail), s.writeDraft(&feed)); err != nil {
		return err
	}
	if err := s.writeStoreFile(storeFile{Mail: mail.next.entry(), Feed: feed.next.entry(), FeedEnd: end}); err != nil {
		return err
	}
	s.mu.Lock()
	m.done(&mail)
	f.done(&feed)
	if feed.old != "" {
		f.removed = 0
	}
	s.mu.Unlock()
	for _, name := range []string{mail.old, feed.old} {
		if name != "" {
			s.removeOld(name)
		}
	}
	return nil
}

// removeOld removes a common file that was replaced. If that fails, it is tried again when the store is opened.
func (s *Store) removeOld(name string) {
	path := filepath.Join(s.dir, name)
	if err := s.disk.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.log.Warn("a file that was replaced cannot be removed", "file", path, "error", err)
	}
}

// readCommon reads the part of a common file that counts, and removes others of its name.
func (s *Store) readCommon(c *common) ([]byte, error) {
	entries, err := s.disk.ReadDir(s.dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if numberOf(c.base, e.name) > 0 && e.name != c.file {
			s.removeOld(e.name)
		}
	}
	path := filepath.Join(s.dir, c.file)
	text, err := readFile(s.disk, path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if n := int64(len(text)); n < c.filed {
		s.log.Error("lines are missing: the file is shorter than it was", "file", path, "bytes", c.filed-n)
		c.filed = n
	} else {
		s.sayCut(path, "", c.filed, n-c.filed)
	}
	return text[:c.filed], nil
}
