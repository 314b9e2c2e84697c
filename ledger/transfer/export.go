package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"time"

	"filippo.io/age"
	"golang.org/x/mod/sumdb/note"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/ledger"
)

// Artifacts is where blobs are; package artifact has one in a directory.
type Artifacts interface {
	// Put keeps what r has and returns its SHA-256 in hex and its size.
	Put(ctx context.Context, r io.Reader) (sum string, size int64, err error)
	// Open returns a blob by its SHA-256, or bide.ErrNotFound.
	Open(ctx context.Context, sum string) (io.ReadCloser, error)
}

// ExportOptions refines Export. Nil means all runs, without blobs, documents and encryption.
type ExportOptions struct {
	// Runs are the ids of the runs to export, each with all below it. Defaults to all of the store.
	Runs []string
	// Artifacts is where the blobs are that records name by a member "sha256". Defaults to leaving them out.
	Artifacts Artifacts
	// Documents are the kinds of documents to export. Defaults to none.
	Documents []string
	// TakeArtifact and TakeDocument say whether a blob that a run names, and a document of those kinds, go along. A blob that does
	// not is missing. They default to all.
	TakeArtifact func(ctx context.Context, runID, sum string) (bool, error)
	TakeDocument func(ctx context.Context, doc *bide.Document) (bool, error)
	// Recipients are those who can read the file, which is then encrypted with age. Defaults to everybody.
	Recipients []age.Recipient
	// Signers sign the file as a whole, what no checkpoint speaks for included. Defaults to none.
	Signers []note.Signer
	// Now is the clock. Defaults to the system's.
	Now func() time.Time
}

// Written is what an export holds.
type Written struct {
	Runs      int64 `json:"runs"`
	Records   int64 `json:"records"`
	Artifacts int64 `json:"artifacts"`
	Documents int64 `json:"documents"`
	// Missing are the blobs that records name and that were not to be had.
	Missing int64 `json:"missing,omitempty"`
	Bytes   int64 `json:"bytes"` // before encryption
	// SHA256 is the hash of what was written, before encryption.
	SHA256 bide.Hash `json:"sha256"`
}

// Export writes runs with all that belongs to them to w, as one stream: memory does not grow with what is
// written, but for one id per run and blob. Runs that go on meanwhile are exported as they were when their turn came.
// It fails with ErrNotFound when a run that is named is not there.
func Export(ctx context.Context, store bide.Store, w io.Writer, opts *ExportOptions) (out *Written, err error) {
	var o ExportOptions
	if opts != nil {
		o = *opts
	}
	if len(o.Recipients) > 0 {
		sealed, err := age.Encrypt(w, o.Recipients...)
		if err != nil {
			return nil, fmt.Errorf("encrypt export: %w", err)
		}
		out, err = newExporter(store, sealed, o).all(ctx)
		return out, errors.Join(err, sealed.Close())
	}
	return newExporter(store, w, o).all(ctx)
}

func newExporter(store bide.Store, w io.Writer, o ExportOptions) *exporter {
	if o.Now == nil {
		o.Now = time.Now
	}
	raw := store
	keys, ok := store.(sealing)
	if ok {
		raw = keys.Stored()
	}
	if o.TakeArtifact == nil {
		o.TakeArtifact = func(context.Context, string, string) (bool, error) { return true, nil }
	}
	if o.TakeDocument == nil {
		o.TakeDocument = func(context.Context, *bide.Document) (bool, error) { return true, nil }
	}
	return &exporter{Writer: newWriter(w), store: store, raw: raw, keys: keys, opts: o, out: &Written{},
		seen: map[string]bool{}, blobs: map[string]bool{}, rt: bide.Must(bide.New(store, &bide.Options{CacheRuns: 1}))}
}

type exporter struct {
	*Writer
	store bide.Store
	raw   bide.Store // as it is stored
	keys  sealing    // nil when the store is not encrypted
	opts  ExportOptions
	out   *Written
	log   *ledger.Evidence
	seen  map[string]bool // runs written
	blobs map[string]bool // blobs written or missing
	found []string        // blobs of the run at work
	rt    *bide.Runtime
	// skip and has say which runs and blobs are known where the file goes; nil and nil when that is not known.
	skip func(ctx context.Context, id string, at bide.Position) (bool, error)
	has  func(ctx context.Context, sum string) (bool, error)
}

// all writes the whole file.
func (e *exporter) all(ctx context.Context) (*Written, error) {
	for _, part := range []func(context.Context) error{e.begin, e.trees, e.documents, e.end} {
		if err := part(ctx); err != nil {
			return nil, fmt.Errorf("export: %w", err)
		}
	}
	return e.out, nil
}

func (e *exporter) begin(ctx context.Context) (err error) {
	e.log = &ledger.Evidence{}
	if docs, ok := e.store.(bide.Documents); ok {
		if e.log, _, err = ledger.ReadLog(ctx, docs, nil); err != nil {
			return err
		}
	}
	return e.line(line{Header: &Header{Format: Format, At: e.opts.Now().UTC().Truncate(time.Microsecond), Runs: e.opts.Runs}})
}

func (e *exporter) trees(ctx context.Context) (err error) {
	roots := e.opts.Runs
	if len(roots) == 0 {
		if roots, err = rootsOf(ctx, e.store); err != nil {
			return err
		}
	}
	for _, id := range roots {
		if err := e.tree(ctx, id); err != nil && (len(e.opts.Runs) > 0 || !errors.Is(err, bide.ErrNotFound)) {
			return err
		}
	}
	return nil
}

// rootsOf lists the runs that have no parent in the store, the oldest first.
func rootsOf(ctx context.Context, store bide.Store) (ids []string, err error) {
	for q := (bide.RunQuery{Limit: 1000}); ; {
		page, err := store.Runs(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, r := range page.Runs {
			if r.Parent == "" {
				ids = append(ids, r.ID)
			} else if _, err := store.Records(ctx, r.Parent, 1, 1); errors.Is(err, bide.ErrNotFound) {
				ids = append(ids, r.ID)
			} else if err != nil {
				return nil, err
			}
		}
		if q.Cursor = page.Next; q.Cursor == "" {
			break
		}
	}
	slices.Reverse(ids)
	return ids, nil
}

// tree writes a run and all below it, parents first.
func (e *exporter) tree(ctx context.Context, id string) error {
	if e.seen[id] {
		return nil
	}
	e.seen[id] = true
	if _, err := e.run(ctx, id); err != nil {
		return err
	}
	for q := (bide.RunQuery{Parent: id, Limit: 1000}); ; {
		page, err := e.store.Runs(ctx, q)
		if err != nil {
			return err
		}
		for _, child := range page.Runs {
			if err := e.tree(ctx, child.ID); err != nil && !errors.Is(err, bide.ErrNotFound) {
				return err
			}
		}
		if q.Cursor = page.Next; q.Cursor == "" {
			return nil
		}
	}
}

// run writes one run as it is now.
func (e *exporter) run(ctx context.Context, id string) (*bide.RunInfo, error) {
	run, err := e.rt.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	if e.skip != nil {
		done, err := e.skip(ctx, id, run.Position())
		if err != nil {
			return nil, err
		}
		if done {
			return &run.RunInfo, e.blobsOf(ctx, id, run.Seq)
		}
	}
	mail, err := mailOf(ctx, e.store, &run.RunInfo)
	if err != nil {
		return nil, err
	}
	return &run.RunInfo, e.write(ctx, run, mail)
}

// write writes a run at a record, with its mail.
func (e *exporter) write(ctx context.Context, run *bide.Run, mail []bide.Message) error {
	id := run.ID
	proof, err := e.log.Prove(id)
	if err != nil && !errors.Is(err, bide.ErrNotFound) {
		return err
	}
	begin := &RunEntry{RunInfo: run.RunInfo, Proof: proof}
	if e.keys != nil {
		if begin.DataKey, err = e.keys.ExportKey(ctx, id); err != nil {
			return err
		}
	}
	if err := e.line(line{Run: begin}); err != nil {
		return err
	}
	if err := e.records(ctx, id, run.Seq); err != nil {
		return err
	}
	end := &RunEnd{Mail: mail}
	if e.keys != nil && begin.DataKey != nil {
		if end.Mail, err = e.keys.SealMail(ctx, begin.DataKey, end.Mail); err != nil {
			return err
		}
	}
	if err := e.line(line{RunEnd: end}); err != nil {
		return err
	}
	e.out.Runs++
	return e.artifacts(ctx, id)
}

// records writes the records of a run up to one of them.
func (e *exporter) records(ctx context.Context, id string, upTo int64) error {
	e.found = nil
	for next := int64(1); next <= upTo; {
		raws, err := e.store.Records(ctx, id, next, int(min(1000, upTo-next+1)))
		if err != nil {
			return err
		}
		if len(raws) == 0 {
			return bide.Errorf(bide.CodeCorrupt, "run %s has no record %d; verify the store", id, next)
		}
		for _, raw := range raws {
			if err := e.copy(ctx, id, raw); err != nil {
				return err
			}
			next++
		}
	}
	return nil
}

// copy writes one record and notes what it names.
func (e *exporter) copy(ctx context.Context, id string, raw []byte) error {
	rec, err := bide.ParseRecord(raw)
	if err != nil {
		return err
	}
	if rec.Command != "" {
		switch c, err := e.raw.Command(ctx, id, rec.Command); {
		case err == nil && c.Seq == rec.Seq:
			if err := e.line(line{Command: &commandEntry{c.ID, c.Fingerprint}}); err != nil {
				return err
			}
		case err != nil && !errors.Is(err, bide.ErrNotFound):
			return err
		}
	}
	e.note(raw)
	e.out.Records++
	return e.record(rec.Raw)
}

// note finds the blobs that a record names and that were not found before.
func (e *exporter) note(raw []byte) {
	for _, m := range named.FindAllSubmatch(raw, -1) {
		if sum := string(m[1]); !e.blobs[sum] {
			e.blobs[sum] = true
			e.found = append(e.found, sum)
		}
	}
}

// blobsOf writes the blobs of a run that is known where the file goes, as far as they are not: a copy that was cut off may
// have come to the run's last record and not to its blobs.
func (e *exporter) blobsOf(ctx context.Context, id string, upTo int64) error {
	if e.opts.Artifacts == nil {
		return nil
	}
	e.found = nil
	for next := int64(1); next <= upTo; {
		raws, err := e.store.Records(ctx, id, next, int(min(1000, upTo-next+1)))
		if err != nil || len(raws) == 0 {
			return err
		}
		for _, raw := range raws {
			e.note(raw)
		}
		next += int64(len(raws))
	}
	missing := e.found[:0]
	for _, sum := range e.found {
		there, err := e.has(ctx, sum)
		if err != nil {
			return err
		}
		if !there {
			missing = append(missing, sum)
		}
	}
	e.found = missing
	return e.artifacts(ctx, id)
}

// named finds the blobs that a record names.
var named = regexp.MustCompile(`"sha256":"([0-9a-f]{64})"`)

// artifacts writes the blobs of the run at work.
func (e *exporter) artifacts(ctx context.Context, id string) error {
	if e.opts.Artifacts == nil {
		return nil
	}
	for _, sum := range e.found {
		r, entry, err := e.take(ctx, id, sum)
		if errors.Is(err, bide.ErrNotFound) {
			e.out.Missing++
			if err := e.line(line{Missing: &missingBlob{sum}}); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		if err := errors.Join(e.blob(entry, r), r.Close()); err != nil {
			return err
		}
		e.out.Artifacts++
	}
	return nil
}

// take opens a blob as it leaves, or fails with ErrNotFound when it does not go along for a run; another one may name it too.
func (e *exporter) take(ctx context.Context, id, sum string) (io.ReadCloser, *blobEntry, error) {
	goes, err := e.opts.TakeArtifact(ctx, id, sum)
	if err == nil && !goes {
		e.blobs[sum] = false
		err = bide.ErrNotFound
	}
	if err != nil {
		return nil, nil, err
	}
	return e.open(ctx, sum)
}

// open opens a blob as it leaves.
func (e *exporter) open(ctx context.Context, sum string) (r io.ReadCloser, entry *blobEntry, err error) {
	entry = &blobEntry{SHA256: sum}
	if sealed, ok := e.opts.Artifacts.(sealedArtifacts); ok {
		r, entry.SHA256, entry.DataKey, err = sealed.OpenStored(ctx, sum)
		return r, entry, err
	}
	r, err = e.opts.Artifacts.Open(ctx, sum)
	return r, entry, err
}

func (e *exporter) documents(ctx context.Context) error {
	docs, ok := e.store.(bide.Documents)
	if !ok {
		return nil
	}
	for _, kind := range e.opts.Documents {
		for q := (bide.DocumentQuery{Kind: kind, Limit: 1000}); ; {
			page, err := docs.Documents(ctx, q)
			if err != nil {
				return err
			}
			for _, d := range page.Documents {
				goes, err := e.opts.TakeDocument(ctx, &d)
				if err != nil {
					return err
				}
				if !goes {
					continue
				}
				if err := e.line(line{Document: &d}); err != nil {
					return err
				}
				e.out.Documents++
			}
			if q.After = page.Next; q.After == "" {
				break
			}
		}
	}
	return nil
}

func (e *exporter) end(context.Context) (err error) {
	e.out.SHA256, err = e.Close(e.opts.Signers...)
	e.out.Bytes = e.bytes
	return err
}
