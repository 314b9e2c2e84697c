package transfer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/ledger"
)

// Store is what runs can be imported into.
type Store interface {
	bide.Store
	bide.Claims
}

// ImportOptions refines Import. Nil means as history.
type ImportOptions struct {
	ReadOptions
	// Live lets runs that have not ended go on in the store, with their waits open and their mail. They
	// must not go on where they come from: nobody can tell the two apart. Otherwise they are set
	// aside as history, which no worker touches.
	Live bool
	// From says where the runs come from, for the reason why they are set aside. Defaults to "a file".
	From string
	// Encrypt encrypts runs that come plain, in a store that is encrypted. Their records get other hashes, so what was signed
	// of them does not speak for them any more. Defaults to leaving them plain.
	Encrypt bool
	// Artifacts takes the blobs. Defaults to leaving them out.
	Artifacts Artifacts
	// Documents are the kinds of documents to take; those that are there already stay. Defaults to none: a
	// document may be a right or a key.
	Documents []string
}

// Imported is what an import did.
type Imported struct {
	Runs    int64 `json:"runs"`    // that are new, or were finished
	Known   int64 `json:"known"`   // that were there already, at that record or further
	Records int64 `json:"records"` // written
	// History are the runs that had not ended and were set aside, Live those that go on.
	History   int64 `json:"history"`
	Live      int64 `json:"live"`
	Artifacts int64 `json:"artifacts"`
	Documents int64 `json:"documents"`
	// Left are blobs and documents that were not taken.
	Left int64 `json:"left"`
}

// Import checks a whole file as Inspect does, and then puts it into a store: every record as it is, so that
// hashes and proofs hold there too. What is there already is left as it is, and an import that was cut
// off is finished by doing it again. It fails with ErrCorrupt when the file is at fault, having changed nothing, and
// with ErrExists when a run of it is there with other records.
func Import(ctx context.Context, store Store, r io.ReadSeeker, opts *ImportOptions) (*Imported, error) {
	var o ImportOptions
	if opts != nil {
		o = *opts
	}
	content, err := Inspect(r, &o.ReadOptions, nil)
	switch {
	case err != nil:
		return nil, err
	case content.Broken != nil:
		return nil, content.Broken
	case len(content.Faults) > 0:
		return nil, bide.Errorf(bide.CodeCorrupt, "the file is not imported: %s (%d faults in all)", content.Faults[0], len(content.Faults))
	}
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return nil, fmt.Errorf("read the file again: %w", err)
	}
	return put(ctx, store, r, &o)
}

// put reads a file into a store.
func put(ctx context.Context, store Store, r io.Reader, o *ImportOptions) (*Imported, error) {
	in, err := newReader(r, o.ReadOptions.withDefaults())
	if err != nil {
		return nil, err
	}
	if o.From == "" {
		o.From = "a file"
	}
	im := &importer{ctx: ctx, store: store, raw: store, opts: o, out: &Imported{}, rt: bide.Must(bide.New(store, &bide.Options{CacheRuns: 1}))}
	if keys, ok := store.(sealing); ok {
		im.keys, im.raw = keys, keys.Stored()
	} else if o.Encrypt {
		return nil, bide.Errorf(bide.CodeInvalidInput, "runs can be encrypted in a store that is encrypted alone; give it a keyring")
	}
	if _, err := in.walk(im); err != nil {
		return im.out, fmt.Errorf("import: %w", err)
	}
	for _, id := range im.live { // all at once, when parents and children are there
		if err := store.SetAside(ctx, id, ""); err != nil {
			return im.out, fmt.Errorf("import: %w", err)
		}
	}
	return im.out, nil
}

// importReason sets a run aside while it is being imported.
const importReason = "its import is under way"

type importer struct {
	ctx   context.Context
	store Store
	raw   bide.Store // that takes what is encrypted as it is
	keys  sealing    // nil when the store is not encrypted
	opts  *ImportOptions
	out   *Imported
	rt    *bide.Runtime
	live  []string
}

// run imports one run.
func (im *importer) run(r *RunEntry, in *reader) error {
	if !runID.MatchString(r.ID) {
		return in.corrupt("%.100q is not an id of a run", r.ID)
	}
	p := &putting{im: im, id: r.ID, info: r.RunInfo, in: in, key: r.DataKey}
	if err := im.dataKey(r); err != nil {
		return err
	}
	if im.opts.Encrypt && r.DataKey == nil {
		p.encrypt = &encrypting{p: p}
	}
	if err := p.resume(); err != nil {
		return err
	}
	run, err := bide.Fold(p.follow())
	if err == nil {
		err = p.failed
	}
	if err != nil {
		return err
	}
	end, err := in.runEnd()
	if err != nil {
		return err
	}
	return p.end(run, end)
}

// dataKey takes in the data key of a run.
func (im *importer) dataKey(r *RunEntry) error {
	switch {
	case r.DataKey == nil:
		return nil
	case im.keys == nil:
		return bide.Errorf(bide.CodeSealed, "run %s is encrypted, and the store that it is imported into has no wrapping keys; give it those of the store that the file comes from", r.ID)
	}
	return im.keys.ImportKey(im.ctx, r.DataKey)
}

// putting is a run that is being imported.
type putting struct {
	im      *importer
	id      string
	info    bide.RunInfo
	in      *reader
	there   bide.Position // of the run in the store before
	at      bide.Position // and now
	aside   bool          // an import was under way there
	batch   []bide.Record
	bytes   int
	command *bide.CommandRecord
	key     bide.JSON   // nil when it is not encrypted
	encrypt *encrypting // nil unless it comes plain and is to be encrypted
	failed  error
}

// resume looks whether the run is there.
func (p *putting) resume() error {
	ctx, store := p.im.ctx, p.im.store
	run, err := p.im.rt.Get(ctx, p.id)
	if errors.Is(err, bide.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	p.there, p.at = run.Position(), run.Position()
	for q := (bide.RunQuery{Root: run.Root, CreatedFrom: run.CreatedAt, CreatedTo: run.CreatedAt.Add(time.Microsecond), Limit: 1000}); ; {
		page, err := store.Runs(ctx, q)
		if err != nil {
			return err
		}
		for _, row := range page.Runs {
			if row.ID == p.id {
				p.aside = row.SetAside == importReason || row.Status == bide.StatusPaused && run.Status != bide.StatusPaused
				return nil
			}
		}
		if q.Cursor = page.Next; q.Cursor == "" {
			return nil
		}
	}
}

// Limits of one commit of an import.
const (
	batchRecords = 1000
	batchBytes   = 1 << 20
)

// follow passes the records on to be folded, and commits them in batches. The last stays in the batch.
func (p *putting) follow() func(yield func(bide.Record, error) bool) {
	return func(yield func(bide.Record, error) bool) {
		for raw, err := range p.in.records() {
			if err != nil {
				p.failed = err
				return
			}
			rec, err := bide.ParseRecord(raw)
			if len(rec.Sealed) > 0 { // it was shredded: nobody has its key
				p.encrypt = nil
			}
			if err == nil && p.encrypt != nil {
				rec, err = p.encrypt.record(rec)
			}
			if err == nil {
				err = p.add(rec, p.in.command)
			}
			if err == nil && p.key != nil {
				err = p.im.keys.OpenRecord(p.im.ctx, p.id, &rec)
			}
			if err != nil {
				p.failed = err
				return
			}
			if !yield(rec, nil) {
				return
			}
		}
	}
}

// add takes a record in, and commits those before it when they are enough.
func (p *putting) add(rec bide.Record, done *commandEntry) error {
	switch {
	case rec.Seq < p.there.Seq:
		return nil
	case rec.Seq == p.there.Seq:
		if rec.Hash != p.there.Head {
			return bide.Errorf(bide.CodeExists, "run %s is there with another record %d; it is another run", p.id, rec.Seq)
		}
		return nil
	case p.there.Seq > 0 && !p.aside:
		return bide.Errorf(bide.CodeExists, "run %s is there at record %d and goes on there; the file has more", p.id, p.there.Seq)
	}
	if len(p.batch) == batchRecords || p.bytes > batchBytes || done != nil && p.command != nil {
		if err := p.flush(); err != nil {
			return err
		}
	}
	if done != nil {
		p.command = &bide.CommandRecord{ID: done.ID, Fingerprint: done.Fingerprint, Seq: rec.Seq}
	}
	p.batch = append(p.batch, rec)
	p.bytes += len(rec.Raw)
	return nil
}

// flush commits the batch while more is to come: the row says that the run is paused, so that nobody takes it.
func (p *putting) flush() error {
	if len(p.batch) == 0 {
		return nil
	}
	last := p.batch[len(p.batch)-1]
	info := p.info
	info.Seq, info.Head, info.UpdatedAt, info.Status = last.Seq, last.Hash, last.At, bide.StatusPaused
	info.EndedAt, info.WakeAt, info.SetAside = time.Time{}, time.Time{}, ""
	return p.commit(&bide.Commit{Info: info})
}

// commit makes a commit of the batch.
func (p *putting) commit(c *bide.Commit) error {
	c.RunID, c.Expect, c.Records, c.Command = p.id, p.at, p.batch, p.command
	if p.key != nil {
		var err error
		if c.Opened, err = p.im.keys.SealWaits(p.im.ctx, p.key, c.Opened); err != nil {
			return err
		}
	}
	store := p.im.raw
	if p.encrypt != nil {
		store, c.Sealer = p.im.store, p.encrypt.sealer
	}
	if err := store.Commit(p.im.ctx, c); err != nil {
		return err
	}
	p.im.out.Records += int64(len(p.batch))
	p.at, p.batch, p.bytes, p.command = c.Info.Position(), nil, 0, nil
	return nil
}

// end makes the last commit of a run, with its true row.
func (p *putting) end(run *bide.Run, end *RunEnd) error {
	if run.ID != p.id {
		return bide.Errorf(bide.CodeCorrupt, "the records of run %s are those of run %s", p.id, run.ID)
	}
	if len(p.batch) == 0 {
		return p.known(run)
	}
	p.im.out.Runs++
	c := &bide.Commit{Info: run.RunInfo}
	if run.Status.Final() {
		return p.commit(c)
	}
	if p.im.opts.Live {
		c.Opened, c.Send = run.Waits, end.Mail
	}
	if err := p.hold(c); err != nil {
		return err
	}
	return p.settle()
}

// hold commits the last of a run that has not ended, while it is set aside.
func (p *putting) hold(c *bide.Commit) error {
	ctx, store := p.im.ctx, p.im.store
	if n := len(p.batch); n > 1 {
		last, command := p.batch[n-1], p.command
		p.batch = p.batch[:n-1]
		if command != nil && command.Seq == last.Seq {
			p.command = nil
		}
		if err := p.flush(); err != nil {
			return err
		}
		p.batch = []bide.Record{last}
		if command != nil && command.Seq == last.Seq {
			p.command = command
		}
	}
	if p.at.Seq > 0 {
		if err := store.SetAside(ctx, p.id, importReason); err != nil {
			return err
		}
		return p.commit(c)
	}
	// A run of one record cannot be set aside before it is there, so it is claimed by being there.
	owner := "import-" + p.id
	if err := store.Heartbeat(ctx, owner, time.Now().Add(time.Minute)); err != nil {
		return err
	}
	c.Owner, c.Claimed = owner, 1
	if err := p.commit(c); err != nil {
		return err
	}
	return errors.Join(store.SetAside(ctx, p.id, importReason), store.Release(ctx, owner, []string{p.id}, false))
}

// settle says what becomes of a run that has not ended and is set aside.
func (p *putting) settle() error {
	if p.im.opts.Live {
		p.im.out.Live++
		p.im.live = append(p.im.live, p.id)
		return nil
	}
	p.im.out.History++
	return p.im.store.SetAside(p.im.ctx, p.id, ledger.HistoryReason(p.im.opts.From))
}

// known checks a run of which nothing was new.
func (p *putting) known(run *bide.Run) error {
	if run.Seq < p.there.Seq {
		raws, err := p.im.store.Records(p.im.ctx, p.id, run.Seq, 1)
		if err != nil {
			return err
		}
		rec, err := bide.ParseRecord(slices.Concat(raws...))
		if err != nil || rec.Hash != run.Head {
			return bide.Errorf(bide.CodeExists, "run %s is there with another record %d; it is another run", p.id, run.Seq)
		}
	}
	p.im.out.Known++
	if p.aside && !run.Status.Final() {
		return p.settle()
	}
	return nil
}

func (im *importer) blob(b *blobEntry, content io.Reader) error {
	if im.opts.Artifacts == nil {
		im.out.Left++
		return nil
	}
	if b.DataKey != nil {
		sealed, ok := im.opts.Artifacts.(sealedArtifacts)
		if !ok {
			return bide.Errorf(bide.CodeSealed, "artifact %.64q is encrypted, and the store that it is imported into has no wrapping keys; give it those of the store that the file comes from", b.SHA256)
		}
		var err error
		if content, err = sealed.Unseal(im.ctx, b.DataKey, content); err != nil {
			return err
		}
	}
	got, _, err := im.opts.Artifacts.Put(im.ctx, content)
	if err != nil {
		return err
	}
	if b.DataKey == nil && got != b.SHA256 {
		return bide.Errorf(bide.CodeCorrupt, "artifact %.64q has other content, whose hash is %s", b.SHA256, got)
	}
	im.out.Artifacts++
	return nil
}

func (im *importer) missing(string) {}

func (im *importer) document(d *bide.Document) error {
	docs, ok := im.store.(bide.Documents)
	if !ok || !slices.Contains(im.opts.Documents, d.Kind) || d.Kind == ledger.CheckpointKind {
		im.out.Left++
		return nil
	}
	there, err := docs.Document(im.ctx, d.Kind, d.ID)
	switch {
	case err == nil && bytes.Equal(there.Body, d.Body):
		return nil
	case err == nil:
		im.out.Left++
		return nil
	case !errors.Is(err, bide.ErrNotFound):
		return err
	}
	fresh := *d
	fresh.Rev = 0
	if _, err := docs.PutDocument(im.ctx, fresh); err != nil {
		return err
	}
	im.out.Documents++
	return nil
}
