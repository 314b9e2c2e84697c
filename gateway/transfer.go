package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"golang.org/x/mod/sumdb/note"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/flow"
	"github.com/bide-dev/bide/gateway/api"
	"github.com/bide-dev/bide/gateway/auth"
	"github.com/bide-dev/bide/gateway/problem"
	"github.com/bide-dev/bide/ledger"
	"github.com/bide-dev/bide/ledger/trace"
	"github.com/bide-dev/bide/ledger/transfer"
)

const tagTransfer = "transfer"

func (s *Server) registerTransfer() {
	register(s, operation{id: "export-runs", method: http.MethodGet, path: "/v1/export", tag: tagTransfer, right: auth.View, long: true, media: "application/x-ndjson",
		summary: "Runs, each with all below it, in one file", about: "For bide inspect, verify and import. It is written as it is read, however large. The whole store (all) is for principals of the default namespace with the right to see to the installation. A blob that is not for the principal is named as missing."}, s.exportRuns)
	register(s, operation{id: "import-runs", method: http.MethodPost, path: "/v1/import", tag: tagTransfer, right: auth.Installation, long: true,
		summary: "Put the runs of an export into the store", about: "The body is the file, however large. It is checked as a whole before anything of it counts; a fault is a problem of type corrupt. What is there already stays, so an import that was cut off is finished by sending the file again."}, s.importRuns)
}

// DocumentKinds are those that go along with runs over the API. No other does, since a document may be a right, a key or the hash of a token.
type DocumentKinds struct {
	Documents []string `query:"documents,explode" enum:"flow,bookmark" maxItems:"2" doc:"the documents of these kinds as well"`
}

type exportRuns struct {
	DocumentKinds
	Run       []string `query:"run,explode" maxItems:"500" doc:"id of a run; may be given more than once"`
	All       bool     `query:"all" doc:"every run of the store"`
	Artifacts bool     `query:"artifacts" doc:"with the blobs that the records name"`
}

func (s *Server) exportRuns(ctx context.Context, in *exportRuns) (*huma.StreamResponse, error) {
	if in.All == (len(in.Run) > 0) {
		return nil, bide.Errorf(bide.CodeInvalidInput, "say which runs to export: run=ID, more than once for several, or all=true")
	}
	if in.All {
		if err := errors.Join(auth.Check(ctx, auth.Installation), wide(ctx)); err != nil {
			return nil, err
		}
	}
	v := s.sight(ctx, auth.View)
	for _, id := range in.Run {
		if _, err := v.run(ctx, id); err != nil {
			return nil, err
		}
	}
	o := &transfer.ExportOptions{Runs: in.Run, Documents: in.Documents}
	if in.Artifacts {
		if s.opts.Artifacts == nil {
			return nil, errNoArtifacts()
		}
		o.Artifacts = s.opts.Artifacts
	}
	if !in.All {
		o.TakeArtifact, o.TakeDocument = (&given{v: v}).takes, v.document
	}
	return &huma.StreamResponse{Body: func(hctx huma.Context) {
		r, w := humago.Unwrap(hctx)
		hctx.SetHeader("Content-Type", "application/x-ndjson")
		hctx.SetHeader("Content-Disposition", `attachment; filename="runs.bide"`)
		hctx.SetStatus(http.StatusOK)
		if _, err := transfer.Export(hctx.Context(), s.store, s.paced(w, r), o); err != nil {
			s.opts.Logger.WarnContext(ctx, "export", "err", err)
			panic(http.ErrAbortHandler) // the reader must see that it is not whole
		}
	}}, nil
}

// given says which blobs of runs are for a principal, as get-artifact does for each: those that are of its namespace, and those that effects of
// the run gave. The records of a run are read once for all of its blobs.
type given struct {
	v   *sight
	run string
	by  map[string]bool
}

func (g *given) takes(ctx context.Context, run, sum string) (bool, error) {
	mine, others, err := g.v.shared(ctx, sum)
	if mine && !g.v.p.Limited() || others || err != nil {
		return mine && !g.v.p.Limited(), err
	}
	if g.run != run {
		g.run, g.by = "", map[string]bool{}
		err := g.v.s.gifts(ctx, run, func(text []byte) bool {
			for _, m := range sums.FindAll(text, -1) {
				g.by[string(m)] = true
			}
			return true
		})
		if err != nil {
			return false, err
		}
		g.run = run
	}
	return g.by[sum], nil
}

// document reports whether a flow or a bookmark is there for the principal.
func (v *sight) document(ctx context.Context, doc *bide.Document) (bool, error) {
	switch doc.Kind {
	case flow.KindFlow:
		d, err := v.s.library.doc(ctx, doc.ID)
		if errors.Is(err, bide.ErrNotFound) || errors.Is(err, bide.ErrCorrupt) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		owner, err := v.s.library.owner(ctx, d.ID())
		return seenIn(v.p.Namespace, owner), err
	case trace.BookmarkKind:
		var b trace.Bookmark
		if err := json.Unmarshal(doc.Body, &b); err != nil {
			return false, nil
		}
		_, err := v.run(ctx, b.RunID)
		if errors.Is(err, bide.ErrNotFound) {
			return false, nil
		}
		return err == nil, err
	}
	return false, nil
}

// importRuns is for those who see to the installation, principals of the default namespace: a file says of its records who made them, of its
// runs which namespace they are of, and what was decided by whom, and all of that counts as it stands.
type importRuns struct {
	Keyed
	DocumentKinds
	Live      bool     `query:"live" doc:"let runs that have not ended go on here; they must not go on where they come from. They become history otherwise, which no worker touches"`
	Artifacts bool     `query:"artifacts" doc:"keep the blobs as well"`
	From      string   `query:"from" maxLength:"200" doc:"where the runs come from, as it is said of those that become history"`
	Public    []string `query:"public,explode" maxItems:"100" doc:"a public key, as bide key writes it, that must have signed what is signed; signatures are not looked at without any"`

	r *http.Request
	w http.ResponseWriter
}

// Resolve implements huma.Resolver: the body is read as it comes, not into memory.
func (in *importRuns) Resolve(ctx huma.Context) []error {
	in.r, in.w = humago.Unwrap(ctx)
	return nil
}

func (s *Server) importRuns(ctx context.Context, in *importRuns) (*result[api.Imported], error) {
	if err := wide(ctx); err != nil {
		return nil, err
	}
	o := &transfer.ImportOptions{Live: in.Live, From: in.From, Documents: in.Documents}
	var err error
	if o.Keys, err = verifiers(in.Public); err != nil {
		return nil, err
	}
	if in.Artifacts {
		if s.opts.Artifacts == nil {
			return nil, errNoArtifacts()
		}
		o.Artifacts = s.opts.Artifacts
	}
	if !s.importing.TryLock() {
		return nil, bide.Errorf(bide.CodeConflict, "this server is importing another file; send this one when that is done")
	}
	defer s.importing.Unlock()
	file, err := s.spool(in)
	if err != nil {
		return nil, err
	}
	done, err := transfer.Import(ctx, s.store, file, o)
	if err = errors.Join(err, file.Close()); err != nil {
		return nil, refused(err)
	}
	out := api.Imported(*done)
	return ok(&out), nil
}

// verifiers reads public keys.
func verifiers(keys []string) ([]note.Verifier, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	return ledger.Verifiers(strings.Join(keys, "\n"))
}

// refused makes a fault of a file that of the one who sent it.
func refused(err error) error {
	if !errors.Is(err, bide.ErrCorrupt) {
		return err
	}
	p := problem.Of(err)
	return api.NewProblem(http.StatusUnprocessableEntity, p.Code, err.Error())
}

// spooled is a file that is gone when it is closed, and where the system lets an open file be removed, with the end of the process.
type spooled struct {
	*os.File
	gone bool
}

// Close removes the file.
func (f *spooled) Close() error {
	err := f.File.Close()
	if !f.gone {
		err = errors.Join(err, os.Remove(f.Name()))
	}
	return err
}

// spool keeps the body of an import until it is checked: it has to be read twice.
func (s *Server) spool(in *importRuns) (*spooled, error) {
	tmp, err := os.CreateTemp("", "bide-import-")
	if err != nil {
		return nil, err
	}
	f := &spooled{tmp, os.Remove(tmp.Name()) == nil}
	if err := s.receive(f, in); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// receive writes a body that is sent without standing still into a file.
func (s *Server) receive(f *spooled, in *importRuns) error {
	conn := s.paced(in.w, in.r)
	from := http.MaxBytesReader(in.w, in.r.Body, s.opts.ImportBytes)
	buf := make([]byte, 1<<20)
	for {
		n, err := conn.read(from, buf)
		if _, werr := f.Write(buf[:n]); werr != nil {
			return bide.Errorf(bide.CodeStoreFull, "the file cannot be kept until it is checked: %w", werr)
		}
		var large *http.MaxBytesError
		switch {
		case errors.Is(err, io.EOF):
			_, err = f.Seek(0, io.SeekStart)
			return err
		case errors.As(err, &large):
			return err
		case err != nil:
			return problem.New(api.CodeBadRequest, "the file did not come to its end; nothing of it was imported: send it again")
		}
	}
}

// pace is a connection that is cut off when it stands still, however long the whole takes.
type pace struct {
	s    *Server
	w    http.ResponseWriter
	r    *http.Request
	conn *http.ResponseController
}

func (s *Server) paced(w http.ResponseWriter, r *http.Request) *pace {
	return &pace{s: s, w: w, r: r, conn: http.NewResponseController(w)}
}

// Write implements io.Writer.
func (p *pace) Write(b []byte) (int, error) {
	p.s.deadline(p.r, p.conn.SetWriteDeadline, time.Now().Add(p.s.opts.WriteTime))
	return p.w.Write(b)
}

// read reads a part of the body. At its end there is no deadline any more: it would end the request, which still has much to do.
func (p *pace) read(body io.Reader, b []byte) (int, error) {
	p.s.deadline(p.r, p.conn.SetReadDeadline, time.Now().Add(p.s.opts.RequestTime))
	n, err := body.Read(b)
	if err != nil {
		p.s.deadline(p.r, p.conn.SetReadDeadline, time.Time{})
	}
	return n, err
}
